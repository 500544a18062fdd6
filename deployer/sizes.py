"""Sizes for people."""

from __future__ import annotations


def size_text(size_bytes: int) -> str:
    """Return e.g. "812 B", "4.1 MB", "1.2 GB" (powers of ten, as disks and networks are sold)."""
    size = float(size_bytes)
    for name in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000 or name == "GB":
            return f"{size:.0f} {name}" if name == "B" else f"{size:.1f} {name}"
        size /= 1000
    raise AssertionError("unreachable")
