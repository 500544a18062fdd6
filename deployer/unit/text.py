"""The rendered unit: what a service needs to start after the network, to stay up, and to come back.

Only directives that systemd 247 knows. The text is pinned to one release, and says nothing of when it was made: the
same release has the same unit. On trial and committed it differs in `EnvironmentFile=` alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from deployer import durations
from deployer.errors import UsageError
from deployer.kinds.base import Launch
from deployer.model import Config, Service
from deployer.unit import template
from deployer.unit.command import absolute
from deployer.unit.faults import directive_faults
from deployer.unit.hardening import hardening
from deployer.unit.syntax import Directive, literal, path_text, seconds_text, variable_text

HEADER: Final = (
    "# Written by deployer. What is changed here is drift: status tells of it, and the next deploy replaces it.\n"
)

_SECTIONS: Final = ("Unit", "Service", "Install")

# How long a service that does not stay up is started again, at the least, before systemd leaves it alone. After a power
# cut its database or its name service may take minutes; giving up sooner would leave it down for ever.
_PATIENCE_S: Final = 600.0
# What cannot resolve a name may die at once, so the delay alone is counted as time. Where there is (next to) none, this
# is: more tries than one a second would fill the journal and not help.
_SHORTEST_CYCLE_S: Final = 1.0
# Runs shorter than this count as a loop. (A BEAM whose application fails to start lives for 2.5 to 3.5 s.)
_LONGEST_CRASH_S: Final = 10.0
_FEWEST_STARTS: Final = 5
# What RestartSec= is where the line is taken out.
_SYSTEMDS_DELAY_S: Final = 0.1


def unit_text(config: Config, *, launch: Launch, release_path: PurePosixPath, env_file: PurePosixPath) -> str:
    """Return the text of the service's unit: rendered, or made from `[service] template`.

    Args:
        launch: The kind's part; `exec_start` of the config wins over its command.
        release_path: The release's directory on the host.
        env_file: What `EnvironmentFile=` names; the only thing that differs between trial and committed unit.

    Raises:
        UsageError: The start command, a directive or the template cannot be used.
    """
    names = _names(config, release_path, env_file)
    if config.service.template is not None:
        return HEADER + template.filled(config.service.template, names)
    for name, fault, hint in directive_faults(config.service.directives):
        raise UsageError(f"[service] directives: {name}: {fault}", hint=hint)
    lines = list(_rendered(config, launch, names))
    for name, values in config.service.directives:
        lines = _replaced(lines, name, tuple(template.replaced(value, names, where=name) for value in values))
    return HEADER + _text(lines)


def removed_in_vain(config: Config, *, launch: Launch) -> tuple[str, ...]:
    """Return a sentence for each of `[service] directives` that takes out what the rendered unit does not have."""
    if config.service.template is not None:
        return ()
    lines = _rendered(config, launch, _names(config, config.app.release_path("0"), config.app.env_path))
    there = {f"{line.section}.{line.key}" for line in lines}
    gone = (name for name, values in config.service.directives if not values and name not in there)
    return tuple(f"[service] directives: {name} = false removes nothing: the unit has no such line" for name in gone)


def _names(config: Config, release_path: PurePosixPath, env_file: PurePosixPath) -> dict[str, str]:
    return {
        "release": path_text(release_path),
        "env_file": path_text(env_file),
        "user": literal(config.app.user),
        "name": literal(config.app.name),
    }


def start_limit(service: Service) -> tuple[int, int]:
    """Return StartLimitIntervalSec= and StartLimitBurst= that a crash loop really runs into.

    A loop of starts that each live for up to ten seconds reaches the burst inside the interval; at least ten minutes of
    it are waited out first, however short the lives are (less with a delay below a second). A longer life is no loop, and
    is restarted for ever.
    """
    delay_s = _restart_delay_s(service)
    burst = max(_FEWEST_STARTS, math.ceil(_PATIENCE_S / max(delay_s, _SHORTEST_CYCLE_S)))
    return math.ceil(burst * (delay_s + _LONGEST_CRASH_S)), burst


def _restart_delay_s(service: Service) -> float:
    """Return what RestartSec= will be, as far as it is a time that we can read."""
    given = dict(service.directives).get("Service.RestartSec")
    if given is None:
        return service.restart_delay_s
    try:
        return durations.parse(given[-1].replace(" ", "").replace("min", "m")) if given else _SYSTEMDS_DELAY_S
    except ValueError:
        return service.restart_delay_s


def _restart(service: Service) -> str:
    given = dict(service.directives).get("Service.Restart")
    return service.restart if given is None else given[-1] if given else "no"


def _rendered(config: Config, launch: Launch, names: dict[str, str]) -> Iterable[Directive]:
    for section, key, value in (
        *(("Unit", *line) for line in _unit_section(config)),
        *(("Service", *line) for line in _service_section(config, launch, names)),
        ("Install", "WantedBy", "multi-user.target"),
    ):
        yield Directive(section=section, key=key, value=value)


def _unit_section(config: Config) -> Iterable[tuple[str, str]]:
    yield "Description", literal(config.app.description)
    # Both: After= orders, and only Wants= makes the target part of the start at all.
    yield "Wants", "network-online.target"
    yield "After", "network-online.target nss-lookup.target"
    if _restart(config.service) != "no":
        interval_s, burst = start_limit(config.service)
        yield "StartLimitIntervalSec", f"{interval_s}s"
        yield "StartLimitBurst", str(burst)


def _service_section(config: Config, launch: Launch, names: dict[str, str]) -> Iterable[tuple[str, str]]:
    service = config.service
    yield "Type", service.type
    if service.type == "oneshot":
        # Otherwise it would be "inactive" as soon as it is done, like one that failed to come up.
        yield "RemainAfterExit", "yes"
    yield "User", names["user"]
    yield "WorkingDirectory", names["release"]
    for name, value in launch.environment:
        yield "Environment", variable_text(name, value)
    yield "EnvironmentFile", names["env_file"]
    yield "ExecStart", absolute(service.exec_start or launch.exec_start, release=names["release"])
    yield "Restart", service.restart
    if _restart(service) != "no":
        yield "RestartSec", seconds_text(service.restart_delay_s)
    yield "TimeoutStartSec", seconds_text(service.start_timeout_s)
    yield "TimeoutStopSec", seconds_text(service.stop_timeout_s)
    # SIGTERM to the main process alone: it ends its children in its own order. What is left then is killed.
    yield "KillMode", "mixed"
    if launch.success_statuses:
        yield "SuccessExitStatus", " ".join(launch.success_statuses)
    # Else lines are told apart by "sh" or "beam.smp".
    yield "SyslogIdentifier", names["name"]
    yield "LimitNOFILE", "65536"
    yield "UMask", "0027"
    for kind in ("Runtime", "State", "Logs"):
        yield f"{kind}Directory", names["name"]
        # A configuration with secrets filled in, or a crash dump, may be written there by programs that know no umask.
        yield f"{kind}DirectoryMode", "0750"
    yield from hardening(config, jit=launch.jit)


def _replaced(lines: list[Directive], name: str, values: tuple[str, ...]) -> list[Directive]:
    """Put the values in the place of the directive, at the end of its section where it is new, nowhere if there are none."""
    section, _, key = name.partition(".")
    new = [Directive(section=section, key=key, value=value) for value in values]
    there = [index for index, line in enumerate(lines) if (line.section, line.key) == (section, key)]
    at = there[0] if there else len(lines)
    before, after = lines[:at], [line for line in lines[at:] if (line.section, line.key) != (section, key)]
    return [*before, *new, *after]


def _text(lines: list[Directive]) -> str:
    sections = []
    for section in _SECTIONS:
        own = [f"{line.key}={line.value}\n" for line in lines if line.section == section]
        if own:
            sections.append(f"[{section}]\n{''.join(own)}")
    return "\n".join(sections)
