"""What can be said against a unit that systemd accepts: sentences for a person, from what its directives do together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from deployer.unit.syntax import directives

Unit = Mapping[str, tuple[str, ...]]
_SECRET_NAME: Final = re.compile(r"(SECRET|PASSW|TOKEN|COOKIE|_KEY|DATABASE_URL)[A-Z0-9_]*=", re.IGNORECASE)
_TRUE: Final = ("1", "yes", "y", "true", "t", "on")


def remarks(unit: str) -> tuple[str, ...]:
    """Return what `check` says about a unit, each a sentence that names the directive and what it costs."""
    found: dict[str, tuple[str, ...]] = {}
    for each in directives(unit):
        name = f"{each.section}.{each.key}"
        # An empty value takes back what was given before.
        found[name] = (*found.get(name, ()), each.value) if each.value else ()
    return tuple(sentence for look in _LOOKS for sentence in look(found))


def _life(unit: Unit) -> Iterator[str]:
    kind = _last(unit, "Service.Type")
    if _is_true(_last(unit, "Service.RemainAfterExit")) and kind != "oneshot":
        yield (
            "RemainAfterExit=yes hides crashes: systemd calls the service active when its process is gone, and never "
            "restarts it. Start it in the foreground, with Type=exec and without RemainAfterExit="
        )
    if kind == "forking" and not unit.get("Service.PIDFile"):
        yield (
            "Type=forking without PIDFile= lets systemd guess the main process; where it guesses wrong, a crash goes "
            "unnoticed. Start it in the foreground with Type=exec, or name the PIDFile="
        )
    if not kind or kind == "simple":
        given = "Type=simple" if kind else "Without Type=, it is Type=simple, and that"
        yield f"{given} counts as started before the program is even found; Type=exec tells a wrong path at once"
    if kind in ("", "simple", "exec", "notify") and _is_daemonizing(_last(unit, "Service.ExecStart")):
        yield (
            "ExecStart= runs a verb that may put itself into the background, which systemd takes for the end of the "
            "service; a release of mix runs in the foreground with start, one of relx or distillery with foreground"
        )


def _restart(unit: Unit) -> Iterator[str]:
    restart = _last(unit, "Service.Restart")
    if restart in ("", "no") and _last(unit, "Service.Type") != "oneshot":
        yield "without Restart=, the service stays down after its first crash; Restart=on-failure brings it back"
    if _last(unit, "Service.KillMode") in ("none", "process"):
        mode = _last(unit, "Service.KillMode")
        yield f"KillMode={mode} leaves processes of the old release behind at a stop; KillMode=mixed does not"
    if unit.get("Service.StartLimitIntervalSec"):
        # Its old name, StartLimitInterval=, is still read there.
        yield "StartLimitIntervalSec= does nothing in [Service]; it belongs into [Unit]"
    limit = _last(unit, "Unit.StartLimitIntervalSec") or _last(unit, "Unit.StartLimitInterval")
    if restart == "always" and limit in ("0", "0s"):
        yield "StartLimitIntervalSec=0 with Restart=always lets a service that cannot start crash for ever"


def _network(unit: Unit) -> Iterator[str]:
    after = _words(unit, "Unit.After")
    pulled = _words(unit, "Unit.Wants") | _words(unit, "Unit.Requires") | _words(unit, "Unit.BindsTo")
    if "network-online.target" in after and "network-online.target" not in pulled:
        yield (
            "After=network-online.target without Wants=network-online.target does nothing: the target is not part of the "
            "start"
        )
    if "network-online.target" in pulled and "network-online.target" not in after:
        yield "Wants=network-online.target without After=network-online.target starts the service while it comes up"
    if "network-online.target" not in after | pulled:
        have = "After=network.target does not promise" if "network.target" in after else "nothing promises"
        yield (
            f"{have} that addresses are there or names resolve when the service starts after a boot; add "
            "Wants=network-online.target and After=network-online.target nss-lookup.target"
        )


def _files(unit: Unit) -> Iterator[str]:
    if any(value.startswith("-") for value in unit.get("Service.EnvironmentFile", ())):
        yield (
            'the "-" in EnvironmentFile=- starts the service without its environment when the file is missing; without '
            "the dash, the start fails and says so"
        )
    if any(_SECRET_NAME.search(value) for value in unit.get("Service.Environment", ())):
        yield (
            "every user of the host can read Environment= (systemctl show); secrets belong into the environment file"
        )
    if not unit.get("Service.User") and not unit.get("Service.DynamicUser"):
        yield "without User=, the service runs as root"
    if "/current/" in " ".join((*unit.get("Service.ExecStart", ()), *unit.get("Service.WorkingDirectory", ()), "")):
        yield "a path through current/ is not pinned: a crash in the middle of a deploy would start another release"


_LOOKS: Final[tuple[Callable[[Unit], Iterator[str]], ...]] = (_life, _restart, _network, _files)


def _last(unit: Unit, name: str) -> str:
    values = unit.get(name, ())
    return values[-1] if values else ""


def _words(unit: Unit, name: str) -> set[str]:
    return {word for value in unit.get(name, ()) for word in value.split()}


def _is_true(value: str) -> bool:
    return value.lower() in _TRUE


def _is_daemonizing(command: str) -> bool:
    return command.split()[1:2] in (["daemon"], ["daemon_iex"], ["start_boot"], ["daemon_boot"])
