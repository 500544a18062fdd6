"""Rows under columns, laid out for a width: what can be copied is never broken, remarks are broken at words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from deployer.output.clean import cells, folded

Cell: TypeAlias = tuple[str, int]
"""A text, padded, and the number of its column: -1 for what belongs to none."""
Line: TypeAlias = tuple[bool, tuple[Cell, ...]]
"""Whether it is of the heading, and its cells; the last one bears no blanks at its end."""

GAP = 2
NOTHING = "-"
"""What a cell without a value holds."""
_REMARK = 24
"""Cells with blanks and more columns than this are remarks, which may be broken."""
_ROOM = 30
"""A remark beside other columns has this much room at least."""
_LONGEST = 60
"""Without a width: what is longer does not push the columns behind it aside in all other rows."""
_BELOW = "    "


def lay_out(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, width: int = 0, optional: Sequence[int] = ()
) -> Iterator[Line]:
    """Yield the lines of a table that is no wider than `width`; without one, a line for each row, however long.

    Where it does not fit, columns that say nothing are left out, and remarks go below their row, but for one in the last column that has room enough; then the
    `optional` columns are left out one by one; then each row becomes a record, a line for each column.
    """
    shown = [number for number in range(len(headers)) if any(row[number] for row in (headers, *rows))]
    if not width:
        yield from _table(headers, rows, shown, limit=_LONGEST)
        return
    widths = [max(cells(text) for text in column) for column in zip(headers, *rows, strict=True)]

    def needed(columns: Sequence[int]) -> int:
        return sum(widths[number] + GAP for number in columns) - GAP

    if needed(shown) > width:
        shown = [number for number in shown if any(row[number] != NOTHING for row in rows)] or shown
    if needed(shown) <= width:
        yield from _table(headers, rows, shown)
        return
    below = [number for number in shown if any(_is_remark(row[number]) for row in rows)]
    if below and below[0] in shown[-2:]:
        # What stands behind it makes room for it.
        below = shown[shown.index(below[0]) :]
    for left_out in range(len(optional) + 1):
        fixed = [number for number in shown if number not in below and number not in optional[:left_out]]
        if not fixed or needed(fixed) > width:
            continue
        inline = [number for number in below[:1] if number > fixed[-1]]
        if inline and width - needed(fixed) - GAP < min(_ROOM, widths[inline[0]]):
            inline = []
        yield from _table(
            headers, rows, [*fixed, *inline], width=width, below=[each for each in below if each not in inline]
        )
        return
    yield from _records(headers, rows, shown, width=width)


def _is_remark(text: str) -> bool:
    return " " in text and cells(text) > _REMARK


def _table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: Sequence[int],
    *,
    limit: int = 0,
    width: int = 0,
    below: Sequence[int] = (),
) -> Iterator[Line]:
    widths = {number: _width([cells(row[number]) for row in (headers, *rows)], limit) for number in columns}
    margin = sum(widths[number] + GAP for number in columns[:-1])
    for row in (headers, *rows):
        heading = row is headers
        first, *more = folded(row[columns[-1]], width - margin, width - margin) if width else [row[columns[-1]]]
        line = [
            (row[number] + " " * (max(widths[number] - cells(row[number]), 0) + GAP), number) for number in columns[:-1]
        ]
        yield _line(heading, [*line, (first, columns[-1])])
        for piece in more:
            yield _line(heading, [(" " * margin, -1), (piece, columns[-1])])
        if heading:
            continue
        for number in below:
            if row[number] != NOTHING:
                pieces = folded(f"{headers[number]}: {row[number]}", width - len(_BELOW), width - 2 * len(_BELOW))
                for at, piece in enumerate(pieces):
                    yield _line(heading, [(_BELOW * (2 if at else 1), -1), (piece, number)])


def _width(sizes: Sequence[int], limit: int) -> int:
    return max((size for size in sizes if not limit or size <= limit), default=0)


def _records(
    headers: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int], *, width: int
) -> Iterator[Line]:
    margin = max(cells(headers[number]) for number in columns) + GAP
    for at, row in enumerate(rows):
        if at:
            yield False, ()
        for number in columns:
            first, *more = folded(row[number], width - margin, width - margin)
            name = headers[number] + " " * (margin - cells(headers[number]))
            yield _line(False, [(name, -1), (first, number)])
            for piece in more:
                yield _line(False, [(" " * margin, -1), (piece, number)])


def _line(heading: bool, line: list[Cell]) -> Line:  # noqa: FBT001 - passed on as it is
    while line and not line[-1][0].strip(" "):
        line.pop()
    if line:
        text, number = line[-1]
        line[-1] = (text.rstrip(" "), number)
    return heading, tuple(line)
