"""Environment files in systemd's own grammar: writing them so that every value comes back exactly, and reading them.

Pure. Source of the grammar: systemd's `src/basic/env-file.c`, and reading back through real services.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from deployer.errors import EnvError
from deployer.model import Secret

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

LONGEST_BYTES: Final = 131_071
"""One `NAME=value` that execve(2) takes: MAX_ARG_STRLEN of Linux, without the NUL at its end."""

TOTAL_BYTES: Final = (2 << 20) - (64 << 10)
"""All variables together, each with a NUL and a pointer: a quarter of the usual 8 MiB stack, less room for arguments."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NONCHARACTER: Final = re.compile(
    "[\ufdd0-\ufdef" + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)) + "]"
)
# What double quotes do not take as it stands. A backslash before anything else would stay in the value.
_ESCAPED: Final = re.compile(r'["\\`$]')


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Names that differ between two environments, each tuple in order of the alphabet."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def unfit(name: str, value: Secret) -> str:
    """Return why systemd could not carry a variable, or an empty text. The value is not in the answer."""
    text = value.reveal()
    if not NAME.fullmatch(name):
        return 'its name is not of letters, digits and "_", beginning with none of the digits'
    if "\0" in text:
        return "its value has a NUL in it, which no environment can hold"
    if _SURROGATE.search(text):
        return "its value is not UTF-8, which systemd refuses"
    if _NONCHARACTER.search(text):
        return "its value has a Unicode noncharacter in it (such as U+FFFE), which systemd refuses"
    if _size_bytes(name, text) > LONGEST_BYTES:
        return f"name and value are longer than {LONGEST_BYTES} bytes, which is the most that Linux hands to a program"
    return ""


def oversize(values: Mapping[str, Secret]) -> str:
    """Return why the variables together are too many for a program, or an empty text. Asks for fit ones only."""
    total = sum(_size_bytes(name, value.reveal()) + 1 + 8 for name, value in values.items())
    if total <= TOTAL_BYTES:
        return ""
    return f"the variables together take {total} bytes; Linux hands no more than about {TOTAL_BYTES} to a program"


def encode(values: Mapping[str, Secret]) -> Secret:
    """Return the text of an `EnvironmentFile=` that holds exactly these values, names in order of the alphabet.

    Raises:
        EnvError: systemd cannot carry one of them; `details` names each.
    """
    faults = [f"{name}: {why}" for name, value in values.items() if (why := unfit(name, value))]
    if not faults and (why := oversize(values)):
        faults.append(why)
    if faults:
        raise EnvError("the environment cannot be written for systemd", details=tuple(faults))
    return Secret("".join(_line(name, values[name]) for name in sorted(values)))


def parse_systemd(text: str, *, systemd: int = 254) -> dict[str, Secret]:
    r"""Return what systemd reads from an environment file, in order of first appearance.

    Args:
        systemd: The version that reads. Before 254, a `\` at the end of a comment swallowed the line below it.

    Nothing is refused: what systemd passes over (a line without "=", an impossible name) is passed over, an unterminated
    quote goes on to the end of the file, and a later line of the same name wins. A whole file that systemd would refuse
    (a NUL, a value that is not UTF-8) is read for what it has.
    """
    found = _Reader(comment_continues=systemd < 254).read(text)
    return {name: Secret(value) for name, value in found.items() if NAME.fullmatch(name)}


def compare(before: Mapping[str, Secret], after: Mapping[str, Secret]) -> Difference:
    """Return the names that were added, changed and removed."""
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name])),
        removed=tuple(sorted(before.keys() - after.keys())),
    )


def _line(name: str, value: Secret) -> str:
    # Always double quotes: single ones cannot hold a single quote, and unquoted values lose blanks at their end.
    return f'{name}="{_ESCAPED.sub(_backslashed, value.reveal())}"\n'


def _backslashed(found: re.Match[str]) -> str:
    return "\\" + found[0]


def _size_bytes(name: str, text: str) -> int:
    return len(name) + 1 + len(text.encode("utf-8", "surrogatepass"))


class _State(Enum):
    BEFORE_NAME = auto()
    NAME = auto()
    BEFORE_VALUE = auto()
    VALUE = auto()
    VALUE_ESCAPE = auto()
    SINGLE = auto()
    DOUBLE = auto()
    DOUBLE_ESCAPE = auto()
    COMMENT = auto()
    COMMENT_ESCAPE = auto()


