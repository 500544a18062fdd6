"""A program on a pseudo-terminal of its own, which is its controlling one: Ctrl-C typed there is a signal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

# A session's leader takes the first terminal that it opens.
_TAKE = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execvp(sys.argv[1], sys.argv[1:])"
PATIENCE_S = 30.0


class Terminal:
    """Runs a program on a terminal until it is left; `seen` is all that came to the screen."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        stdout: int | None = None,
        size: tuple[int, int] = (24, 100),
    ) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(self._ours, size)
        self.seen = b""
        self._process = subprocess.Popen(
            (sys.executable, "-c", _TAKE, *argv),
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            cwd=cwd,
            env={**(os.environ if environ is None else environ), "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self.hang_up()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def echoes(self) -> bool:
        """Does the terminal show what is typed?"""
        return bool(termios.tcgetattr(self._ours)[3] & termios.ECHO)

    def type(self, text: bytes) -> None:
        os.write(self._ours, text)

    def resize(self, lines: int, columns: int) -> None:
        """Give the window another size; the program gets SIGWINCH."""
        termios.tcsetwinsize(self._ours, (lines, columns))

    def hang_up(self) -> None:
        """Close the window."""
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def expect(self, wanted: bytes, *, after: int = 0, deadline_s: float = PATIENCE_S) -> int:
        """Wait until something is on the screen, at `after` or later; return where it ends."""
        until = time.monotonic() + deadline_s
        while (at := self.seen.find(wanted, after)) < 0:
            assert self._read(until - time.monotonic()), f"{wanted!r} did not come; there was {self.seen[-800:]!r}"
        return at + len(wanted)

    def ended(self, *, deadline_s: float = PATIENCE_S) -> int:
        """Wait for the program's end, reading what it says; return its status."""
        until = time.monotonic() + deadline_s
        while self._process.poll() is None:
            assert time.monotonic() < until, f"it did not end in time; there was {self.seen[-800:]!r}"
            if self._ours < 0 or not self._read(0.1):
                time.sleep(0.02)
        while self._ours >= 0 and self._read(0):
            pass
        return self._process.returncode

    def _read(self, wait_s: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(wait_s, 0))
        if not ready:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return False
        self.seen += data
        return bool(data)
