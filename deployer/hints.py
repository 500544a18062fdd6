"""Puts the config file that was named into what is to be typed next, in one place: `Run.emit`.

Without it a command that is pasted would act on the app of another config, perhaps on the same host.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from deployer.events import Event, Failure, HostEnded, Listing, Note, Summary

OURS = (
    *("deploy", "plan", "rollback", "attach", "status", "releases", "logs", "check", "env", "start", "stop", "restart"),
    *("run", "console", "migrate", "version", "ping", "build", "fetch", "inspect", "unit"),
    *("setup", "lock", "unlock", "prune", "pin"),
)
"""The tasks that read a project's config. `init` writes one, and `sandbox` has its hosts without."""

# What names a config has been given its own already.
_COMMAND = re.compile(rf"(?<![\w./-])deployer (?:{'|'.join(OURS)})\b(?! --config)")


def with_config(event: Event, config: str) -> Event:
    """Return the event with `--config` in every command of ours that it says is next; as it is where none was given."""
    if not config:
        return event
    if isinstance(event, Summary):
        return replace(event, hosts=tuple(replace(each, hint=_pointed(each.hint, config)) for each in event.hosts))
    if isinstance(event, Listing):
        rows = ({**row, "next": _pointed(row["next"], config)} if row.get("next") else row for row in event.rows)
        return replace(event, rows=tuple(rows))
    if isinstance(event, Note | Failure | HostEnded):
        return replace(event, hint=_pointed(event.hint, config))
    return event


def _pointed(hint: str, config: str) -> str:
    return _COMMAND.sub(lambda found: f"{found[0]} --config {shlex.quote(config)}", hint)
