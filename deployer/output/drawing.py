"""What each event looks like on a terminal, as styled lines. Pure: rich styles are names here, its import is elsewhere.

Every line of ours begins with a sign in the first column. What a host or a program printed begins with the gutter
`│`, also where it is folded, so that it can never be taken for a line of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, assert_never

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
    Verdict,
)
from deployer.output import words
from deployer.output.clean import cut, lines, one_line
from deployer.output.pending import Pending, now_text

Piece: TypeAlias = tuple[str, str]
"""A text and the name of its style."""

GUTTER = "│ "
_QUOTED: Piece = ("  │ ", "dim")
_FOLDED = "    "
_LINE_LIMIT = 1000
_IDENTIFIER_CELLS = 40
_MANY_HOSTS = 4
_NOTICE = 5

VERDICT_SIGNS: dict[Verdict, Piece] = {
    "changed": ("✓", "green"),
    "unchanged": ("=", "green"),
    "staged": ("+", "green"),
    "started": ("→", "cyan"),
    "rolled-back": ("←", "yellow"),
    "stopped": ("■", "red"),
    "failed": ("✗", "red"),
    "needs-person": ("!", "bold red"),
    "unknown": ("?", "magenta"),
    "skipped": ("-", "dim"),
}
_PRIORITY_STYLES = ("bold red", "red", "red", "red", "yellow", "bold", "", "dim")
_NOTE_SIGNS: dict[str, tuple[Piece, str]] = {
    "info": (("• ", "cyan"), ""),
    "warning": (("! ", "bold yellow"), "yellow"),
    "error": (("✗ ", "bold red"), "red"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line before it is folded: `head`, then `body` in `style`; folded parts of the body begin with `rest`."""

    head: tuple[Piece, ...]
    body: str = ""
    style: str = ""
    rest: str = _FOLDED


