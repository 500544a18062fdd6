"""Watches one activation from outside: its events and the service's journal, told as ours, until it is over.

A `Watcher` outlives connections: after a lost link, `watch` is called again with a new one and goes on where it was.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deployer.errors import (
    DeployerError,
    HostError,
    LockedError,
    NeedsPersonError,
    NotHealthyError,
    StaleError,
)
from deployer.events import Emit, HostEnded, JournalLine, Note, PhaseEnded, PhaseStarted, Verdict
from deployer.journal import cursor_of, journal_line
from deployer.model import Host
from deployer.remote import Over, Remote

if TYPE_CHECKING:
    from deployer.transport import Session

DRAIN_S = 1.0
"""How long the journal may go on after the last event: its lines come by another way."""


class Watcher:
    """What we know of an activation. `token` and `cursor` say where to go on after a lost link; `was` is systemd's
    invocation id of the process of before, where it is known.
    """

    def __init__(
        self,
        *,
        host: Host,
        unit: str,
        emit: Emit,
        mask: Callable[[str], str],
        clock: Callable[[], float],
        release: str = "",
        before: str = "",
    ) -> None:
        self.token = ""
        self.cursor = ""
        self.was = ""
        self._host, self._emit, self._mask, self._clock = host, emit, mask, clock
        self._unit, self._release, self._before = unit, release, before
        self._seen = 0
        self._end: dict[str, Any] = {}
        self._began = clock(), 0.0
        self._phase = "health"
        self._phase_began: dict[str, tuple[float, float]] = {}
        self._lines: deque[str] = deque(maxlen=200)
        self._old_lines: Counter[str] = Counter()

    def watch(self, remote: Remote, *, token: str, cursor: str) -> tuple[HostEnded, DeployerError | None]:
        """Follow until the end; return how the host stands, and the error that says why where it did not go well.

        Raises:
            LinkLostError: The connection broke; call again with a new one.
        """
        journal = self._follow_journal(remote, cursor)
        try:
            over = remote.follow(token, seen=self._seen, on_event=self._on_event)
        finally:
            journal.close()
        return self._outcome(over)

    def unknown(self) -> HostEnded:
        """Return the row for an activation that we can no longer see."""
        return HostEnded(
            host=self._host.name,
            verdict="unknown",
            before=self._before,
            text="the activation goes on, or back, on the host by itself; its end was not seen",
            hint=f"deployer attach --host {self._host.name}, or deployer status --host {self._host.name}",
            took_s=self._clock() - self._began[0],
        )

    # -- events of the host program ---------------------------------------------------------------------------------

    def _on_event(self, event: dict[str, Any]) -> None:
        name, kind = self._host.name, event.get("event")
        if kind == "token":
            self.token = str(event["token"])
            self._release = self._release or str(event["release"])
            return
        if kind == "idle":
            # Above what it tells of that one, which bears earlier times.
            ended = f"the last one ended at {event['at']}, and went like this"
            text = f"no activation of {self._unit.removesuffix('.service')} is under way; {ended}"
            self._emit(Note(level="info", text=text, host=name))
            return
        self._seen += 1
        self._began = self._began[0], self._began[1] or _unix(str(event.get("at", "")))
        phase, text, at = str(event.get("phase", "")), str(event.get("text", "")), _unix(str(event.get("at", "")))
        if kind == "phase":
            self._phase = phase
            self._phase_began[phase] = self._clock(), at
            self._emit(PhaseStarted(host=name, phase=phase, text=self._mask(text), at=at))
        elif kind == "phase_ended":
            ok = bool(event.get("ok"))
            self._emit(
                PhaseEnded(
                    host=name,
                    phase=phase,
                    ok=ok,
                    text=self._mask(text),
                    took_s=self._took_s(at, self._phase_began.get(phase)),
                    at=at,
                )
            )
        elif kind == "waiting":
            self._emit(PhaseStarted(host=name, phase=self._phase, text=self._mask(text), at=at))
        elif kind == "note":
            self._emit(Note(level="warning", text=self._mask(text), host=name))
        elif kind == "end":
            self._end = event

    def _took_s(self, ended_at: float, begun: tuple[float, float] | None) -> float:
        if begun is None:
            return 0.0
        ours, by_the_host = self._clock() - begun[0], ended_at - begun[1]
        # Told after the fact, it takes us no time; the host's clock has whole seconds.
        return by_the_host if begun[1] and by_the_host > ours + 1.5 else ours

    # -- the journal ------------------------------------------------------------------------------------------------

    def _follow_journal(self, remote: Remote, cursor: str) -> Follower:
        where = since(cursor, read=self.cursor)
        return Follower(remote.journal(("--follow", "--lines", "all", *where)), self._on_journal)

    def _on_journal(self, text: str) -> None:
        self.cursor = cursor_of(text) or self.cursor
        line = journal_line(text, host=self._host.name, before=self.was)
        if line is not None:
            if line.old:
                self._old_lines[self._mask(_evidence(line).partition("\n")[0])] += 1
            line = replace(line, message=self._mask(line.message))
            if not line.old:
                self._lines.append(_evidence(line))
            self._emit(line)

    def _new_ones(self, evidence: Iterable[str]) -> Iterator[str]:
        """Yield the lines that are not of the process of before: the host keeps all since the activation began."""
        left, is_old = self._old_lines.copy(), False
        for line in evidence:
            if found := _SHORT_ISO.fullmatch(line):  # else a further line of a message of several
                shown = self._mask(found[2])  # the host has hidden what it knows of, too
                is_old = left[shown] > 0
                left[shown] -= is_old
            if not is_old:
                yield line

    # -- the end ----------------------------------------------------------------------------------------------------

    def _outcome(self, over: Over) -> tuple[HostEnded, DeployerError | None]:
        known = {
            "good": "changed",
            "bad": "rolled-back" if over.committed else "stopped",
            "stuck": "stuck",
            "none": "interrupted" if self._seen else "not-started",
        }
        verdict = str(self._end.get("verdict") or known.get(over.verdict, "interrupted"))
        if over.verdict == "stuck" and verdict != "unfinished":
            verdict = "needs-person" if self._end else "stuck"
        cause = self._mask(str(self._end.get("text", "")))
        evidence = tuple(self._mask(told_here(line)) for line in self._new_ones(over.evidence)) or tuple(self._lines)
        is_first = verdict == "interrupted" and not over.committed  # it came from nothing, and is back there
        row = HostEnded(
            host=self._host.name,
            verdict="stopped" if is_first else _VERDICTS.get(verdict, "needs-person"),
            release=over.committed,
            before=str(self._end.get("before") or self._before),
            text=cause,
            took_s=self._took_s(_unix(str(self._end.get("at", ""))), self._began),
        )
        error = self._error(verdict, cause, over)
        if error is not None:
            error.evidence = evidence[-20:]
            row = replace(row, hint=error.hint)
        return row, error

    def _error(self, verdict: str, cause: str, over: Over) -> DeployerError | None:
        host, release = self._host.name, self._release or "the new release"
        back = over.committed or "nothing"
        # A first deploy that went back has found a unit of somebody else's there.
        there = over.committed or f"the {self._unit} that was there before"
        logs = (
            f"deployer logs --host {host} --deploy {self._release}" if self._release else f"deployer logs --host {host}"
        )
        if verdict == "changed":
            return None
        if verdict == "rolled-back":
            return NotHealthyError(
                f"{release} did not prove itself: {cause}. {host} is back on {there}", host=host, hint=logs
            )
        if verdict == "stopped":
            text = f"{release} did not prove itself: {cause}. There was nothing to go back to: the service is stopped on {host}"
            return NotHealthyError(text, host=host, hint=f"{logs}; correct it and deploy again")
        if verdict == "failed":
            still = f"{host} still serves {over.committed}" if over.committed else f"Nothing was started on {host}"
            return HostError(f"{release} was not started: {cause}. {still}", host=host, hint=logs)
        if verdict == "stuck":
            text = f"the activation of {release} was cut off, and could be neither finished nor undone; {host} needs a person"
            hint = f"on the host: df -h; journalctl -n 50 -u {self._unit}; the next deploy or rollback tries once more"
            return NeedsPersonError(text, host=host, hint=hint)
        if verdict == "unfinished":
            text = f"{release} proved itself and serves on {host}, but {cause}"
            hint = (
                f"on the host: df -h; journalctl -n 50 -u deployer-recover@{self._unit}; deployer status --host {host}"
            )
            return NeedsPersonError(text, host=host, hint=hint)
        if verdict == "not-started":
            text = f"the activation of {release} did not begin: the link broke before {host} was asked. {host} serves {back}, as before"
            return HostError(text, host=host, hint="run the same command again")
        if verdict == "stale":
            return StaleError(
                f"{cause}. Nothing was switched on {host}", host=host, hint=f"deployer status --host {host}"
            )
        if verdict == "frozen":
            return LockedError(
                f"{cause}. Nothing was switched on {host}", host=host, hint=f"deployer unlock --host {host}"
            )
        if verdict == "interrupted":
            now = f"{host} is on {over.committed}" if over.committed else f"nothing is committed on {host}"
            text = f"the activation of {release} was cut off, most likely by a power cut or reboot; {now}"
            return HostError(
                text, host=host, hint=f"deployer status --host {host}, then run the same deploy or rollback again"
            )
        return NeedsPersonError(
            f"{release} did not prove itself, and {back} did not come back: {cause}. {host} needs a person",
            host=host,
            hint=f"deployer logs --host {host}; on the host: systemctl status {self._unit}",
        )


_VERDICTS: dict[str, Verdict] = {
    "changed": "changed",
    "rolled-back": "rolled-back",
    "stopped": "stopped",
    "failed": "failed",
    "not-started": "failed",
    "stale": "failed",
    "frozen": "failed",
    "interrupted": "rolled-back",
    "unfinished": "needs-person",
    "needs-person": "needs-person",
}


class Follower:
    """A thread that reads a session's lines. `close` lets what is on its way arrive, for a moment."""

    def __init__(self, session: Session, on_line: Callable[[str], None]) -> None:
        self._session, self._on_line = session, on_line
        self._arrived = threading.Event()
        self._has_begun = self._has_ended = False
        self._thread = threading.Thread(target=self._read, name="journal", daemon=True)
        self._thread.start()

    def close(self, *, quiet_s: float = DRAIN_S / 4) -> None:
        """End it once it has said all, or nothing has come for `quiet_s`, or after four times that."""
        until = time.monotonic() + 4 * quiet_s
        # Its first line takes longest: on a busy host the journal may take a second to be opened.
        while not self._has_ended and self._arrived.wait(
            min(quiet_s, until - time.monotonic()) if self._has_begun else 3 * DRAIN_S
        ):
            self._arrived.clear()
            if time.monotonic() > until:
                break
        self.cut()

    def cut(self) -> None:
        """End it now, wherever it is."""
        self._session.close()
        self._thread.join(timeout=5)

    def _read(self) -> None:
        try:
            for line in self._session.lines():
                self._has_begun = True
                self._arrived.set()
                self._on_line(line)
        except DeployerError:
            # The journal is for the eyes; the activation's own events tell when the link is lost.
            return
        finally:
            self._has_ended = True
            self._arrived.set()


def since(cursor: str, *, read: str = "") -> tuple[str, str]:
    """Return journalctl's words for "from this place on", where the place was taken from the whole journal.

    Not `--after-cursor`: with another unit's line at that place, systemd 252 passes over the first one of ours.

    Args:
        read: The place of the last line of ours that was read; what comes behind it is meant then.
    """
    if read:
        return ("--after-cursor", read)
    return ("--cursor", cursor) if cursor else ("--since", "now")


def _evidence(line: JournalLine) -> str:
    return f"{line.identifier}[{line.pid}]: {line.message}"


_SHORT_ISO = re.compile(r"(\S+T\S+[+-]\d\d:?\d\d) \S+ (.*)", flags=re.DOTALL)


def _unix(at: str) -> float:
    """Return Unix time of ISO 8601; 0 for what is none."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def told_here(line: str) -> str:
    """Return a line of `journalctl -o short-iso` as it was shown while it came: local time of day, and no host name."""
    found = _SHORT_ISO.fullmatch(line)
    if found is None:
        return line  # a further line of a message of several
    try:
        return f"{datetime.fromisoformat(found[1]).astimezone():%H:%M:%S} {found[2]}"
    except (ValueError, OverflowError):
        return line
