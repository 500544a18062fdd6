"""What is wrong with `[service]` before any release is there: its command, its directives, its template.

For whoever reads a config: `faults` tells all of it at once. The renderer asks the same questions again, for it may be
given a config that nobody judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from deployer.errors import UsageError
from deployer.unit import template
from deployer.unit.command import absolute

Directives = tuple[tuple[str, tuple[str, ...]], ...]

_PINNED: Final = {
    "Service.EnvironmentFile": "deployer pins it to the release; name the file in [env] file instead",
    "Service.Environment": "variables belong into [env] set; only removing the kind's own ones is possible here",
}


def faults(service: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong, each with the way to its key below `[service]`.

    Args:
        service: The values of the table, by key. Any of them may be missing, where it was at fault by itself.
    """
    if command := service.get("exec_start"):
        try:
            absolute(command, release="/release")
        except UsageError as error:
            yield ("exec_start",), error.message
    if path := service.get("template"):
        for message in template.faults(path):
            yield ("template",), message
    else:
        for name, message, _hint in directive_faults(service.get("directives", ())):
            yield ("directives", name), message


def directive_faults(given: Directives) -> Iterator[tuple[str, str, str]]:
    """Yield (directive, what is wrong with it, a hint). No value is shown, but for an unknown placeholder."""
    starting = {"Install.WantedBy": True}
    for name, values in given:
        if name in _PINNED and (values or name == "Service.EnvironmentFile"):
            yield name, f"directives cannot set {name.partition('.')[2]}: {_PINNED[name]}", _PINNED[name]
        for value in values:
            for fault in template.placeholder_faults(value):
                yield name, fault, f"placeholders are {template.KNOWN}"
        section, _, key = name.partition(".")
        if section == "Install" and key in template.STARTING:
            starting[name] = any(value.strip() for value in values)
    if not any(starting.values()):
        last = next(name for name, _ in reversed(given) if name in starting)
        why = "nothing would start the service at boot without a WantedBy= in [Install]"
        yield last, why, 'leave it out, or name another target: "Install.WantedBy" = "multi-user.target"'
