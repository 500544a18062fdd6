"""The words of the outputs: sizes, times, verdicts and cells as people read them. Pure."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

from deployer.events import HostEnded, PhaseStarted, Verdict
from deployer.output.clean import one_line

_UTC = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}Z")

LOCAL = "here"
"""What stands for a host's name where something happens on this machine."""

EVIDENCE_LINES = 10
"""How many of the last journal lines of a failed start are said again at the end: with the failure before them and
the summary behind, they fit a terminal of 24 lines."""

LONG_PHASES = frozenset({"build", "download", "upload", "health", "go back"})
"""Phases that take long, or wait: that they start is told, of the others only that they end."""

VERDICTS: dict[Verdict, str] = {
    "changed": "changed",
    "unchanged": "unchanged",
    "staged": "staged",
    "started": "started",
    "rolled-back": "went back",
    "stopped": "stopped",
    "failed": "failed",
    "needs-person": "needs a person",
    "unknown": "not known",
    "skipped": "skipped",
}


def size_text(size_bytes: float, unit: str = "") -> str:
    """Return a size with its decimal unit, such as "34.1 MB"; without the unit where `unit` names the one to use."""
    units = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    name = unit or size_unit(size_bytes)
    number = f"{size_bytes / units[name]:.{0 if name == 'B' else 1}f}"
    return number if unit else f"{number} {name}"


def size_unit(size_bytes: float) -> str:
    """Return the unit in which a size reads best."""
    for name, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor * 0.9995:
            return name
    return "B"


def took_text(seconds: float) -> str:
    """Return a duration: "0.4 s", "12 s", "2 min 05 s", "1 h 02 min"."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def time_text(at: float, now: float) -> str:
    """Return a time of day, with its date where it is more than twelve hours away. Local time of this machine."""
    try:
        moment = time.localtime(at)
    except (OverflowError, OSError, ValueError):
        return "--:--:--"  # a host may send any number
    return time.strftime("%H:%M:%S" if abs(now - at) < 43200 else "%Y-%m-%d %H:%M:%S", moment)


def sender_text(identifier: str, pid: int) -> str:
    """Return who wrote a journal line: "hello[123]"."""
    return one_line(f"{identifier}[{pid}]" if pid else identifier)


def state_text(ended: HostEnded) -> str:
    """Return what state a host is in at the end of a run."""
    on = f"on {ended.release}" if ended.release else ""
    words: dict[Verdict, str] = {
        "changed": on or "changed",
        "unchanged": f"{on}, as before" if on else "as before",
        "staged": f"staged, still {on}" if on else "staged, and nothing was switched",
        "started": "its activation goes on by itself",
        "rolled-back": f"back {on}" if on else "back on the release before",
        "stopped": "stopped: no release has proved itself there yet",
        "failed": f"still {on}" if on else "nothing was switched",
        "needs-person": f"needs a person, {on}" if on else "needs a person",
        "unknown": "not known",
        "skipped": f"not touched, {on}" if on else "not touched",
    }
    return one_line(words[ended.verdict])


def is_told(event: PhaseStarted) -> bool:
    """Tell whether people want to know that a phase starts: one that has something to say, or takes long."""
    return event.phase != "connect" and (bool(event.text) or event.phase in LONG_PHASES)


def header_text(column: str) -> str:
    """Return a column's heading: its key without the unit that its cells show."""
    for suffix in ("_bytes", "_s"):
        column = column.removesuffix(suffix)
    return one_line(column.replace("_", " "))


def cell_text(column: str, value: Any) -> str:
    """Return a value of a listing's row as text.

    Numbers under a key that ends in `_bytes` or `_s` are shown as a size or a duration, points in time (ISO 8601, UTC)
    in local time.
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(one_line(str(item)) for item in value) or "-"
    if isinstance(value, int | float) and column.endswith("_bytes"):
        return size_text(value)
    if isinstance(value, int | float) and column.endswith("_s"):
        return took_text(value)
    if isinstance(value, str) and _UTC.fullmatch(value):
        return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    # Lines of a remark, such as systemd's on a unit, stand behind each other.
    return one_line("; ".join(part.strip(" ") for part in str(value).split("\n") if part.strip(" "))) or "-"
