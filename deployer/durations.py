"""Durations as people write them: "5s", "1h30m", or a number of seconds. Pure: text to seconds and back."""

from __future__ import annotations

import math
import re
from typing import Final

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
PATTERN: Final = f"(?=[0-9])(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?"
"""What a written duration looks like, for `re.fullmatch` and for a JSON Schema (between `^` and `$`)."""

ACCEPTED: Final = 'a duration such as "5s", "1.5s", "2m", "1h30m" or "300ms", or a number of seconds'

_PARTS: Final = re.compile(f"({_NUMBER})(h|ms|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def parse(value: str | float) -> float:
    """Return the seconds that a duration stands for.

    A text is hours, minutes, seconds and milliseconds in that order, each at most once, without blanks; or a plain
    number, which is seconds, as it comes from a command line.

    Raises:
        ValueError: It is not one; the message says what is accepted.
    """
    seconds = _of_text(value) if isinstance(value, str) else _of_number(value)
    if seconds is None or not math.isfinite(seconds):
        raise ValueError(f"{value!r} is not {ACCEPTED}" if isinstance(value, str) else f"{value} is not {ACCEPTED}")
    return seconds


def text(seconds: float) -> str:
    """Return the shortest text that `parse` reads as these seconds, rounded to a millisecond: 90.5 is "1m30.5s"."""
    rest = round(seconds * 1000)
    if rest < 0:
        raise ValueError(f"{seconds:g} s is not a duration: it is negative")
    if 0 < rest < 1_000:
        return f"{rest}ms"
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    parts = [f"{hours}h"] if hours else []
    parts += [f"{minutes}m"] if minutes else []
    parts += [f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"] if rest or not parts else []
    return "".join(parts)


def _of_text(value: str) -> float | None:
    if re.fullmatch(_NUMBER, value):
        return float(value)
    if not re.fullmatch(PATTERN, value):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PARTS.findall(value))


def _of_number(value: float) -> float | None:
    # True is an int to Python; nobody means one second by it.
    return None if isinstance(value, bool) or value < 0 else float(value)
