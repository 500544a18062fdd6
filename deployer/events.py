"""What happened, as frozen values, and their documented JSON form.

The engine emits events; outputs (`deployer/output/`) draw them. An event carries no secret and no markup: texts that
came from a host (journal lines, output of commands) are untrusted and are made harmless by the output that shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal[
    "changed",
    "unchanged",
    "staged",
    "started",
    "rolled-back",
    "stopped",
    "failed",
    "needs-person",
    "unknown",
    "skipped",
]
"""How a host ended: on the new release; already there; staged and not switched, as asked; its activation started and
left to itself, as asked; back on the one before; stopped before its first good one; failed before anything was
switched; in need of a person; not known (link lost); never started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseStarted:
    """A host entered a phase, such as "connect", "upload", "unpack", "migrate", "start", "health", "commit".

    It comes again for what a phase waits for. `at` is Unix time in seconds by the host's clock, 0 where the phase is
    one of ours: then it is now.
    """

    host: str
    phase: str
    text: str = ""
    at: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseEnded:
    """The phase ended; `took_s` is by the client's monotonic clock, for one that was over before we looked by the
    host's. `at` as in `PhaseStarted`.
    """

    host: str
    phase: str
    ok: bool
    text: str = ""
    took_s: float = 0.0
    at: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Bytes done of a transfer; `resumed_bytes` of them were there before."""

    host: str
    phase: str
    done_bytes: int
    total_bytes: int
    resumed_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalLine:
    """A line of a host's journal. `priority` is syslog's 0 (emergency) to 7 (debug); `at` Unix time in seconds.

    `old` marks lines of a process from before this activation.
    """

    host: str
    identifier: str
    priority: int
    message: str
    at: float
    pid: int = 0
    old: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandLine:
    """A line that `command` printed: a local build (`host` is empty) or a one-off on a host."""

    host: str
    command: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something to tell. `host` is empty where it concerns none."""

    level: Literal["info", "warning", "error"]
    text: str
    host: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """An error, as it is shown: see `errors.DeployerError`. `evidence` is the journal of the failed start."""

    message: str
    host: str = ""
    hint: str = ""
    details: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    exit_code: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class HostEnded:
    """Where a host stands at the end: one row of the summary."""

    host: str
    verdict: Verdict
    release: str = ""
    before: str = ""
    text: str = ""
    hint: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The last event of a run over hosts."""

    title: str
    hosts: tuple[HostEnded, ...]
    exit_code: int
    took_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A result for standard output: rows under columns. Row values are text, numbers, booleans, None or lists of text.

    `name` says what the rows are ("status", "releases", …) and is each row's "type" in JSON; `columns` are the keys
    to show, in order; further keys of a row appear in JSON alone. So do rows whose key `only` is false. `optional` are
    columns that a narrow terminal leaves out, the first one first.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    empty: str = "nothing to show"
    only: str = ""
    optional: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Mapping[str, Any], ...]:
        """The rows that people see."""
        return tuple(row for row in self.rows if not self.only or row.get(self.only))


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A result for standard output that is a text of its own: a plan, a unit, an explanation."""

    name: str
    text: str
    host: str = ""


Event: TypeAlias = (
    PhaseStarted
    | PhaseEnded
    | Progress
    | JournalLine
    | CommandLine
    | Note
    | Failure
    | HostEnded
    | Summary
    | Listing
    | Text
)
Emit: TypeAlias = Callable[[Event], None]

JSON_TYPES: Mapping[type[Any], str] = {
    PhaseStarted: "phase_started",
    PhaseEnded: "phase_ended",
    Progress: "progress",
    JournalLine: "journal",
    CommandLine: "command",
    Note: "note",
    Failure: "failure",
    HostEnded: "host_ended",
    Summary: "summary",
    Text: "text",
}


def to_json(event: Event) -> tuple[dict[str, Any], ...]:
    """Return the JSON objects of an event: one, or one a row for a `Listing`. Each has a "type"."""
    if isinstance(event, Listing):
        return tuple({"type": event.name, **row} for row in event.rows)
    if isinstance(event, Summary):
        hosts = [_plain(host) for host in event.hosts]
        return (
            {
                "type": "summary",
                "title": event.title,
                "hosts": hosts,
                "exit_code": event.exit_code,
                "took_s": round(event.took_s, 3),
            },
        )
    return ({"type": JSON_TYPES[type(event)], **_plain(event)},)


def _plain(event: Event) -> dict[str, Any]:
    # Field by field: dataclasses.asdict would open nested values that mask themselves.
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
