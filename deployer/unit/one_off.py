"""What a one-off command (a migration, a console) needs of the service's unit to see exactly what the service sees."""

from __future__ import annotations

import re
from typing import Final

from deployer.unit.syntax import directives, literal

# About the service's own life. A transient unit has its own, and what a drop-in says wins over `systemd-run -p`.
_DROPPED: Final = re.compile(
    r"""
    Type | ExitType | RemainAfterExit | GuessMainPID | PIDFile | BusName | NotifyAccess
    | Exec(Start(Pre|Post)?|Condition|Reload(Post)?|Stop(Post)?) | ReloadSignal
    | Restart\w* | Success\w+ | Failure\w+ | RebootArgument | StartLimit\w+
    | Timeout\w+ | RuntimeMaxSec | RuntimeRandomizedExtraSec | RuntimeDirectoryPreserve | Watchdog\w+
    | KillMode | \w*KillSignal | SendSIGHUP | SendSIGKILL | OOMPolicy | RemoveIPC | Delegate\w*
    | Standard\w+ | TTY\w+ | Utmp\w+ | PAMName | Syslog\w+
    | Sockets | NonBlocking | FileDescriptorStore\w+ | OpenFile | RootDirectoryStartOnly | PermissionsStartOnly
    """,
    re.VERBOSE,
)

_SPECIFIER: Final = re.compile(r"%(.)", re.DOTALL)


def one_off_text(unit: str, *, unit_name: str) -> str:
    """Return a drop-in that gives a transient unit the user, environment, directories, sandbox and limits of a service.

    Args:
        unit: The text of the service's unit.
        unit_name: Its name, such as "shop.service": specifiers that stand for it keep their meaning.

    The end of the one-off leaves the service's runtime directory and IPC objects alone.
    """
    own = _own_names(unit_name)
    lines = [
        f"{each.key}={_SPECIFIER.sub(lambda found: own.get(found[1], found[0]), each.value)}\n"
        for each in directives(unit)
        if each.section == "Service" and not _DROPPED.fullmatch(each.key)
    ]
    return f"[Service]\n{''.join(lines)}RuntimeDirectoryPreserve=yes\n"


def _own_names(unit_name: str) -> dict[str, str]:
    """Return what the specifiers of the unit's name stand for, by their letter. Source: systemd.unit(5)."""
    bare = unit_name.removesuffix(".service")
    prefix, _, instance = bare.partition("@")
    last = prefix.rpartition("-")[2]
    names = {
        "n": unit_name,
        "N": bare,
        "p": prefix,
        "P": _unescaped(prefix),
        "i": instance,
        "I": _unescaped(instance),
        "j": last,
        "J": _unescaped(last),
        "f": "/" + _unescaped(instance or prefix).removeprefix("/"),
    }
    return {letter: literal(text) for letter, text in names.items()}


def _unescaped(text: str) -> str:
    dashed = text.replace("-", "/")
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), dashed)
