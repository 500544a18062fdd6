"""Processes of this machine as /proc shows them, told apart for good: a process id is used again, its start is not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process: its id, its start in clock ticks since the machine's boot, and that boot's id. See proc(5)."""

    pid: int
    start: int
    boot: str

    @property
    def is_alive(self) -> bool:
        """Whether it still runs. A zombie does not: whoever should collect it may never do so."""
        return self.boot == boot_id() and self.start == _start(self.pid)

    @property
    def record(self) -> str:
        """The line that `recorded` reads."""
        return f"{self.pid} {self.start} {self.boot}\n"


def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def current() -> Process:
    """This very process."""
    pid = os.getpid()
    return Process(pid=pid, start=_start(pid) or 0, boot=boot_id())


def recorded(path: Path) -> Process | None:
    """Read the `PID START BOOT` that a program left of itself; None when there is none."""
    try:
        pid, start, boot = path.read_text().split()
    except FileNotFoundError:
        return None
    return Process(pid=int(pid), start=int(start), boot=boot)


def in_groups(groups: tuple[Path, ...]) -> tuple[int, ...]:
    """The living processes of some control groups and of all groups below them."""
    pids: set[int] = set()
    # os.walk, as groups come and go while we look: it passes over what has gone, Path.rglob does not.
    for group in groups:
        for directory, _, _ in os.walk(group):
            pids.update(_listed(Path(directory, "cgroup.procs")))
    return tuple(sorted(pid for pid in pids if _start(pid) is not None))


def first_of_namespace(pids: tuple[int, ...]) -> int | None:
    """The process that is 1 in a process namespace directly below ours: a guest's init."""
    for pid in pids:
        try:
            status = (_PROC / str(pid) / "status").read_text()
        except OSError:
            continue  # it ended while we looked
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        ids = fields.get("NSpid", "").split()
        if len(ids) == len(_own_ids()) + 1 and ids[-1] == "1":
            return pid
    return None


def name_of(pid: int) -> str:
    """The name of the program that a process runs, at most 15 characters; empty when it has gone."""
    try:
        return (_PROC / str(pid) / "comm").read_text().rstrip("\n")
    except OSError:
        return ""


def _listed(listing: Path) -> list[int]:
    try:
        return [int(line) for line in listing.read_text().split()]
    except OSError:
        return []  # a group that went while we looked has no processes


def _own_ids() -> list[str]:
    for line in (_PROC / "self/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return line.split()[1:]
    return ["self"]


def _start(pid: int) -> int | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in brackets and may hold anything.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
