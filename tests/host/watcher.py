"""Watches every file of a host while something goes on there, from outside: who could have read a secret, at any moment?

A program of its own, run as root on the machine of the tests:  watcher.py ROOT PLACE... <MARKS
ROOT is the host's root directory as /proc/PID/root shows it; the PLACEs in it, one of each file system, are watched. Each
open anywhere there waits until we have looked at the file (fanotify(7), FAN_OPEN_PERM; inotify(7) would tell afterwards,
and a mode that was wide for an instant would be gone). So a file that was ever opened while others might read it is known
for it, though it was empty then; and after each write we look for a mark in it.

Prints "ready"; then, when standard input is closed, a JSON object: `wide`, the files that held a mark and were open to
others when they were opened or written; `seen`, all that held one: [path, mode, owner].
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import stat
import struct
import sys
from pathlib import Path

_CLASS_CONTENT, _CLOEXEC, _UNLIMITED_QUEUE = 0x4, 0x1, 0x10
_MARK_ADD, _MARK_FILESYSTEM = 0x1, 0x100
_MODIFY, _CLOSE_WRITE, _OPEN_PERM, _OVERFLOW = 0x2, 0x8, 0x10000, 0x4000
_ALLOW = 1
_EVENT = struct.Struct("=IBBHQii")
_LOOKED_AT_BYTES = 1 << 20


class Watcher:
    def __init__(self, places: list[str], marks: list[bytes]) -> None:
        self._marks = marks
        self._open_to_others: dict[tuple[int, int, str], tuple[str, str]] = {}
        self.seen: set[tuple[str, str, str]] = set()
        self.wide: set[tuple[str, str, str]] = set()
        libc = ctypes.CDLL(None, use_errno=True)
        flags = _CLASS_CONTENT | _CLOEXEC | _UNLIMITED_QUEUE
        self.descriptor = libc.fanotify_init(flags, os.O_RDONLY | os.O_LARGEFILE)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "fanotify_init")
        for place in places:
            events = ctypes.c_uint64(_OPEN_PERM | _MODIFY | _CLOSE_WRITE)
            if libc.fanotify_mark(self.descriptor, _MARK_ADD | _MARK_FILESYSTEM, events, -100, place.encode()) < 0:
                raise OSError(ctypes.get_errno(), f"fanotify_mark {place}")

    def look(self) -> None:
        """Take in what there is to know; whoever waits for an open goes on."""
        events = os.read(self.descriptor, 1 << 16)
        while events:
            length, _, _, _, what, descriptor, _ = _EVENT.unpack_from(events)
            events = events[length:]
            if what & _OVERFLOW:
                raise RuntimeError("events were lost")
            try:
                self._see(descriptor, opened=bool(what & _OPEN_PERM))
            finally:
                if what & _OPEN_PERM:
                    os.write(self.descriptor, struct.pack("=iI", descriptor, _ALLOW))
                os.close(descriptor)

    def _see(self, descriptor: int, *, opened: bool) -> None:
        now = os.fstat(descriptor)
        if not stat.S_ISREG(now.st_mode):
            return
        # With its path: inodes are used again, and quickly.
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        file = (now.st_dev, now.st_ino, path)
        mode, owner = f"{stat.S_IMODE(now.st_mode):04o}", f"{now.st_uid}:{now.st_gid}"
        others = now.st_mode & 0o177 or now.st_uid != 0
        if opened and others and now.st_size == 0:
            self._open_to_others[file] = (mode, owner)
        if opened and not others and now.st_size > 0:
            return
        text = os.pread(descriptor, _LOOKED_AT_BYTES, 0)
        if not any(mark in text for mark in self._marks):
            return
        self.seen.add((path, mode, owner))
        if others:
            self.wide.add((path, mode, owner))
        elif file in self._open_to_others:
            self.wide.add((path, *self._open_to_others[file]))


def main() -> None:
    root, *places = sys.argv[1:]
    marks = list(iter(sys.stdin.buffer.readline, b"\n"))
    watcher = Watcher([f"{root}{place}" for place in places], [mark.strip() for mark in marks])
    _say("ready")
    ended = False
    while not ended:
        ready, _, _ = select.select([watcher.descriptor, 0], [], [])
        # What has come before the end was told is still looked at.
        ended = 0 in ready and watcher.descriptor not in ready
        if watcher.descriptor in ready:
            watcher.look()
    _say(json.dumps({"wide": sorted(watcher.wide), "seen": sorted(watcher.seen)}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