class Drawing:
    """Turns events into lines. It remembers what is told at the end (`Pending`) and whose output came last."""

    def __init__(self, *, verbose: int = 0, starts: bool = False) -> None:
        """Draw with more detail where `verbose`; tell when phases start where `starts` (there is no live area)."""
        self.pending = Pending()
        self._verbose = verbose
        self._starts = starts or verbose > 0
        self._command = ("", "")

    def lines(self, event: Event, now: float) -> Iterator[Line]:
        """Yield the lines that scroll by for an event; `now` is Unix time."""
        if isinstance(event, JournalLine):  # first: there are thousands of them
            yield from self.journal(event, now)
            return
        self.pending.see(event)
        match event:
            case CommandLine():
                yield from self.command(event)
            case PhaseStarted():
                yield from self._phase_started(event)
            case PhaseEnded() if self._verbose or not self.pending.holds(event, now):
                yield from self._phase_ended(event)
            case Note():
                yield from self._note(event)
            case Failure() if not event.host:
                yield from self._block(event, None)
            case HostEnded():
                if self.pending.several:
                    yield from self._host_ended(event)
            case Summary():
                yield from self._summary(event)
            case Failure() | PhaseEnded() | Progress() | Listing() | Text():
                pass
            case _:
                assert_never(event)

    def journal(self, event: JournalLine, now: float) -> Iterator[Line]:
        """Yield a journal line; a message of several lines keeps its gutter."""
        self.pending.see(event)
        host = f"{one_line(event.host)} " if self.pending.several else ""
        time = words.time_text(event.at, now) + " "
        sender = cut(words.sender_text(event.identifier, event.pid), _IDENTIFIER_CELLS) + ": "
        # What systemd has to say about a start that goes well is there to be found, not to be read.
        dim = event.old or (event.identifier == "systemd" and event.priority >= _NOTICE)
        style = "dim" if dim else _PRIORITY_STYLES[min(max(event.priority, 0), 7)]
        rest = GUTTER + " " * len(time)
        head: tuple[Piece, ...] = ((GUTTER + time, "dim"), (host, "cyan"), (sender, "dim"))
        for body in lines(_limited(event.message)):
            yield Line(head, body, style, rest)
            head = ((rest, "dim"),)

    def command(self, event: CommandLine) -> Iterator[Line]:
        """Yield a line of a command's output, after the command itself where another one spoke before."""
        if (event.host, event.command) != self._command:
            self._command = (event.host, event.command)
            host = f"{one_line(event.host)}: " if event.host else ""
            if not self.pending.announces(event):
                # On a host it is no prompt of this machine's.
                sign = "▸ " if event.host else "$ "
                yield Line(((sign, "bold"), (host, "cyan")), one_line(event.command), "bold")
        host = f"{one_line(event.host)} " if event.host and self.pending.several else ""
        for body in lines(_limited(event.text)):
            yield Line(((GUTTER, "dim"), (host, "cyan")), body, "", GUTTER + "  ")

    def closing(self) -> Iterator[Line]:
        """Yield what was held back for a summary that did not come."""
        for failure in self.pending.failures():
            yield from self._block(failure, self.pending.ended(failure.host))
        for ended in self.pending.untold():
            yield from self._host_ended(ended)

    def _host(self, host: str) -> Piece:
        return f"{one_line(host) or words.LOCAL:<{self.pending.host_width}} ", "cyan"

    def _phase_started(self, event: PhaseStarted) -> Iterator[Line]:
        if held := self.pending.released(event):
            yield from self._phase_ended(held[0])
        # Asked last: it takes the start for told.
        if self._starts and (self._verbose or words.is_told(event)) and not self.pending.repeats(event):
            what = self._host(event.host), (f"{one_line(event.phase):<8}", "")
            yield from _said(what, ("· ", "dim"), event.text, "dim")

    def _phase_ended(self, event: PhaseEnded) -> Iterator[Line]:
        sign = ("✓ ", "green") if event.ok else ("✗ ", "bold red")
        what = (
            self._host(event.host),
            (f"{one_line(event.phase):<8}  ", "" if event.ok else "red"),
            (f"{words.took_text(event.took_s):>6}", "dim"),
        )
        # The live area shows where each of many hosts is; only what fails scrolls by.
        if self._starts or not event.ok or self.pending.count <= _MANY_HOSTS:
            yield from _said(what, sign, event.text, "" if event.ok else "red")

    def _note(self, event: Note) -> Iterator[Line]:
        sign, style = _NOTE_SIGNS[event.level]
        host: tuple[Piece, ...] = ((f"{one_line(event.host)}:", "cyan"),) if event.host else ()
        yield from _said(host, sign, event.text, style, " ")
        yield from _next(event.hint)

    def _block(self, event: Failure, ended: HostEnded | None) -> Iterator[Line]:
        yield Line(())
        host: tuple[Piece, ...] = ((f"{one_line(event.host)}:", "bold cyan"),) if event.host else ()
        yield from _said(host, ("✗ ", "bold red"), event.message, "bold red", " ")
        if ended and (state := now_text(event, ended)):
            yield Line((("  now: ", "bold"),), state)
        for detail in event.details:
            yield from (Line((_QUOTED,), body, "", _QUOTED[0] + "  ") for body in lines(detail))
        evidence = event.evidence if self._verbose else event.evidence[-words.EVIDENCE_LINES :]
        if evidence:
            yield Line((("  the end of its journal:", "bold"),))
        for entry in evidence:
            yield from (Line((_QUOTED,), body, "", _QUOTED[0] + "  ") for body in lines(_limited(entry)))
        yield from _next(event.hint)

    def _host_ended(self, event: HostEnded) -> Iterator[Line]:
        self.pending.tell(event.host)
        sign, style = VERDICT_SIGNS[event.verdict]
        what: tuple[Piece, ...] = (
            self._host(event.host),
            (f"{words.VERDICTS[event.verdict]}", style),
            (f"  {one_line(event.release)}" if event.release else "", ""),
            (f"  before: {one_line(event.before)}" if event.before not in ("", event.release) else "", "dim"),
            (f"  {words.took_text(event.took_s)}" if event.took_s else "", "dim"),
        )
        yield from _said(what, (f"{sign} ", style), event.text, "")
        yield from _next(event.hint)

    def _summary(self, event: Summary) -> Iterator[Line]:
        ended = {host.host: host for host in event.hosts}
        for failure in self.pending.failures():
            yield from self._block(failure, ended.get(failure.host))
        for host in ended:
            self.pending.tell(host)
        yield Line(())
        sign = ("✓ ", "bold green") if event.exit_code == 0 else ("✗ ", "bold red")
        title = " ".join(lines(event.title))
        end = f", exit status {event.exit_code}" if event.exit_code else ""
        yield Line((sign,), f"{title} ({words.took_text(event.took_s)}{end})", "bold")


def hints(event: Summary) -> Iterator[Line]:
    """Yield what to type next after a summary, each hint once."""
    for hint in dict.fromkeys(host.hint for host in event.hosts):
        yield from _next(hint)


def _said(what: tuple[Piece, ...], sign: Piece, text: str, style: str, gap: str = "  ") -> Iterator[Line]:
    first, *more = lines(text)
    yield Line((sign, *what, (gap if what and first else "", "")), first, style)
    for body in more:
        yield Line((_QUOTED,), body, style, _QUOTED[0] + "  ")


def _next(hint: str) -> Iterator[Line]:
    if hint:
        yield Line((("  next: ", "bold"),), " ".join(lines(hint)), "bold", _FOLDED)


def _limited(text: str) -> str:
    if len(text) <= _LINE_LIMIT:
        return text
    return f"{text[:_LINE_LIMIT]} … ({len(text) - _LINE_LIMIT:,} more characters)"
