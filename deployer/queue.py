"""Waits behind what somebody else has under way on a host, for a limited time, and then has the work done again.

What the work is (planning, staging, the start of an activation) is `switch`'s business, and the wait itself happens on
the host (`sh/queue.sh`). Here is how long it may take, what is said of it, and what ends it early.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from deployer import durations
from deployer.engine import Engine, Phases
from deployer.errors import BusyError, HostKeyError, LockedError, NotLetInError, StaleError, UnreachableError
from deployer.events import Note, PhaseStarted
from deployer.model import Host
from deployer.remote import Remote

T = TypeVar("T")

PAUSE_S = 1.0
"""Between two attempts where there is nothing to wait for on the host itself: it lets others get on."""


@dataclass(kw_only=True)
class Queue:
    """Waits on hosts, `wait_s` at most for each, however many activations are before us there; None is not at all.

    Args:
        in_vain: Would nothing come of it any more? Then a wait ends, and so does the work.

    `behind` says of each host that is waited for what is under way there; an interrupt leaves it as it was.
    """

    engine: Engine
    wait_s: float | None
    in_vain: Callable[[], bool]
    behind: dict[str, str] = field(default_factory=dict)
    _left_s: dict[str, float] = field(default_factory=dict)

    def through(self, host: Host, work: Callable[[Remote], T]) -> T | None:
        """Do the work, once more after each wait, until nobody is in its way; None if it was in vain to wait.

        Raises:
            BusyError, StaleError: Somebody is, and we do not wait, or no longer.
        """
        while True:
            try:
                return work(self.engine.remote(host))
            except (BusyError, StaleError) as error:
                if self.wait_s is None:
                    raise
                if not self._waited(host, error):
                    return None

    def _waited(self, host: Host, error: LockedError) -> bool:
        """Wait until the work may be tried again; False if that would be in vain."""
        begun, left_s = self.engine.clock(), self._left_s.setdefault(host.name, self.wait_s or 0.0)
        until = begun + left_s
        try:
            if isinstance(error, StaleError):
                return self._paused(host, error, until)
            with self.engine.phase(host, "queue") as phase:
                return self._queued(host, error, until, phase)
        finally:
            self._left_s[host.name] = max(left_s - (self.engine.clock() - begun), 0.0)

    def _queued(self, host: Host, error: LockedError, until: float, phase: Phases) -> bool:
        pause_s = PAUSE_S
        while True:
            try:
                met, word = self._on_host(host, until)
            except (HostKeyError, NotLetInError):
                raise
            except UnreachableError as lost:
                if self.engine.stopped.is_set() or self.engine.clock() >= until:
                    raise
                text = f"the link is gone ({lost.message}); connecting again, to wait on"
                self.engine.emit(Note(level="warning", text=text, host=host.name))
                if self.engine.stopped.wait(pause_s):
                    raise
                pause_s = min(pause_s * 2, 10)
                continue
            if word == "vain":
                self.behind.pop(host.name, None)
                phase.text = "no longer: another host failed"
                return False
            if word == "busy":
                phase.text = "the time is up"
                raise self._time_up(host) from error
            if not met:
                return self._paused(host, error, until)
            del self.behind[host.name]
            phase.text = ended_text(word)
            return True

    def _on_host(self, host: Host, until: float) -> tuple[bool, str]:
        """Let the host wait; return whether there was anything to wait for, and its last word."""

        def on_behind(line: Mapping[str, Any]) -> None:
            self.behind[host.name] = behind_text(line)
            left = durations.text(max(round(until - self.engine.clock()), 1))
            text = f"behind {self.behind[host.name]}; for {left} at most"
            self.engine.emit(PhaseStarted(host=host.name, phase="queue", text=self.engine.mask(text)))

        limit_s = max(until - self.engine.clock(), 0.0)
        word = self.engine.remote(host).queue(limit_s, on_behind=on_behind, in_vain=self.in_vain)
        return host.name in self.behind, word

    def _paused(self, host: Host, error: LockedError, until: float) -> bool:
        """Where no activation was in the way, but something that passes by itself: say what, and let it pass."""
        if self.engine.clock() >= until or self.engine.stopped.wait(PAUSE_S):
            raise error
        self.engine.emit(Note(level="info", text=f"{error.message}; this is planned again", host=host.name))
        return not self.in_vain()

    def _time_up(self, host: Host) -> BusyError:
        what, waited = self.behind.pop(host.name, "an activation"), durations.text(self.wait_s or 0.0)
        return BusyError(
            f"{what} is still under way on {host.name} after a wait of {waited}; nothing was switched there, and what is staged stays",
            host=host.name,
            hint=f"deployer attach --host {host.name} follows it; the same command with --wait queues behind it again",
        )


def behind_text(line: Mapping[str, Any]) -> str:
    """Return whose activation it is and since when, from the ledger's line on it."""
    release, who, at = (str(line.get(key, "")) for key in ("id", "who", "at"))
    if not release:
        return "an activation"
    kind = "rollback to" if line.get("why") == "rollback" else "activation of"
    return f"the {kind} {release}{f' by {who}' if who else ''}{f' since {at}' if at else ''}"


def ended_text(word: str) -> str:
    """Return what became of the activation that was waited for, by the ledger's last word on it."""
    return {"good": "it was committed", "bad": "it did not hold"}.get(word, "it has ended")
