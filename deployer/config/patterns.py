"""What names, addresses and texts of a config may look like: regular expressions that a loader and a schema share.

Each is meant for a whole value (`re.fullmatch`; between `^` and `$` in a JSON Schema), and keeps to what Python and
ECMAScript read alike.
"""

from __future__ import annotations

from typing import Final

APP: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_.@-]*[A-Za-z0-9_.-])?"
"""A unit's name without its suffix. Not with `@` at its end: such a unit is a template, which cannot be started."""

UNIX_USER: Final = r"[A-Za-z_][A-Za-z0-9_-]*"
"""Without a dot: newer versions of systemd warn about one, and a warning about our unit stops a deploy."""
ROOT: Final = r"(?:/[A-Za-z0-9_@+][A-Za-z0-9_.@+-]*)+"
ABSOLUTE: Final = r"(?:/(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f]+)+"
VERSION: Final = r"[A-Za-z0-9][A-Za-z0-9._+~-]*"
HOST: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]*"
SHA256: Final = r"[0-9A-Fa-f]{64}"
LOCAL_PATH: Final = r"[^\x00-\x1f\x7f]+"
IS_ADDRESS: Final = r"[A-Za-z][A-Za-z0-9+.-]*://"

ONE_LINE: Final = r"[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*"
"""One line of text that is not blank."""

SHELL: Final = r"[^\x00]*[^\x00-\x20][^\x00]*"
"""A shell text for this machine: it may have lines."""

UNIT_LINE: Final = r"[^\x00-\x1f\x7f]*[^\x00-\x20\x7f\\] *"
"""One line that goes into a unit file. A backslash at its end would draw in the line below it."""

DIRECTIVE: Final = r"(?:(?:Unit|Service|Install)\.)?[A-Z][A-Za-z0-9]*"
DIRECTIVE_VALUE: Final = r"(?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f\\])?[ \t]*"

PORT: Final = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
NAME_OR_V4: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_HEX: Final = r"[0-9A-Fa-f]{1,4}"
_TAIL: Final = rf"(?:{_HEX}:{_HEX}|{_OCTET}(?:\.{_OCTET}){{3}})"


def _before(most: int) -> str:
    return rf"(?:(?:{_HEX}:){{0,{most}}}{_HEX})?"


V6: Final = (
    rf"(?:(?:{_HEX}:){{6}}{_TAIL}|::(?:{_HEX}:){{5}}{_TAIL}|{_before(0)}::(?:{_HEX}:){{4}}{_TAIL}"
    rf"|{_before(1)}::(?:{_HEX}:){{3}}{_TAIL}|{_before(2)}::(?:{_HEX}:){{2}}{_TAIL}|{_before(3)}::{_HEX}:{_TAIL}"
    rf"|{_before(4)}::{_TAIL}|{_before(5)}::{_HEX}|{_before(6)}::)"
)
"""An IPv6 address. Source: RFC 3986, section 3.2.2."""

ADDRESS: Final = rf"(?:{NAME_OR_V4}|{V6}(?:%[A-Za-z0-9_.-]+)?)"
SSH_USER: Final = r"[^\x00-\x20\x7f@:,-][^\x00-\x20\x7f:,]*"
HOP: Final = rf"(?:{SSH_USER}@)?(?:{NAME_OR_V4}|\[{V6}\])(?::{PORT})?"

HTTPS_OR_FILE: Final = (
    rf"https://(?:[^\x00-\x20\x7f/?#@\[\]]*@)?(?:\[{V6}\]|[^\x00-\x20\x7f/?#@:\[\]]+)(?::{PORT})?"
    r"(?:[/?#][^\x00-\x20\x7f]*)?|file:///[^\x00-\x20\x7f]+"
)
HTTP: Final = rf'http://(?:{NAME_OR_V4}|\[{V6}\])(?::{PORT})?(?:[/?][!-"$-~]*)?'
TCP: Final = rf"(?:(?:{NAME_OR_V4}|\[{V6}\])?:)?{PORT}"
