"""On which line of a TOML text each key stands; tomli does not tell.

Pure, and only as clever as that needs: values are skipped, not read, and a text that is no TOML yields the keys up to
the place that cannot be read. Source: https://toml.io/en/v1.1.0.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

import tomli

from deployer.config.faults import Step, Trail

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r"""\"{3}(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}|"(?:[^"\\\n]|\\.)*"|'{3}(?:[^']|'{1,2}(?!'))*'{3,5}|'[^'\n]*'""",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\r\n]+")


class _UnreadableError(Exception):
    """The text is no TOML from here on."""


@dataclass(kw_only=True, slots=True)
class _Open:
    """A table or an array that is being read; `count` numbers the elements of an array."""

    trail: Trail
    array: bool = False
    count: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """A key or table that is given a second time."""

    trail: Trail
    first: int
    second: int


@dataclass(kw_only=True, slots=True)
class Lines:
    """Lines by trail, counted from 1: `at` has tables, keys and elements of arrays; `repeats` what stands twice."""

    at: dict[Trail, int] = field(default_factory=dict)
    repeats: list[Repeat] = field(default_factory=list)
    _said: set[Trail] = field(default_factory=set)

    def of(self, trail: Trail) -> int:
        """Return the line of a trail, or of the nearest table or key around it; 1 where there is none."""
        for end in range(len(trail), 0, -1):
            if trail[:end] in self.at:
                return self.at[trail[:end]]
        return 1

    def imply(self, trail: Trail, line: int) -> None:
        self.at.setdefault(trail, line)

    def say(self, trail: Trail, line: int) -> None:
        """Note where a trail is given by its own header or key: that line is better than one that implies it."""
        if trail in self._said:
            self.repeats.append(Repeat(trail=trail, first=self.at[trail], second=line))
            return
        self._said.add(trail)
        self.at[trail] = line


def lines(text: str) -> Lines:
    """Return the lines of all keys of a TOML text."""
    reader = _Reader(text)
    try:
        reader.read()
    except _UnreadableError:
        # tomli has the say on what is wrong; what was read up to here is still of use for its message.
        return reader.found
    return reader.found


class _Reader:
    """Goes over a text once. Open arrays and inline tables are on a stack of our own: Python's is not deep enough."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.found = Lines()
        self.counts: dict[Trail, int] = {}
        self.open = [_Open(trail=())]

    def read(self) -> None:
        while True:
            self._skip(_BLANK)
            top = self.open[-1]
            char = self.text[self.position : self.position + 1]
            if not char:
                return
            if len(self.open) == 1:
                self._header() if char == "[" else self._pair(top)
            elif char == ",":
                self.position += 1
            elif char == ("]" if top.array else "}"):
                self.position += 1
                self.open.pop()
            elif top.array:
                self._element(top)
            else:
                self._pair(top)

    def _header(self) -> None:
        array = self.text.startswith("[[", self.position)
        self.position += 2 if array else 1
        line = self._line()
        key = self._key()
        self._expect("]]" if array else "]")
        trail = self._through(key[:-1], line)
        trail = (*trail, key[-1])
        if array:
            self.found.imply(trail, line)
            index = self.counts.get(trail, 0)
            self.counts[trail] = index + 1
            trail = (*trail, index)
        elif trail in self.counts:
            raise _UnreadableError
        self.found.say(trail, line)
        self.open[0].trail = trail

    def _through(self, key: Trail, line: int) -> Trail:
        """Return the trail of a header's parents, each array of tables entered at its last element."""
        trail: Trail = ()
        for part in key:
            trail = (*trail, part)
            self.found.imply(trail, line)
            if trail in self.counts:
                trail = (*trail, self.counts[trail] - 1)
        return trail

    def _pair(self, top: _Open) -> None:
        line = self._line()
        key = self._key()
        for end in range(1, len(key)):
            self.found.imply((*top.trail, *key[:end]), line)
        trail = (*top.trail, *key)
        self._expect("=")
        self.found.say(trail, line)
        self._value(trail)

    def _element(self, top: _Open) -> None:
        trail = (*top.trail, top.count)
        top.count += 1
        self.found.say(trail, self._line())
        self._value(trail)

    def _value(self, trail: Trail) -> None:
        self._skip(_SPACE)
        char = self.text[self.position : self.position + 1]
        if char in {"[", "{"}:
            self.position += 1
            self.open.append(_Open(trail=trail, array=char == "["))
        else:
            self._take(_STRING if char in {'"', "'"} else _SCALAR)

    def _key(self) -> Trail:
        parts: list[Step] = []
        while True:
            self._skip(_SPACE)
            quoted = self.text[self.position : self.position + 1] in {'"', "'"}
            part = self._take(_STRING if quoted else _BARE)
            parts.append(_unquoted(part) if quoted else part)
            self._skip(_SPACE)
            if not self.text.startswith(".", self.position):
                return tuple(parts)
            self.position += 1

    def _line(self) -> int:
        return bisect_right(self.newlines, self.position) + 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.position)
        self.position = match.end() if match else self.position

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise _UnreadableError
        self.position = match.end()
        return match.group()

    def _expect(self, mark: str) -> None:
        self._skip(_SPACE)
        if not self.text.startswith(mark, self.position):
            raise _UnreadableError
        self.position += len(mark)


def _unquoted(part: str) -> str:
    # tomli knows the escapes; a second table of them here could differ from it.
    try:
        [(key, _)] = tomli.loads(f"{part} = 0").items()
    except tomli.TOMLDecodeError as error:
        raise _UnreadableError from error
    return key
