"""The output without a terminal: whole lines with the time and the host, in ASCII but for the texts of others.

What a host or a program printed begins with the host's name and a bar; lines of ours begin with the time. Progress
goes to one stream, results (listings, texts) to the other.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Self, TextIO, assert_never

from deployer.events import (
    CommandLine,
    Event,
    Failure,
    HostEnded,
    JournalLine,
    Listing,
    Note,
    PhaseEnded,
    PhaseStarted,
    Progress,
    Summary,
    Text,
)
from deployer.output import words
from deployer.output.clean import document, lines, one_line
from deployer.output.meter import Meter
from deployer.output.pending import Pending, now_text
from deployer.output.sink import Sink
from deployer.output.texts import command_text, journal_text, listing_text, summary_text, titled

_MEANWHILE_S = 5.0
_AT_LEAST_S = 2.0


class Plain:
    """Writes events as lines, each as soon as it comes."""

    def __init__(
        self,
        *,
        stdout: TextIO,
        stderr: TextIO,
        verbose: int = 0,
        lines_are_results: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stdout = Sink(stdout)
        self._stderr = Sink(stderr)
        self._verbose = verbose
        self._lines_are_results = lines_are_results
        self._clock = clock
        self._monotonic = monotonic
        self._pending = Pending()
        self._meters: dict[str, _Told] = {}
        self._command = ("", "")
        self._turn = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._turn:
            self._write(self._stderr, self._closing())

    def emit(self, event: Event) -> None:
        """Write an event's lines; threads take turns."""
        with self._turn:
            self._pending.see(event)
            if isinstance(event, Listing):
                self._write(self._stdout, (listing_text(event),))
            elif isinstance(event, Text):
                self._write(self._stdout, (titled(document(event.text), event.host),))
            elif self._lines_are_results and isinstance(event, JournalLine):
                self._write(self._stdout, (journal_text(event, self._clock()),))
            elif self._lines_are_results and isinstance(event, CommandLine):
                self._write(self._stdout, (command_text(event, named=self._pending.several),))
            else:
                self._write(self._stderr, self._lines(event))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let nobody write while a question is asked."""
        with self._turn:
            yield

    def _write(self, sink: Sink, texts: Iterator[str] | Sequence[str]) -> None:
        if text := "".join(texts):
            sink.write(text)
            sink.flush()

    def _lines(self, event: Event) -> Iterator[str]:
        match event:
            case JournalLine():
                yield journal_text(event, self._clock())
            case CommandLine():
                yield from self._command_lines(event)
            case PhaseStarted():
                yield from self._phase_started(event)
            case PhaseEnded():
                yield from self._phase_ended(event)
            case Progress():
                yield from self._progress(event)
            case Note():
                level = "" if event.level == "info" else f"{event.level}: "
                yield from self._said(event.host, level + event.text, none="")
                yield from _next(event.hint)
            case Failure() if not event.host:
                yield from self._block(event, None)
            case HostEnded():
                if self._pending.several:
                    yield from self._host_ended(event)
            case Summary():
                yield from self._summary(event)
            case Failure() | Listing() | Text():
                pass  # told at the end; results, written elsewhere
            case _:
                assert_never(event)

    def _said(self, host: str, text: str, *, none: str = words.LOCAL, at: float = 0.0) -> Iterator[str]:
        first, *more = lines(text)
        where = f"{one_line(host) or none} ".lstrip()
        now = self._clock()
        yield f"{words.time_text(at or now, now)} {where}{first}\n"
        yield from _quoted(more)

    def _command_lines(self, event: CommandLine) -> Iterator[str]:
        if (event.host, event.command) != self._command:
            self._command = (event.host, event.command)
            if not self._pending.announces(event):
                yield from self._said(event.host, f"$ {one_line(event.command)}")
        yield command_text(event, named=True)

    def _phase_started(self, event: PhaseStarted) -> Iterator[str]:
        if held := self._pending.released(event):
            yield from self._ended_text(*held)
        if not self._pending.repeats(event) and (self._verbose or words.is_told(event)):
            yield from self._said(event.host, f"{event.phase}: {event.text or 'started'}", at=event.at)

    def _phase_ended(self, event: PhaseEnded) -> Iterator[str]:
        self._meters.pop(event.host, None)
        if self._verbose or not self._pending.holds(event, self._clock()):
            yield from self._ended_text(event, event.at)

    def _ended_text(self, event: PhaseEnded, at: float) -> Iterator[str]:
        end = f"{'ok' if event.ok else 'FAILED'} after {words.took_text(event.took_s)}"
        yield from self._said(event.host, f"{event.phase}: {end}{f': {event.text}' if event.text else ''}", at=at)

    def _progress(self, event: Progress) -> Iterator[str]:
        now = self._monotonic()
        told = self._meters.get(event.host)
        if told is None or told.meter.last.phase != event.phase:
            self._meters[event.host] = _Told(Meter(event, now), now)
            if event.resumed_bytes:
                there = f"{words.size_text(event.resumed_bytes)} of {words.size_text(event.total_bytes)}"
                yield from self._said(event.host, f"{event.phase}: goes on after {there}")
            return
        told.meter.add(event, now)
        if told.is_due(now):
            yield from self._said(event.host, f"{event.phase}: {_progress_text(told.meter)}")

    def _block(self, event: Failure, ended: HostEnded | None) -> Iterator[str]:
        yield "\n"
        first, *more = lines(event.message)
        yield f"FAILED{f' on {one_line(event.host)}' if event.host else ''}: {first}\n"
        yield from _quoted(more)
        if ended and (state := now_text(event, ended)):
            yield f"  now: {state}\n"
        yield from _quoted(event.details)
        evidence = event.evidence if self._verbose else event.evidence[-words.EVIDENCE_LINES :]
        if evidence:
            yield "  the end of its journal:\n"
        yield from _quoted(evidence)
        yield from _next(event.hint)

    def _host_ended(self, event: HostEnded) -> Iterator[str]:
        self._pending.tell(event.host)
        release = f", release {event.release}" if event.release else ""
        before = f", before {event.before}" if event.before not in ("", event.release) else ""
        text = f": {event.text}" if event.text else ""
        end = f"{words.VERDICTS[event.verdict]}{release}{before}, after {words.took_text(event.took_s)}{text}"
        yield from self._said(event.host, end)
        yield from _next(event.hint)

    def _summary(self, event: Summary) -> Iterator[str]:
        ended = {host.host: host for host in event.hosts}
        for failure in self._pending.failures():
            yield from self._block(failure, ended.get(failure.host))
        for host in ended:
            self._pending.tell(host)
        status = f", exit status {event.exit_code}" if event.exit_code else ""
        yield f"\n{' '.join(lines(event.title))} ({words.took_text(event.took_s)}{status})\n"
        rest = self._pending.rest(event)
        yield summary_text(rest)
        for hint in dict.fromkeys(host.hint for host in rest.hosts):
            yield from _next(hint)

    def _closing(self) -> Iterator[str]:
        for failure in self._pending.failures():
            yield from self._block(failure, self._pending.ended(failure.host))
        for ended in self._pending.untold():
            yield from self._host_ended(ended)


class _Told:
    """What was last said of a transfer."""

    def __init__(self, meter: Meter, now: float) -> None:
        self.meter = meter
        self._at = now
        self._tenth = int(meter.share * 10)

    def is_due(self, now: float) -> bool:
        """Say whether to tell again: a tenth further, or five seconds on; never twice within two seconds."""
        tenth = int(self.meter.share * 10)
        since = now - self._at
        if since < _AT_LEAST_S or (tenth == self._tenth and since < _MEANWHILE_S):
            return False
        self._at, self._tenth = now, tenth
        return True


def _progress_text(meter: Meter) -> str:
    progress, rate = meter.last, meter.rate_bps()
    done = f"{words.size_text(progress.done_bytes)} of {words.size_text(progress.total_bytes)}"
    return f"{done} ({meter.share * 100:.0f} %){'' if rate is None else f', {words.size_text(rate)}/s'}"


def _quoted(texts: Sequence[str]) -> Iterator[str]:
    yield from (f"  | {line}\n" for text in texts for line in lines(text))


def _next(hint: str) -> Iterator[str]:
    if hint:
        yield f"  next: {' '.join(lines(hint))}\n"
