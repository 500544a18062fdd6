"""Lines of `journalctl -o json`, as events. Pure; their text is untrusted and stays as it is."""

from __future__ import annotations

import json
from typing import Any

from deployer.events import JournalLine


def journal_line(text: str, *, host: str, before: str = "") -> JournalLine | None:
    """Return the event for one JSON line; None for a line that was cut or has no message.

    Args:
        before: systemd's invocation id of the process of before, whose lines are `old`.

    A field of journald's JSON is a text, an array of bytes (not UTF-8, or with a control character: an ANSI colour is
    enough), an array of texts (a repeated field), or null. Source: systemd, Journal Export Formats.
    """
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("MESSAGE") is None:
        return None
    return JournalLine(
        host=host,
        identifier=_text(fields.get("SYSLOG_IDENTIFIER")) or _text(fields.get("_COMM")) or "?",
        priority=_number(fields.get("PRIORITY"), default=6),
        message=_text(fields["MESSAGE"]),
        at=_number(fields.get("__REALTIME_TIMESTAMP"), default=0) / 1_000_000,
        pid=_number(fields.get("_PID"), default=0),
        old=bool(before) and before in (fields.get("_SYSTEMD_INVOCATION_ID"), fields.get("INVOCATION_ID")),
    )


def cursor_of(text: str) -> str:
    """Return the cursor of a JSON line, from which a cut follower goes on; empty where there is none."""
    try:
        return _text(json.loads(text).get("__CURSOR"))
    except (ValueError, AttributeError):
        return ""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, int) for each in value):
        return bytes(each & 0xFF for each in value).decode("utf-8", "replace")
    if isinstance(value, list):
        return " ".join(_text(each) for each in value)
    return ""


def _number(value: Any, *, default: int) -> int:
    text = _text(value)
    # A field may hold anything, and int() refuses thousands of digits; 64 bits have 20.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else default
