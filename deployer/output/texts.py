"""Events as plain text: what standard output gets where it is no terminal. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deployer.events import CommandLine, JournalLine, Listing, Summary
from deployer.output import words
from deployer.output.clean import cells, folded, lines, one_line
from deployer.output.layout import Line, lay_out

_ROW = re.compile(r"  [a-z]+(?: [a-z]+)* {2,}")
_FOLDED = 4
_NARROW = 20
"""Words with less room than this are left to the terminal."""
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


def listing_text(listing: Listing, *, width: int = 0) -> str:
    """Return rows as aligned columns under their headings, two spaces apart, a line for each unless there is a width."""
    if not listing.shown:
        return f"{one_line(listing.empty)}\n"
    headers = [words.header_text(column).upper() for column in listing.columns]
    return _drawn(lay_out(headers, grid(listing), width=width, optional=optional(listing)))


def grid(listing: Listing) -> list[list[str]]:
    """Return the cells of a listing's rows."""
    return [[words.cell_text(column, row.get(column)) for column in listing.columns] for row in listing.shown]


def optional(listing: Listing) -> list[int]:
    """Return the numbers of the columns that may be left out."""
    return [listing.columns.index(column) for column in listing.optional if column in listing.columns]


def summary_text(summary: Summary) -> str:
    """Return the summary's hosts as aligned columns; a column that says nothing is left out."""
    columns, rows = summary_grid(summary)
    heads = ["RESULT" if column == "verdict" else words.header_text(column).upper() for column in columns]
    return _drawn(lay_out(heads, rows)) if rows else ""


def summary_grid(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Return the columns that say something, and the cells of each host."""
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
    return columns, rows


def titled(text: str, host: str) -> str:
    """Return a text of its own, under its host where it belongs to one: a comment to units and environment files."""
    title = f"# {one_line(host)}\n" if host else ""
    body = text.removesuffix("\n")
    return f"{title}{body}\n"


def hanging(text: str, width: int) -> str:
    """Return a harmless text of rows, "  name    words", broken at words to fit a width, what is broken below the words.

    Lines that stand further in, such as those of a diff, may be copied and are never broken.
    """
    return "\n".join(piece for line in text.split("\n") for piece in _hung(line, width))


def _hung(line: str, width: int) -> Iterator[str]:
    row = _ROW.match(line)
    margin = row.end() if row else _FOLDED
    if cells(line) <= width or "\t" in line or line.startswith("   ") or width - margin < _NARROW:
        yield line
        return
    first, *more = folded(line, width, width - margin)
    yield first.rstrip(" ")
    yield from (f"{' ' * margin}{piece.rstrip(' ')}" for piece in more)


def _drawn(laid_out: Iterable[Line]) -> str:
    return "".join("".join(text for text, _ in line) + "\n" for _, line in laid_out)