_BLANKS: Final = " \t\n\r"
_LINE_ENDS: Final = "\n\r"


class _Reader:
    """systemd's state machine: a character and a state give the next state."""

    def __init__(self, *, comment_continues: bool) -> None:
        self.found: dict[str, str] = {}
        self._comment_continues = comment_continues
        self._state = _State.BEFORE_NAME
        self._name = ""
        self._value = ""
        # How long an unquoted value is without the blanks at its end.
        self._solid = 0
        self._steps = {
            _State.BEFORE_NAME: self._before_name,
            _State.NAME: self._in_name,
            _State.BEFORE_VALUE: self._before_value,
            _State.VALUE: self._in_value,
            _State.VALUE_ESCAPE: self._in_value_escape,
            _State.SINGLE: self._in_single,
            _State.DOUBLE: self._in_double,
            _State.DOUBLE_ESCAPE: self._in_double_escape,
            _State.COMMENT: self._in_comment,
            _State.COMMENT_ESCAPE: self._in_comment_escape,
        }

    def read(self, text: str) -> dict[str, str]:
        for char in text:
            self._state = self._steps[self._state](char)
        if self._state is _State.VALUE:
            self._value = self._value[: self._solid]
        if self._state not in (_State.BEFORE_NAME, _State.NAME, _State.COMMENT, _State.COMMENT_ESCAPE):
            self._take()
        return self.found

    def _take(self) -> _State:
        self.found[self._name.rstrip(_BLANKS)] = self._value
        self._name = self._value = ""
        return _State.BEFORE_NAME

    def _before_name(self, char: str) -> _State:
        if char in "#;":
            return _State.COMMENT
        if char in _BLANKS:
            return _State.BEFORE_NAME
        self._name = char
        return _State.NAME

    def _in_name(self, char: str) -> _State:
        if char in _LINE_ENDS:
            return _State.BEFORE_NAME
        if char == "=":
            self._value = ""
            self._solid = 0
            return _State.BEFORE_VALUE
        self._name += char
        return _State.NAME

    def _before_value(self, char: str) -> _State:
        # Also after a closing quote: quoted pieces join, and blanks between them go.
        if char in _LINE_ENDS:
            return self._take()
        if char in _BLANKS:
            return _State.BEFORE_VALUE
        starts = {"'": _State.SINGLE, '"': _State.DOUBLE, "\\": _State.VALUE_ESCAPE}
        if char in starts:
            return starts[char]
        return self._add(char)

    def _in_value(self, char: str) -> _State:
        if char in _LINE_ENDS:
            self._value = self._value[: self._solid]
            return self._take()
        if char == "\\":
            self._solid = len(self._value)
            return _State.VALUE_ESCAPE
        if char in _BLANKS:
            self._value += char
            return _State.VALUE
        return self._add(char)

    def _in_value_escape(self, char: str) -> _State:
        if char in _LINE_ENDS:
            self._solid = len(self._value)
            return _State.VALUE
        return self._add(char)

    def _add(self, char: str) -> _State:
        self._value += char
        self._solid = len(self._value)
        return _State.VALUE

    def _in_single(self, char: str) -> _State:
        if char == "'":
            return _State.BEFORE_VALUE
        self._value += char
        return _State.SINGLE

    def _in_double(self, char: str) -> _State:
        if char == '"':
            return _State.BEFORE_VALUE
        if char == "\\":
            return _State.DOUBLE_ESCAPE
        self._value += char
        return _State.DOUBLE

    def _in_double_escape(self, char: str) -> _State:
        if char in '"\\`$':
            self._value += char
        elif char != "\n":
            self._value += "\\" + char
        return _State.DOUBLE

    def _in_comment(self, char: str) -> _State:
        if char == "\\":
            return _State.COMMENT_ESCAPE
        return _State.BEFORE_NAME if char in _LINE_ENDS else _State.COMMENT

    def _in_comment_escape(self, char: str) -> _State:
        ends = char in _LINE_ENDS and not self._comment_continues
        return _State.BEFORE_NAME if ends else _State.COMMENT
