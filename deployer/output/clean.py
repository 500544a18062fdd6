r"""Untrusted text made harmless: what a host or a program printed, fit to be shown on a terminal.

Control characters, escape sequences, bidirectional overrides and invisible characters come out as the escapes a
programmer would type (`\x1b`, `\u202e`), never as themselves. Ordinary text, wide characters and combining marks
stay as they are. Where the text is shown, and with which gutter, is the drawing's business.
"""

from __future__ import annotations

import re
import unicodedata

# By hand and not by unicodedata.category over all code points: that takes 0.13 s at import.
# Kept on purpose: U+200C and U+200D, which Persian, Indic scripts and emoji need, and the visible Arabic number signs.
_HARMFUL = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: among them ESC, CR, BEL, and CSI as one character
    "\xad\u061c\u180e"  # soft hyphen, Arabic letter mark, Mongolian vowel separator
    "\u200b\u200e\u200f"  # zero-width space, direction marks
    "\u2028\u2029\u202a-\u202e"  # line and paragraph separator, embeddings and overrides
    "\u2060-\u206f\ufeff\ufff0-\ufffb"  # joiners, isolates, byte order mark, annotations
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # shorthand and musical format controls
    "\U000e0000-\U000e0fff"  # tags: text that no one sees
    "\ud800-\udfff"  # surrogates: what was not UTF-8; they cannot be written
    "]"
)
_SHORT = {"\n": "\\n", "\r": "\\r"}
_ZERO_WIDTH = frozenset({"Mn", "Me", "Cf"})


def one_line(text: str) -> str:
    r"""Return the text as one harmless line: a line feed shows as `\n`, tabs are expanded to 8 columns."""
    return text if _is_plain(text) else _tabs_expanded(_escaped(text, but="\t"))


def lines(text: str) -> tuple[str, ...]:
    """Return the text's lines, each harmless. Only a line feed ends a line; one at the very end adds no empty line."""
    if _is_plain(text):
        return (text,)
    return tuple(one_line(line) for line in text.removesuffix("\n").split("\n"))


def _is_plain(text: str) -> bool:
    """Is it most texts, which need no further look? Of others, Python calls variation selectors printable."""
    return text.isascii() and text.isprintable()


def document(text: str) -> str:
    """Return a text of several lines harmless, its line feeds and tabs as they are."""
    return _escaped(text, but="\n\t")


def cells(text: str) -> int:
    """Return how many columns of a terminal a harmless text takes at most.

    An upper bound where terminals differ: joined emoji count as if they stood apart, so that a line that fits by this
    count is never wrapped by the terminal itself.
    """
    return len(text) if text.isascii() else sum(map(_cell, text))


def folded(text: str, first: int, rest: int) -> list[str]:
    """Cut a harmless text into pieces that fit `first` columns, then `rest` columns each; after a space where one is near.

    Joined together, the pieces are the text. There is at least one piece.
    """
    pieces: list[str] = []
    room = max(first, 1)
    while cells(text) > room:
        end = max(_fitting(text, room), 1)
        space = text.rfind(" ", end // 3, end)
        end = space + 1 if space > 0 else end
        pieces.append(text[:end])
        text, room = text[end:], max(rest, 2)
    return [*pieces, text]


def cut(text: str, room: int) -> str:
    """Return the harmless text if it fits `room` columns, else its start and an ellipsis."""
    if cells(text) <= room:
        return text
    return text[: _fitting(text, room - 1)] + "…" if room > 0 else ""


def _fitting(text: str, room: int) -> int:
    if text.isascii():
        return max(room, 0)
    used = 0
    for index, char in enumerate(text):
        used += _cell(char)
        if used > room:
            return index
    return len(text)


def _cell(char: str) -> int:
    if char == "\ufe0f":  # asks for the emoji form of what stands before it, which takes one column more
        return 1
    if unicodedata.east_asian_width(char) in "WF":
        return 2
    return 0 if unicodedata.category(char) in _ZERO_WIDTH else 1


def _tabs_expanded(text: str) -> str:
    # By hand: str.expandtabs counts a wide character as one column.
    if "\t" not in text:
        return text
    head, *parts = text.split("\t")
    for part in parts:
        head += " " * (8 - cells(head) % 8) + part
    return head


def _escaped(text: str, *, but: str) -> str:
    return _HARMFUL.sub(lambda match: match[0] if match[0] in but else _escape(match), text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
