"""Listings and summaries for terminals: laid out for their width, headings and verdicts in their styles."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from deployer.events import Listing, Summary
from deployer.output import words
from deployer.output.clean import one_line
from deployer.output.drawing import VERDICT_SIGNS
from deployer.output.layout import Line, lay_out
from deployer.output.texts import grid, optional, summary_grid


def listing_table(listing: Listing, width: int) -> RenderableType:
    """Return the rows as a table, or as records where the columns do not fit."""
    if not listing.shown:
        return Group(Text(one_line(listing.empty)))
    headers = [words.header_text(column) for column in listing.columns]
    laid_out = list(lay_out(headers, grid(listing), width=width, optional=optional(listing)))
    # Of a record, the first cell names the second.
    records = not laid_out[0][0]
    return Group(*(_text(line, ["bold"] if records else []) for line in laid_out))


def summary_table(summary: Summary, width: int) -> RenderableType:
    """Return one row per host: how it ended, its release now and before, how long it took, what there is to say."""
    columns, rows = summary_grid(summary)
    headers = ["", *("result" if column == "verdict" else words.header_text(column) for column in columns)]
    signed = [[VERDICT_SIGNS[host.verdict][0], *row] for host, row in zip(summary.hosts, rows, strict=True)]
    left_out = [columns.index(column) + 1 for column in ("took_s", "before") if column in columns]
    drawn, number = [], -1
    for line in lay_out(headers, signed, width=width, optional=left_out):
        number += bool(line[1]) and line[1][0][1] == 0 and not line[0]
        style = VERDICT_SIGNS[summary.hosts[max(number, 0)].verdict][1]
        drawn.append(
            _text(line, [], {0: style, columns.index("host") + 1: "cyan", columns.index("verdict") + 1: style})
        )
    return Group(*drawn)


def _text(line: Line, first: list[str], styles: dict[int, str] | None = None) -> Text:
    heading, line_cells = line
    text = Text(no_wrap=True, overflow="ignore")
    for at, (content, number) in enumerate(line_cells):
        style = "bold" if heading else first[at] if at < len(first) else (styles or {}).get(number, "")
        text.append(content, style)
    return text
