"""Commands on this machine: the one place that starts local processes (test hosts aside).

A command is an argument list, or a shell line that the user wrote in the config. Every one has a time limit (infinite
where a person said what to run elsewhere), and none outlives us: each runs in a process group of its own, which is ended with it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from deployer.errors import UsageError
from deployer.signals import held_back

_QUIET_S: Final = 0.05
_LONGEST_REST_S: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """How a command ended. `status` is its exit status, negative for a signal; `timed_out` when we ended it."""

    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


def working_directory() -> Path:
    """Return the directory that relative paths start at.

    Raises:
        UsageError: It has been removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise UsageError(
            "the working directory is no longer there", hint="cd into one that is, then the same"
        ) from error


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
    """Run a shell line of the user's with `sh -c`, as `stream` does."""
    return stream(("/bin/sh", "-c", command), timeout_s=timeout_s, cwd=cwd, on_line=on_line)


def stream(
    argv: tuple[str, ...], *, timeout_s: float, on_line: Callable[[str], None], cwd: Path | None = None
) -> Completed:
    """Run a program, standard input closed, and hand over its output (both streams, as they come) line by line.

    The returned `stdout` and `stderr` are empty: the lines were handed over.
    """
    rest = b""

    def take(data: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            on_line(_line(line))

    with _started(argv, cwd=cwd, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as process:
        timed_out = _pump(process, {process.stdout: take}, timeout_s=timeout_s)
        if rest:
            on_line(_line(rest))
        return Completed(status=process.wait(), stdout=b"", stderr=b"", timed_out=timed_out)


def _line(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").rstrip("\r\n")


def _collect(argv: tuple[str, ...], *, timeout_s: float, cwd: Path | None, stdin: bytes) -> Completed:
    out, err = bytearray(), bytearray()
    given = subprocess.PIPE if stdin else subprocess.DEVNULL
    with _started(argv, cwd=cwd, stderr=subprocess.PIPE, stdin=given) as process:
        if process.stdin is not None:
            threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True).start()
        timed_out = _pump(process, {process.stdout: out.extend, process.stderr: err.extend}, timeout_s=timeout_s)
        # What it has not read by now, nobody will: the writer of it ends with the last reader.
        _end(process)
        return Completed(status=process.wait(), stdout=bytes(out), stderr=bytes(err), timed_out=timed_out)


def _feed(pipe: IO[bytes], data: bytes) -> None:
    # A program need not read what it is given.
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(data)


def _pump(
    process: subprocess.Popen[bytes],
    sinks: Mapping[IO[bytes] | None, Callable[[bytes], object]],
    *,
    timeout_s: float,
) -> bool:
    """Hand over what a process prints until it has ended; tell whether its time was up, and we ended it.

    A child that was put into the background keeps our pipe open as long as it lives. So the process decides: what it
    has printed is in the pipe when it ends, and what comes later is the child's.
    """
    until = time.monotonic() + timeout_s
    ended_at = None
    with selectors.DefaultSelector() as selector:
        for stream, sink in sinks.items():
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, sink)
        while selector.get_map():
            if ended_at is None and process.poll() is not None:
                ended_at = time.monotonic()
            quiet = True
            for key, _ in selector.select(_QUIET_S):
                if data := os.read(key.fd, 1 << 16):
                    key.data(data)
                    quiet = False
                else:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if ended_at is not None and (quiet or now - ended_at >= _LONGEST_REST_S):
                return False
            if ended_at is None and now >= until:
                break
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        _end(process)
        return True
    return False


@contextlib.contextmanager
def _started(argv: tuple[str, ...], *, cwd: Path | None, stderr: int, stdin: int) -> Iterator[subprocess.Popen[bytes]]:
    with contextlib.ExitStack() as stack:
        with held_back():
            process = stack.enter_context(
                subprocess.Popen(
                    argv, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
                )
            )
            stack.callback(_end, process)
        yield process


def _end(process: subprocess.Popen[bytes]) -> None:
    # The whole group: a build's children would go on writing into a tree that is no longer watched.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
