"""What is told at the end of a run: failures with their evidence, and hosts that ended.

A host's failure is told once, in full, right above the summary. It comes when all hosts have ended: while they are at work,
the end of its phase says that something went wrong there.
"""

from __future__ import annotations

from dataclasses import replace

from deployer.events import CommandLine, Event, Failure, HostEnded, Listing, PhaseEnded, PhaseStarted, Summary
from deployer.output import words
from deployer.output.clean import one_line


class Pending:
    """The hosts seen so far, and what is still to be told about them."""

    def __init__(self) -> None:
        self._hosts: dict[str, None] = {}
        self._failures: list[Failure] = []
        self._told: tuple[Failure, ...] = ()
        self._ended: dict[str, HostEnded] = {}
        self._started: dict[str, PhaseStarted] = {}
        self._connected: dict[str, tuple[PhaseEnded, float]] = {}
        self._worked_on: set[str] = set()

    def see(self, event: Event) -> None:
        """Take in every event before it is drawn."""
        if isinstance(event, Listing):
            return
        seen = (ended.host for ended in event.hosts) if isinstance(event, Summary) else (event.host,)
        self._hosts.update(dict.fromkeys(host for host in seen if host))
        if isinstance(event, Failure) and event.host:
            self._failures.append(event)
        elif isinstance(event, PhaseEnded):
            self._started.pop(event.host, None)
        elif isinstance(event, HostEnded):
            self._ended[event.host] = event

    def repeats(self, event: PhaseStarted) -> bool:
        """Tell whether the same start was the host's last one: a wait may be told again and again."""
        last = self._started.get(event.host)
        self._started[event.host] = event
        return last is not None and (last.phase, last.text) == (event.phase, event.text)

    def holds(self, event: PhaseEnded, now: float) -> bool:
        """Tell whether the end of a phase is held back: that a host was reached says nothing, unless more is to come."""
        if event.phase == "connect" and event.ok and event.host not in self._worked_on:
            self._connected[event.host] = event, now
            return True
        return False

    def released(self, event: PhaseStarted) -> tuple[PhaseEnded, float] | None:
        """Return what was held back of the host, and when that was, if this is a further phase of it."""
        if event.phase == "connect":
            return None
        self._worked_on.add(event.host)
        return self._connected.pop(event.host, None)

    def announces(self, event: CommandLine) -> bool:
        """Tell whether the start of the host's phase has said this very command already."""
        started = self._started.get(event.host)
        return started is not None and started.text == event.command

    @property
    def count(self) -> int:
        """How many hosts there are."""
        return len(self._hosts)

    @property
    def several(self) -> bool:
        """Whether lines need a host's name to be understood."""
        return self.count > 1

    @property
    def host_width(self) -> int:
        return max((len(host) for host in self._hosts), default=0)

    def failures(self) -> tuple[Failure, ...]:
        """Return the failures that were not told in full, once."""
        held, self._failures = tuple(self._failures), []
        self._told += held
        return held

    def rest(self, summary: Summary) -> Summary:
        """Return the summary without what it would say twice of its hosts: hints and whole messages of the failures just
        told, and a release of before that is the one of now. One that serves until a trial has ended is one of before.
        """
        told = {each.host: each for each in self._told}
        return replace(summary, hosts=tuple(_untold(host, told.get(host.host)) for host in summary.hosts))

    def untold(self) -> tuple[HostEnded, ...]:
        """Return the hosts that ended and were not told yet, once: a run that broke off has no summary."""
        held, self._ended = tuple(self._ended.values()), {}
        return held

    def tell(self, host: str) -> HostEnded | None:
        """Return how a host ended and count it as told."""
        return self._ended.pop(host, None)

    def ended(self, host: str) -> HostEnded | None:
        return self._ended.get(host)


def _untold(host: HostEnded, failure: Failure | None) -> HostEnded:
    if host.verdict == "started":
        host = replace(host, release="")
    host = replace(host, before="" if host.before == host.release else host.before)
    if failure is None:
        return host
    return replace(
        host,
        text="" if host.text == failure.message else host.text,
        hint="" if host.hint == failure.hint else host.hint,
    )


def now_text(failure: Failure, ended: HostEnded) -> str:
    """Return where a host stands and why, as far as its failure has not said so in the same words; it may be nothing."""
    more = "" if ended.text in failure.message else one_line(ended.text)
    # The last sentence of an activation's failure is about the host.
    last = failure.message.rpartition(". ")[2].rpartition("; ")[2]
    word = {"stopped": " is stopped", "needs-person": " needs a person"}.get(ended.verdict, f" {ended.release}")
    state = "" if word.strip() and word in last and last != failure.message else words.state_text(ended)
    return "; ".join(part for part in (state, more) if part)
