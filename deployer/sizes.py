"""Sizes and counts for people, and sizes as people write them: "4GiB". Pure."""

from __future__ import annotations

import re
from typing import Final

PATTERN: Final = r"[0-9]+(?:\.[0-9]+)?(?:[kMGT]B|[KMGT]iB|B)"
"""What a written size looks like, for `re.fullmatch` and for a JSON Schema (between `^` and `$`)."""

ACCEPTED: Final = 'a size such as "500MB", "1.5GB" or "4GiB", or a number of bytes'

_UNITS: Final = {
    "TiB": 1 << 40,
    "TB": 10**12,
    "GiB": 1 << 30,
    "GB": 10**9,
    "MiB": 1 << 20,
    "MB": 10**6,
    "KiB": 1 << 10,
    "kB": 10**3,
    "B": 1,
}


def parse(text: str) -> int:
    """Return the bytes that a written size stands for: kB, MB, GB and TB are powers of ten, KiB to TiB powers of two.

    Raises:
        ValueError: It is not one; the message says what is accepted.
    """
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is not {ACCEPTED}")
    unit = text.lstrip("0123456789.")
    return round(float(text.removesuffix(unit)) * _UNITS[unit])


def counted(number: int, one: str, many: str = "") -> str:
    """Return "1 file", "2 files"; `many` where it is not `one` with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def exact_text(size_bytes: int) -> str:
    """Return a text that `parse` reads as just these bytes, in the largest unit that goes into them: "4GiB"."""
    unit = next(name for name, size in _UNITS.items() if size_bytes % size == 0)
    return f"{size_bytes // _UNITS[unit]}{unit}" if size_bytes else "0B"


def size_text(size_bytes: int) -> str:
    """Return e.g. "812 B", "4.1 MB", "1.2 GB" (powers of ten, as disks and networks are sold)."""
    size = float(size_bytes)
    for name in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000 or name == "GB":
            return f"{size:.0f} {name}" if name == "B" else f"{size:.1f} {name}"
        size /= 1000
    raise AssertionError("unreachable")
