"""Texts that want to be more than texts: to a shell, a unit file, TOML, a terminal. For property tests."""

from __future__ import annotations

from hypothesis import strategies as st

PIECES = (
    *"'\"`\\$;&|<>(){}[]#=%@*?~!-/. \t\n\r\0",
    "\nExecStartPre=/bin/evil\n", "[Service]", "%n", "%%", "%h", "${HOME}", "$(id)", "`id`", "$$", "\\\n", "..", "../", "\\x41",
    "\x07", "\x08", "\x0b", "\x0c", "\x7f", "\x85", "\x1b", "\x1b[2J", "\x1b[1A\r", "\x1b]0;title\x07", "\x1b]8;;http://evil\x1b\\",
    "\x9b2J", "\x9d0;title\x9c", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\U000e0041", "é", "漢", "👩\u200d👧",
    "12:00:00 ", "shop", "a", "0", "]]>", "EOF", "'''", '"""', "-e", "[bold red]", ":smile:",
)  # fmt: skip

_LINES = tuple(piece for piece in PIECES if not any(char < " " or char == "\x7f" for char in piece))

texts = (
    st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), max_size=8)
    # Without control characters, so that loaders let some of them in.
    | st.lists(st.sampled_from(_LINES), max_size=6)
).map("".join)
"""Any text, made mostly of what means something to somebody."""

for_shells = texts.map(lambda text: text.replace("\0", ""))
"""The same without NUL, which no argument and no variable can hold."""
