"""Commands on this machine: the one place that starts local processes (test hosts aside).

A command is an argument list, or a shell line that the user wrote in the config. Every one has a time limit, and none
outlives us: each runs in a process group of its own, which is ended with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """How a command ended. `status` is its exit status, negative for a signal; `timed_out` when we ended it."""

    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


def run(argv: tuple[str, ...], *, timeout_s: float, cwd: Path | None = None, stdin: bytes = b"") -> Completed:
    """Run a program and collect what it prints.

    Raises:
        FileNotFoundError: There is no such program.
    """
    return _collect(argv, timeout_s=timeout_s, cwd=cwd, stdin=stdin)


def run_shell(command: str, *, timeout_s: float, cwd: Path) -> Completed:
    """Run a shell line of the user's with `sh -c` and collect what it prints, standard input closed."""
    return _collect(("/bin/sh", "-c", command), timeout_s=timeout_s, cwd=cwd, stdin=b"")


def stream_shell(command: str, *, timeout_s: float, cwd: Path, on_line: Callable[[str], None]) -> Completed:
    """Run a shell line of the user's and hand over its output (both streams, as they come) line by line.

    The returned `stdout` and `stderr` are empty: the lines were handed over.
    """
    argv = ("/bin/sh", "-c", command)
    with _started(argv, cwd=cwd, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as process:
        over = threading.Event()

        def out_of_time() -> None:
            over.set()
            _end(process)

        timer = threading.Timer(timeout_s, out_of_time)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout or ():
                on_line(line.decode("utf-8", "replace").rstrip("\r\n"))
            return Completed(status=process.wait(), stdout=b"", stderr=b"", timed_out=over.is_set())
        finally:
            timer.cancel()


def _collect(argv: tuple[str, ...], *, timeout_s: float, cwd: Path | None, stdin: bytes) -> Completed:
    with _started(argv, cwd=cwd, stderr=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)
            stdout, stderr = process.communicate()
            return Completed(status=process.returncode, stdout=stdout, stderr=stderr, timed_out=True)
        return Completed(status=process.returncode, stdout=stdout, stderr=stderr)


@contextlib.contextmanager
def _started(argv: tuple[str, ...], *, cwd: Path | None, stderr: int, stdin: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        argv, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
    )
    try:
        with process:
            try:
                yield process
            except BaseException:
                _end(process)
                raise
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # The whole group: a build's children would go on writing into a tree that is no longer watched.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
