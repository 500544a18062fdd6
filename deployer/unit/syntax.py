"""The grammar of unit files: sections, directives, continued lines; and how a value is written so that it is read back.

Source: systemd.syntax(7), and systemd's `config_parse`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from deployer.errors import UsageError

_BLANKS: Final = " \t\n\r"
_SECTION: Final = re.compile(r"\[([^\]]*)\]\s*")
_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9_@+.,:=~%/-]*")
_PLAIN_VARIABLE: Final = re.compile(r"[A-Za-z0-9_.,:/@+=~-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Directive:
    """`key=value` of a section. `line` is where it begins, counted from 1 (0 where it was not read from a text)."""

    section: str
    key: str
    value: str
    line: int = 0


def directives(text: str) -> Iterator[Directive]:
    """Yield the directives of a unit, continued lines joined with a blank as systemd does. What is neither is skipped."""
    section = ""
    for line, logical in _logical_lines(text):
        header = _SECTION.fullmatch(logical)
        if header:
            section = header[1]
            continue
        key, equals, value = logical.partition("=")
        if equals:
            yield Directive(section=section, key=key.strip(_BLANKS), value=value.strip(_BLANKS), line=line)


def literal(text: str) -> str:
    """Return the text of a value in which systemd would expand specifiers, so that it does not."""
    return text.replace("%", "%%")


def path_text(path: PurePosixPath) -> str:
    """Return an absolute path as it can stand in any directive, quoted or not.

    Raises:
        UsageError: It has a character that would need another spelling in each directive (a blank, a quote, a wildcard).
    """
    if not _PLAIN_PATH.fullmatch(str(path)):
        raise UsageError(
            f"the path {str(path)!r} cannot stand in a unit file: only letters, digits and _@+.,:=~%/- can",
            hint="set [app] root to a path without blanks, quotes and wildcards",
        )
    return literal(str(path))


def variable_text(name: str, value: str) -> str:
    """Return `NAME=value` as one word of `Environment=`."""
    if _PLAIN_VARIABLE.fullmatch(value):
        return f"{name}={value}"
    return f'"{name}={"".join(_escaped(char) for char in literal(value))}"'


def seconds_text(seconds: float) -> str:
    """Return a time span that systemd reads, to the millisecond: "90s", "0.3s"."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return f"\\x{ord(char):02x}" if char < " " or char == "\x7f" else char


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number: blanks in front and comments gone, continued ones in one piece."""
    held, begun = "", 0
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.lstrip(_BLANKS).removesuffix("\r")
        if line.startswith(("#", ";")) or (not line and not begun):
            continue
        begun = begun or number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        yield begun, held + line
        held, begun = "", 0
    if begun:
        yield begun, held
