"""The output for people at a terminal, drawn by rich: a live area at the bottom, everything else scrolls above it.

Threads only put their events down; one thread draws them eight times a second, all that came since in one go, so a
flood of journal lines neither flickers nor holds up a deploy. No text of an event passes through rich's markup, emoji
or highlighting: it becomes a segment as it is, cleaned.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from deployer.events import CommandLine, Event, JournalLine, Listing, Summary, Text
from deployer.output import is_set
from deployer.output.clean import cells, document, folded
from deployer.output.drawing import Drawing, Line, hints
from deployer.output.live_area import LiveArea
from deployer.output.sink import Sink
from deployer.output.tables import listing_table, summary_table
from deployer.output.texts import command_text, hanging, journal_text, listing_text, titled

_INTERVAL_S = 0.125
_QUEUE_LIMIT = 20_000
_NARROW = 20
_LOG_WIDTH = 160


class Screen:
    """Draws events with rich: progress on one console, results on the other or as plain text."""

    def __init__(
        self,
        *,
        progress: Console,
        results: Console | TextIO,
        live: bool,
        starts: bool = False,
        verbose: int = 0,
        lines_are_results: bool = False,
        results_width: int = 0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Draw a live area where `live`, tell when phases start where `starts`.

        `results` is a plain stream where standard output is no terminal; listings are made to fit `results_width` there.
        """
        self._progress = progress
        self._results = results
        self._lines_are_results = lines_are_results
        self._results_width = results_width
        self._clock = clock
        self._monotonic = monotonic
        self._drawing = Drawing(verbose=verbose, starts=starts)
        self._area = LiveArea()
        self._live = _live(progress, self._area_segments) if live else None
        self._queue: deque[Event] = deque()
        self._turn = threading.RLock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._over.clear()
        self._thread = threading.Thread(target=self._keep_drawing, name="screen", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        with self._turn:
            self._draw()
            self._stop_live()
            self._print(self._progress, [self._drawn(self._drawing.closing())])

    def emit(self, event: Event) -> None:
        """Take an event from any thread; it is on the screen an eighth of a second later at most."""
        self._queue.append(event)
        # One who floods the queue helps to empty it; so does one who comes after the end.
        if self._thread is None or len(self._queue) > _QUEUE_LIMIT:
            self._draw()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the terminal still for a question or a program of its own."""
        with self._turn:
            self._draw()
            self._stop_live()
            yield

    def _keep_drawing(self) -> None:
        while not self._over.wait(_INTERVAL_S):
            self._draw()

    def _draw(self) -> None:
        with self._turn:
            scrolled: list[RenderableType] = []
            while self._queue:
                event = self._queue.popleft()
                self._area.take(event, self._monotonic())
                if self._is_result(event):
                    self._print(self._progress, scrolled)
                    scrolled = []
                    self._stop_live()
                    self._show(event)
                else:
                    scrolled += self._drawn_event(event)
            self._print(self._progress, scrolled)
            self._draw_area(drawn=bool(scrolled))

    def _is_result(self, event: Event) -> bool:
        return isinstance(event, Listing | Text) or (
            self._lines_are_results and isinstance(event, JournalLine | CommandLine)
        )

    def _drawn_event(self, event: Event) -> list[RenderableType]:
        drawn = self._drawn(self._drawing.lines(event, self._clock()))
        if isinstance(event, Summary):
            rest = self._drawing.pending.rest(event)
            return [drawn, summary_table(rest, self._progress.width), self._drawn(hints(rest))]
        return [drawn]

    def _drawn(self, lines: Iterable[Line]) -> _Drawn:
        # Drawn at once and not when rich asks: drawing moves on what is still pending.
        drawn = list(lines)
        return _Drawn(lambda options: (segment for line in drawn for segment in _segments(line, options.max_width)))

    def _show(self, event: Event) -> None:
        console = self._results
        if not isinstance(console, Console):
            console.write(self._plain_result(event))
            console.flush()
        elif isinstance(event, Listing):
            self._print(console, [listing_table(event, console.width)])
        elif isinstance(event, Text):
            text = document(event.text)
            if event.name == "plan":  # a unit is to be copied
                text = hanging(text, console.width)
            self._print(console, [_Drawn(lambda _: [Segment(titled(text, event.host))])])
        elif isinstance(event, JournalLine | CommandLine):
            self._print(console, [self._drawn(self._drawing.lines(event, self._clock()))])

    def _plain_result(self, event: Event) -> str:
        self._drawing.pending.see(event)
        match event:
            case Listing():
                return listing_text(event, width=self._results_width)
            case Text():
                return titled(document(event.text), event.host)
            case JournalLine():
                return journal_text(event, self._clock())
            case CommandLine():
                return command_text(event, named=self._drawing.pending.several)
            case _:
                return ""

    def _print(self, console: Console, drawn: list[RenderableType]) -> None:
        if drawn:
            # crop=False: lines are folded here, and a table folds its own.
            console.print(*drawn, sep="", end="", crop=False)

    def _draw_area(self, *, drawn: bool) -> None:
        if not self._live:
            return
        if not self._area:
            self._stop_live()
        elif not self._live.is_started:
            self._live.start(refresh=True)
        elif not drawn:  # printing has redrawn it already
            self._live.refresh()

    def _stop_live(self) -> None:
        if self._live and self._live.is_started:
            self._live.stop()

    def _area_segments(self, options: ConsoleOptions) -> Iterator[Segment]:
        rows = self._area.rows(width=options.max_width, height=options.size.height, now=self._monotonic())
        for row in rows:
            yield from (Segment(text, _STYLES[style]) for text, style in row)
            yield Segment.line()


def _live(console: Console, segments: Callable[[ConsoleOptions], Iterable[Segment]]) -> Live:
    return Live(
        _Drawn(segments),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


class _Drawn:
    """Segments for rich as they are: no markup, highlighting or wrapping of rich's has a hand in them.

    Ten thousand journal lines take 0.25 s from `emit` to the stream (in memory); as `rich.text.Text`, 0.45 s to print.
    """

    def __init__(self, segments: Callable[[ConsoleOptions], Iterable[Segment]]) -> None:
        self._segments = segments

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._segments(options)


class _Styles(dict[str, Style]):
    def __missing__(self, name: str) -> Style:
        return self.setdefault(name, Style.parse(name))


_STYLES = _Styles()


def _segments(line: Line, width: int) -> Iterator[Segment]:
    used = 0
    for text, style in line.head:
        used += cells(text)
        if text:
            yield Segment(text, _STYLES[style])
    if not line.body:
        yield Segment.line()
        return
    if width - used < _NARROW and cells(line.body) > width - used:
        yield Segment(f"\n{line.rest}", _STYLES["dim"])
        used = cells(line.rest)
    first, *more = folded(line.body, width - used, width - cells(line.rest))
    yield Segment(first.rstrip(" ") if more else first, _STYLES[line.style])
    for piece in more:
        yield Segment(f"\n{line.rest}", _STYLES["dim"])
        yield Segment(piece.rstrip(" ") or piece, _STYLES[line.style])
    yield Segment.line()


def open_screen(
    *,
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    verbose: int,
    lines_are_results: bool,
    fits: bool = False,
) -> Screen:
    """Return a screen on these streams: what they can show is read from them and from the environment.

    Where results `fit`, tables in a pipe are no wider than `COLUMNS` says, too.

    `NO_COLOR` takes the colours (not bold and dim); `FORCE_COLOR` gives them to a stream that is no terminal. There
    is a live area only on a terminal that can move its cursor, and none in CI: its redraws would fill the log.
    """
    progress = _console(stderr, environ)
    live = stderr.isatty() and not progress.is_dumb_terminal and not is_set(environ, "CI")
    return Screen(
        progress=progress,
        results=_console(stdout, environ) if stdout.isatty() else cast("TextIO", Sink(stdout)),
        live=live,
        starts=not live,
        verbose=verbose,
        lines_are_results=lines_are_results,
        results_width=_columns(environ) or 0 if fits else 0,
    )


def _columns(environ: Mapping[str, str]) -> int | None:
    columns = environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() else None


def _console(stream: TextIO, environ: Mapping[str, str]) -> Console:
    terminal = stream.isatty()
    return Console(
        file=cast("TextIO", Sink(stream)),
        force_terminal=terminal or is_set(environ, "FORCE_COLOR"),
        # A log has no TERM to tell what it can show.
        color_system="auto" if terminal else "standard" if is_set(environ, "FORCE_COLOR") else None,
        no_color=bool(environ.get("NO_COLOR")),  # any value but the empty one: https://no-color.org
        width=None if terminal else _columns(environ) or _LOG_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
        _environ=environ,
    )
