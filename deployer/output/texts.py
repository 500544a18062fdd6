"""Events as plain text: what standard output gets where it is no terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.events import CommandLine, JournalLine, Listing, Summary
from deployer.output import words
from deployer.output.clean import cells, lines, one_line

_PRIORITIES = {0: " emergency", 1: " alert", 2: " critical", 3: " error", 4: " warning"}


def journal_text(event: JournalLine, now: float) -> str:
    """Return a journal line; each line of a message of several carries the host's name."""
    head = f"{one_line(event.host)} | "
    mark = (" (before)" if event.old else "") + _PRIORITIES.get(event.priority, "")
    sender = f"{words.time_text(event.at, now)} {words.sender_text(event.identifier, event.pid)}{mark}: "
    first, *more = lines(event.message)
    return "".join(f"{head}{text}\n" for text in (sender + first, *(" " * 9 + text for text in more)))


def command_text(event: CommandLine, *, named: bool) -> str:
    """Return a line of a command's output, with the name of the host where it is wanted."""
    head = f"{one_line(event.host) or words.LOCAL} | " if named else ""
    return "".join(f"{head}{text}\n" for text in lines(event.text))


def listing_text(listing: Listing) -> str:
    """Return rows as aligned columns under their headings, two spaces apart."""
    if not listing.rows:
        return f"{one_line(listing.empty)}\n"
    rows = [[words.cell_text(column, row.get(column)) for column in listing.columns] for row in listing.rows]
    return _aligned([[words.header_text(column).upper() for column in listing.columns], *rows])


def summary_text(summary: Summary) -> str:
    """Return the summary's hosts as aligned columns; a column that says nothing is left out."""
    columns = [
        column
        for column in ("host", "verdict", "release", "before", "took_s", "text")
        if any(getattr(host, column) for host in summary.hosts)
    ]
    rows = [
        [
            words.VERDICTS[host.verdict]
            if column == "verdict"
            else words.cell_text(column, getattr(host, column) or None)
            for column in columns
        ]
        for host in summary.hosts
    ]
    heads = ["RESULT" if column == "verdict" else words.header_text(column).upper() for column in columns]
    return _aligned([heads, *rows]) if rows else ""


def titled(text: str, host: str) -> str:
    """Return a text of its own, under its host where it belongs to one: a comment to units and environment files."""
    title = f"# {one_line(host)}\n" if host else ""
    body = text.removesuffix("\n")
    return f"{title}{body}\n"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(cells(text) for text in column) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(text + " " * (width - cells(text)) for text, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in rows
    )
