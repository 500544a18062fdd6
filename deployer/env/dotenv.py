r"""Dotenv text as people write it: `NAME=value` lines, read strictly and with a message for each thing that is odd.

Pure: text in; assignments, faults and notes out. Nothing is raised, so that a user sees all faults at once, and no
frame that holds a value in the clear is ever part of a traceback. The grammar:

- A line is blank, a comment (`# …`), or `NAME=value`. `export` before the name is dropped, with a note. Blanks around
  name and value do not count. A name may be given once.
- An unquoted value ends at the end of the line, or before a `#` with a blank in front of it. Backslashes, quotes after
  the first character and `$` are characters like any other.
- `'…'` is taken as it stands, line ends too.
- `"…"` may have line ends in it, and knows `\"`, `\\`, `\$`, `` \` ``, `\n`, `\r` and `\t`. A backslash at the end of a
  line joins it with the next one. Any other backslash is a fault: readers of dotenv files differ there.
- After a closing quote there may be a comment, with a blank before its `#`, and nothing else.
- Nothing is expanded. `${NAME}` and `$(command)` stay as they are, with a note unless they are quoted by `'…'` or `\$`.
- Lines may end in CR LF; a line end inside quotes is one LF either way. A byte order mark is dropped, with a note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from deployer.env.systemd import NAME
from deployer.model import Secret

_EXPORT: Final = re.compile(r"export[ \t]+")
_SINGLE: Final = re.compile(r"'([^']*)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_AFTER_QUOTE: Final = re.compile(r"(?:[ \t]+#[^\n]*|[ \t]*)(?=\n|\Z)")
_UNQUOTED_COMMENT: Final = re.compile(r"[ \t]+#(.?).*")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_EXPANSION: Final = re.compile(r"\$\{|\$\(|^`")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {'"': '"', "\\": "\\", "$": "$", "`": "`", "n": "\n", "r": "\r", "t": "\t", "\n": ""}
_ODD_EDGE: Final = re.compile(
    r"\A[\u00a0\u200b\ufeff\u201c\u201d\u2018\u2019]|[\u00a0\u200b\ufeff\u201c\u201d\u2018\u2019]\Z"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A variable and the line that its name is on, counted from 1."""

    name: str
    value: Secret
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """A sentence about a line; `line` 0 is about the whole text."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dotenv:
    """What a text holds. `complete` is False where its end could not be read, so that names may be missing."""

    assignments: tuple[Assignment, ...] = ()
    faults: tuple[Remark, ...] = ()
    notes: tuple[Remark, ...] = ()
    complete: bool = True


def read(content: bytes) -> Dotenv:
    """Read the content of a dotenv file, or what a command has printed.

    Bytes that are not UTF-8 stand in the values as lone surrogates, which `unfit` tells of by name.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        fault = Remark(line=1, text="the text is UTF-16; save it as UTF-8 (iconv -f utf-16 -t utf-8)")
        return Dotenv(faults=(fault,), complete=False)
    return _Reader(content.decode("utf-8", "surrogateescape")).read()


