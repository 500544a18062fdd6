"""The live area at the bottom of a terminal: a row per host at work, and who waits. Pure; rich is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployer.events import Event, HostEnded, PhaseEnded, PhaseStarted, Progress, Summary
from deployer.output import words
from deployer.output.clean import cells, cut, one_line
from deployer.output.drawing import Piece
from deployer.output.meter import Meter

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_S = 8
_MAX_ROWS = 12
_NAME_CELLS = 24
_BAR_CELLS = (10, 24)


@dataclass(slots=True)
class _Row:
    host: str
    phase: str
    text: str
    since: float
    waits: bool = False
    meter: Meter | None = field(default=None)


class LiveArea:
    """What is under way. `now` is monotonic throughout."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def take(self, event: Event, now: float) -> None:
        """Follow an event."""
        match event:
            case PhaseStarted(host=host, phase=phase, text=text):
                self._start_phase(host, phase, one_line(text), now)
            case PhaseEnded(host=host):
                self._end_phase(host)
            case Progress(host=host):
                self._progress(event, now)
            case HostEnded(host=host):
                self._rows.pop(host, None)
            case Summary():
                self._rows.clear()
            case _:
                pass

    def rows(self, *, width: int, height: int, now: float) -> list[list[Piece]]:
        """Return the rows to draw, none wider than `width - 1`: hosts at work one by one, those that wait in one row."""
        working = [row for row in self._rows.values() if not row.waits]
        waiting = [_name(row) for row in self._rows.values() if row.waits]
        room = max(min(_MAX_ROWS, height // 2), 2)
        shown = working if len(working) <= room else working[: room - 1]
        names = min(max((cells(_name(row)) for row in shown), default=0), _NAME_CELLS)
        drawn = [_row_pieces(row, names=names, width=width - 1, now=now) for row in shown]
        if hidden := len(working) - len(shown):
            drawn.append([(cut(f"  and {hidden} more at work", width - 1), "dim")])
        if waiting and len(self._rows) > 1:  # one alone waits for nobody: it is between two phases
            drawn.append([(_waiting_text(waiting, width - 1), "dim")])
        return drawn

    def _start_phase(self, host: str, phase: str, text: str, now: float) -> None:
        row = self._rows.get(host)
        if row and row.phase == phase and not row.waits:
            row.text = text  # the same phase has more to tell; its time goes on
        else:
            self._rows[host] = _Row(host, phase, text, now)

    def _end_phase(self, host: str) -> None:
        row = self._rows.get(host)
        if not host:
            self._rows.pop(host, None)  # nothing on this machine waits for its turn
        elif row:
            row.waits, row.meter, row.text = True, None, ""

    def _progress(self, event: Progress, now: float) -> None:
        row = self._rows.get(event.host)
        if row is None or row.phase != event.phase:
            row = self._rows[event.host] = _Row(event.host, event.phase, "", now)
        if row.meter is None:
            row.meter = Meter(event, now)
        else:
            row.meter.add(event, now)


def _name(row: _Row) -> str:
    return cut(one_line(row.host) or words.LOCAL, _NAME_CELLS)


def _row_pieces(row: _Row, *, names: int, width: int, now: float) -> list[Piece]:
    name = _name(row)
    padded = name + " " * (names - cells(name)) + " "
    sign = _SPINNER[int(now * _FRAMES_PER_S) % len(_SPINNER)]
    head: list[Piece] = [(f"{sign} ", "cyan"), (padded, "cyan"), (f"{one_line(row.phase):<8} ", "")]
    took = words.took_text(now - row.since)
    room = width - sum(cells(text) for text, _ in head)
    if row.meter:
        return _fitted([*head, *_meter_pieces(row.meter, room)], width)
    return _fitted([*head, (f"{took:>6}  ", "dim"), (row.text, "")], width)


def _waiting_text(names: list[str], width: int) -> str:
    text = f"· waiting: {', '.join(names)}"
    shown = len(names)
    while cells(text) > width and shown > 1:
        shown -= 1
        text = f"· waiting: {', '.join(names[:shown])} and {len(names) - shown} more"
    return cut(text, width)


def _meter_pieces(meter: Meter, room: int) -> list[Piece]:
    progress = meter.last
    unit = words.size_unit(progress.total_bytes)
    rate, left = meter.rate_bps(), meter.left_s()
    done = f"{words.size_text(progress.done_bytes, unit)} of {words.size_text(progress.total_bytes)}"
    parts = [f"{meter.share * 100:3.0f} %", f"  {done:>17}"]
    parts.append("" if rate is None else f"  {words.size_text(rate)}/s")
    parts.append("" if left is None else f"  {words.took_text(left)} left")
    while len(parts) > 1 and sum(map(len, parts)) > room:
        parts.pop()
    bar = min(room - sum(map(len, parts)) - 1, _BAR_CELLS[1])
    full = int(bar * meter.share)
    pieces: list[Piece] = [] if bar < _BAR_CELLS[0] else [("━" * full, "green"), ("━" * (bar - full) + " ", "dim")]
    return [*pieces, ("".join(parts).lstrip(), "")]


def _fitted(pieces: list[Piece], width: int) -> list[Piece]:
    fitted: list[Piece] = []
    for text, style in pieces:
        shown = cut(text, width)
        fitted.append((shown, style))
        width -= cells(shown)
    return fitted
