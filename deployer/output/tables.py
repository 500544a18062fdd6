"""Listings and summaries as rich tables: no borders, nothing cut, columns folded where a terminal is narrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployer.events import Listing, Summary
from deployer.output import words
from deployer.output.clean import cells, one_line
from deployer.output.drawing import VERDICT_SIGNS

_GAP = 2
_READABLE = 14


def listing_table(listing: Listing, width: int) -> RenderableType:
    """Return the rows as a table, or one under the other where the columns would be too narrow to read."""
    if not listing.rows:
        return Group(Text(one_line(listing.empty)))
    grid = [[words.cell_text(column, row.get(column)) for column in listing.columns] for row in listing.rows]
    headers = [words.header_text(column) for column in listing.columns]
    needed = (min(max(cells(text) for text in column), _READABLE) + _GAP for column in zip(headers, *grid, strict=True))
    if sum(needed) - _GAP > width:
        return _records(headers, grid)
    table = _table(headers)
    for cells_of_row in grid:
        table.add_row(*(Text(text) for text in cells_of_row))
    return table


def summary_table(summary: Summary) -> Table:
    """Return one row per host: how it ended, its release now and before, how long it took, what there is to say."""
    shown = [
        column
        for column in ("release", "before", "took_s", "text")
        if any(getattr(host, column) for host in summary.hosts)
    ]
    table = _table(["", "host", "result", *(words.header_text(column) for column in shown)])
    for host in summary.hosts:
        sign, style = VERDICT_SIGNS[host.verdict]
        values: Mapping[str, Any] = {column: getattr(host, column) or None for column in shown}
        table.add_row(
            Text(sign, style=style),
            Text(one_line(host.host), style="cyan"),
            Text(words.VERDICTS[host.verdict], style=style),
            *(Text(words.cell_text(column, value)) for column, value in values.items()),
        )
    return table


def _table(headers: list[str]) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold", show_edge=False)
    for header in headers:
        table.add_column(Text(header), overflow="fold")
    return table


def _records(headers: list[str], grid: list[list[str]]) -> Group:
    parts: list[RenderableType] = []
    for row in grid:
        table = Table.grid(padding=(0, _GAP, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for header, text in zip(headers, row, strict=True):
            table.add_row(Text(header, style="bold"), Text(text))
        parts += [Text(""), table] if parts else [table]
    return Group(*parts)