class _Reader:
    """A position in the text, and what was found up to it."""

    def __init__(self, text: str) -> None:
        self._assignments: dict[str, Assignment] = {}
        self._faults: list[Remark] = []
        self._notes: list[Remark] = []
        self._exports: list[int] = []
        if text.startswith("\ufeff"):
            self._notes.append(Remark(line=1, text="the byte order mark at the beginning is dropped"))
        if "\r\n" in text:
            line = text[: text.index("\r\n")].count("\n") + 1
            self._notes.append(Remark(line=line, text="Windows line ends are read as line ends"))
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._at = 0
        self._line = 1

    def read(self) -> Dotenv:
        complete = True
        while complete and self._at < len(self._text):
            complete = self._statement()
        if self._exports:
            more = f", as on {len(self._exports) - 1} more line(s)" if len(self._exports) > 1 else ""
            self._notes.append(Remark(line=self._exports[0], text=f'"export" before the name is dropped{more}'))
        # Often meant, and often forgotten; one line for all of them.
        if empty := [each for each in self._assignments.values() if not each.value.reveal()]:
            more = f", as {len(empty) - 1} more below" if len(empty) > 1 else ""
            self._notes.append(Remark(line=empty[0].line, text=f"{empty[0].name} is empty{more}"))
        return Dotenv(
            assignments=tuple(self._assignments.values()),
            faults=tuple(self._faults),
            notes=tuple(self._notes),
            complete=complete,
        )

    def _statement(self) -> bool:
        """Read a line, or more where a quoted value has line ends; tell whether it ended."""
        self._skip_blanks()
        if self._peek() in ("", "\n", "#"):
            self._skip_line()
            return True
        exported = _EXPORT.match(self._text, self._at)
        if exported:
            self._exports.append(self._line)
            self._at = exported.end()
        before, equals, _ = self._rest_of_line().partition("=")
        if not equals:
            self._no_equals(exported=exported is not None)
            self._skip_line()
            return True
        name, line = before.rstrip(" \t"), self._line
        good = NAME.fullmatch(name) is not None
        if not good:
            self._fault(line, _bad_name(name))
        self._at += len(before) + 1
        value = self._value(name if good else "the variable of this line")
        if value is None:
            return False
        if good:
            self._assign(Assignment(name=name, value=value, line=line))
        return True

    def _value(self, name: str) -> Secret | None:
        """Read what is after "=", up to the next line. None when a quote never closes."""
        after_equals = self._at
        self._skip_blanks()
        quote = self._peek()
        if quote not in ('"', "'"):
            return self._unquoted(name, blank_before=self._at > after_equals)
        found = (_DOUBLE if quote == '"' else _SINGLE).match(self._text, self._at)
        if not found:
            self._fault(self._line, f"{name}: no closing {quote} anywhere below; nothing after it could be read")
            return None
        body, line = found[1], self._line
        self._line += body.count("\n")
        self._at = found.end()
        if not _AFTER_QUOTE.match(self._text, self._at):
            begun = "" if self._line == line else f" of the value that begins on line {line}"
            self._fault(self._line, f"{name}: text after the closing {quote}{begun}")
        self._skip_line()
        return Secret(self._unescaped(name, body, line) if quote == '"' else body)

    def _unquoted(self, name: str, *, blank_before: bool) -> Secret:
        raw = self._rest_of_line()
        if blank_before and raw.startswith("#"):
            raw = ""
        comment = _UNQUOTED_COMMENT.search(raw)
        if comment:
            raw = raw[: comment.start()]
            if comment[1] not in ("", " ", "\t", "#"):
                self._note(f'{name}: what follows " #" is taken for a comment; quote the value if it is not one')
        value = raw.rstrip(" \t")
        if _CONTROL.search(value):
            self._fault(self._line, f"{name}: a control character in a value without quotes")
        if value.startswith("-----BEGIN ") and "-----END " not in value:
            self._fault(self._line, f"{name}: the first line of several; put the value into \"…\" or '…'")
        if _EXPANSION.search(value):
            self._not_expanded(name)
        if _ODD_EDGE.search(value):
            self._note(f"{name}: the value begins or ends with a typographic quote or a blank that cannot be seen")
        self._skip_line()
        return Secret(value)

    def _unescaped(self, name: str, body: str, line: int) -> str:
        for found in _ESCAPE.finditer(body):
            if found[1] not in _ESCAPES:
                at = line + body.count("\n", 0, found.start())
                self._fault(
                    at,
                    f"{name}: a backslash in \"…\" that begins none of {_SHOWN_ESCAPES}; write \\\\ for it, or use '…'",
                )
                break
        if _EXPANSION.search(_ESCAPE.sub("", body)):
            self._not_expanded(name, line)
        return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), body)

    def _assign(self, new: Assignment) -> None:
        first = self._assignments.setdefault(new.name, new)
        if first is not new:
            self._fault(new.line, f"{new.name}: given twice, first on line {first.line}")

    def _no_equals(self, *, exported: bool) -> None:
        # The line itself is not shown: it may be the rest of a secret that lacks its quotes.
        if exported:
            self._fault(self._line, "no value to export: write export NAME=value")
        else:
            self._fault(self._line, 'no "=" on this line; a value of several lines needs "…" or \'…\' around it')

    def _not_expanded(self, name: str, line: int = 0) -> None:
        text = f"{name}: nothing is expanded, the value keeps its ${{…}}, $(…) or backtick as it stands"
        self._notes.append(Remark(line=line or self._line, text=text))

    def _fault(self, line: int, text: str) -> None:
        self._faults.append(Remark(line=line, text=text))

    def _note(self, text: str) -> None:
        self._notes.append(Remark(line=self._line, text=text))

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_blanks(self) -> None:
        while self._peek() in (" ", "\t"):
            self._at += 1

    def _rest_of_line(self) -> str:
        end = self._text.find("\n", self._at)
        return self._text[self._at :] if end < 0 else self._text[self._at : end]

    def _skip_line(self) -> None:
        self._at += len(self._rest_of_line()) + 1
        self._line += 1


_SHOWN_ESCAPES: Final = r"\" \\ \$ \` \n \r \t"


def _bad_name(name: str) -> str:
    # What stands before the "=" is not shown: it may be a piece of a secret, such as a line of base64.
    wanted = 'a name is of letters, digits and "_", and begins with no digit'
    if not name:
        return f'there is no name before "="; {wanted}'
    if name[0] in "0123456789":
        return f'what stands before "=" begins with a digit; {wanted}'
    seen = {"-": "a hyphen", ".": "a dot", " ": "a blank", ":": "a colon", "/": "a slash", "+": "a plus sign"}
    odd = next(char for char in name if not NAME.fullmatch(f"_{char}"))
    what = seen.get(odd, "another character" if odd.isascii() else "a character that is not ASCII")
    return f'what stands before "=" has {what} in it; {wanted}'
