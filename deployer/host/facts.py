"""What a host is like now: the reply of `sh/probe.sh`, as values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deployer.errors import HostError
from deployer.host.replies import decoded, json_object, words
from deployer.model import Secret


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedRelease:
    """A complete release on a host. `identity` covers all of it, `digest` is the tarball's sha256."""

    id: str
    identity: str
    digest: str
    pinned: bool
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """A line of the ledger. `event`: staged, activating, good, bad, interrupted, pruned, pinned, and so on."""

    at: str
    event: str
    id: str = ""
    token: str = ""
    before: str = ""
    why: str = ""
    who: str = ""
    cause: str = ""
    end: str = ""
    version: str = ""
    revision: str = ""
    digest: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """A human lock. `until_s` is Unix time, None for "until it is taken away"."""

    who: str
    at: str
    reason: str
    until_s: int | None = None

    @property
    def span(self) -> str:
        """Return e.g. "since 2026-11-24T08:00:00Z, until 2026-11-24T09:00:00Z"."""
        if self.until_s is None:
            return f"since {self.at}"
        return f"since {self.at}, until {datetime.fromtimestamp(self.until_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """A host at one moment. Empty texts mean "none" or "not known"."""

    systemd: int = 0
    system_state: str = ""
    machine: str = ""
    os: str = ""
    hostname: str = ""
    clock_skew_s: float = 0.0
    group: str = ""
    free_bytes: int = 0
    free_inodes: int = 0
    read_only: str = ""
    root_problem: str = ""
    missing_tools: tuple[str, ...] = ()
    committed: str = ""
    running: str = ""
    unit: dict[str, str] = field(default_factory=dict)
    unit_text: str = ""
    env_text: Secret = field(default_factory=lambda: Secret(""))
    unit_drift: str = "same"
    env_drift: str = "same"
    release_missing: bool = False
    foreign_unit: str = ""
    foreign_env: str = ""
    releases: tuple[StagedRelease, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    torn_ledger_lines: int = 0
    committing: bool = False
    trial: dict[str, str] = field(default_factory=dict)
    under_way: bool = False
    going_back: bool = False
    began_exchanging: bool = False
    frozen: Freeze | None = None
    incoming_bytes: int = 0
    health: str = ""

    @property
    def active(self) -> bool:
        return self.unit.get("ActiveState") == "active"

    @property
    def cut_off(self) -> bool:
        """Was an activation cut off, so that something of it is left to be finished or undone?"""
        return not self.under_way and (self.committing or bool(self.trial))

    @property
    def is_exchanging(self) -> bool:
        """May files of two releases stand side by side? A commit exchanges environment, unit and `current` one by one."""
        return self.under_way or self.committing

    @property
    def is_torn(self) -> bool:
        """Did an exchange end while this was looked at, so that its parts may be of two moments?"""
        return self.began_exchanging and not self.is_exchanging

    @property
    def activation(self) -> LedgerEntry | None:
        """The activation that is under way, as the ledger tells of it; None while it has not got there."""
        begun = [entry for entry in self.ledger if entry.event == "activating"]
        verdicts = {entry.token for entry in self.ledger if entry.event in ("good", "bad", "interrupted", "refused")}
        return begun[-1] if self.under_way and begun and begun[-1].token not in verdicts else None

    @property
    def drift(self) -> tuple[str, ...]:
        """Sentences on what is not as the committed release left it."""
        if not self.committed:
            return ()
        found = []
        if self.release_missing:
            found.append(f"the committed release {self.committed} is no longer on the host")
        if self.unit_drift != "same" and not self.is_exchanging:
            found.append(f"the unit file is {self.unit_drift}")
        if self.env_drift != "same" and not self.is_exchanging:
            found.append(f"the environment file is {self.env_drift}")
        if self.unit.get("UnitFileState") not in ("enabled", "", None) and not self.is_exchanging:
            found.append(f"the unit is {self.unit.get('UnitFileState')}, so it would not start at boot")
        if self.running and self.running != self.committed and not (self.under_way or self.trial):
            found.append(f"the process runs from {self.running}")
        return tuple(found)

    def release(self, release_id: str) -> StagedRelease | None:
        return next((release for release in self.releases if release.id == release_id), None)

    def good_stack(self) -> tuple[str, ...]:
        """Return ids of releases that proved themselves, the committed one last.

        A deploy puts its release on top, a rollback takes off whatever lies above its target: so that a second
        rollback goes further back, and not forth again.
        """
        stack: list[str] = []
        for entry in self.ledger:
            if entry.event != "good":
                continue
            if entry.why == "rollback" and entry.id in stack:
                del stack[stack.index(entry.id) + 1 :]
            else:
                stack = [*(each for each in stack if each != entry.id), entry.id]
        return tuple(stack)

    def rollback_target(self) -> str:
        """Return the id of the last good release before the committed one that is still here; empty if none is."""
        here = {release.id for release in self.releases}
        older = [each for each in self.good_stack() if each != self.committed and each in here]
        return older[-1] if older else ""


def parse(lines: Iterable[str], *, host: str, now_s: float) -> Facts:
    """Return the facts that `sh/probe.sh` printed; `now_s` is this machine's Unix time when it answered.

    Raises:
        HostError: The reply is not complete.
    """
    found: dict[str, str] = {}
    releases, tools, complete = [], [], False
    for word, rest in words(lines, host=host):
        if word == "fact":
            name, _, value = rest.partition(" ")
            found[name] = decoded(value)
        elif word == "release":
            release_id, identity, digest, pinned, size = (rest.split(" ") + [""] * 5)[:5]
            releases.append(
                StagedRelease(
                    id=release_id, identity=identity, digest=digest, pinned=pinned == "yes", size_bytes=_number(size)
                )
            )
        elif word == "tool":
            tools.append(rest)
        complete = complete or word == "done"
    if not complete:
        raise HostError("the probe of the host was cut off", host=host, hint="run the same command again")
    entries, torn = _ledger(found.get("ledger", ""))
    return Facts(
        systemd=_number(found.get("systemd", "")),
        system_state=found.get("system_state", ""),
        machine=found.get("machine", ""),
        os=found.get("os", ""),
        hostname=found.get("hostname", ""),
        clock_skew_s=_number(found.get("now_s", "0")) - now_s,
        group=found.get("group", ""),
        free_bytes=_number(found.get("free_bytes", "")),
        free_inodes=_number(found.get("free_inodes", "")),
        read_only=found.get("read_only", ""),
        root_problem=found.get("root_problem", ""),
        missing_tools=tuple(tools),
        committed=found.get("committed", ""),
        running=found.get("running", ""),
        unit={key.removeprefix("unit."): value for key, value in found.items() if key.startswith("unit.")},
        unit_text=found.get("unit", ""),
        env_text=Secret(found.get("env", "")),
        unit_drift=found.get("drift.unit", "same"),
        env_drift=found.get("drift.env", "same"),
        release_missing="drift.release" in found,
        foreign_unit=found.get("foreign_unit", ""),
        foreign_env=found.get("foreign_env", ""),
        releases=tuple(releases),
        ledger=entries,
        torn_ledger_lines=torn,
        committing="committing" in found,
        trial=record(found.get("trial", "")),
        under_way="under_way" in found,
        going_back="going_back" in found,
        began_exchanging="exchanging" in found,
        frozen=_freeze(found.get("frozen", "")),
        incoming_bytes=_number(found.get("incoming_bytes", "")),
        health=found.get("health", ""),
    )


def record(text: str) -> dict[str, str]:
    """Return the "key value" lines of a write-ahead record or trial marker."""
    pairs = (line.partition(" ") for line in text.split("\n") if line)
    return {key: value for key, _, value in pairs}


def _ledger(text: str) -> tuple[tuple[LedgerEntry, ...], int]:
    entries, torn = [], 0
    # Not splitlines(): a name in it may hold a line separator of Unicode's.
    for line in filter(None, text.split("\n")):
        fields = json_object(line)
        if "event" not in fields:
            torn += 1
            continue
        fields["before"] = fields.pop("from", "")
        known = {key: str(value) for key, value in fields.items() if key in LedgerEntry.__slots__}
        entries.append(LedgerEntry(**{"at": "", **known}))
    return tuple(entries), torn


def _freeze(text: str) -> Freeze | None:
    fields = json_object(text)
    if not fields:
        return None
    until = fields.get("until_s")
    return Freeze(
        who=str(fields.get("who", "")),
        at=str(fields.get("at", "")),
        reason=str(fields.get("reason", "")),
        until_s=until if isinstance(until, int) else None,
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
