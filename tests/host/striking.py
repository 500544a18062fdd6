"""A run of the program that is watched while it goes on, so that a test can strike at the right moment."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from tests.host.project import Done, Project

DEADLINE_S = 60.0


def wait_for(what: Callable[[], object], *, deadline_s: float = DEADLINE_S) -> None:
    """Wait until a question is answered with yes; too late fails the test."""
    until = time.monotonic() + deadline_s
    while not what():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.05)


class Client:
    """The program, running. Its JSON events are read as they come. Whatever happens to the test, it ends with it."""

    def __init__(self, project: Project, *words: str, environ: Mapping[str, str] | None = None) -> None:
        self._process = project.start(*words, environ=environ)
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    @property
    def so_far(self) -> Done:
        return Done(status=-1, stdout="".join(self._lines), stderr="")

    def saw(self, kind: str, **values: Any) -> bool:
        """Has it told an event of this kind with these values?"""
        return any(values.items() <= event.items() for event in self.so_far.of(kind))

    def reaches(self, kind: str, *, deadline_s: float = DEADLINE_S, **values: Any) -> None:
        """Wait for such an event."""
        until = time.monotonic() + deadline_s
        while not self.saw(kind, **values):
            assert time.monotonic() < until, f"no {kind} {values} in time: {self.so_far.text}"
            assert self._process.poll() is None or self.saw(kind, **values), f"ended before: {self.so_far.text}"
            time.sleep(0.01)

    def strike(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, *, deadline_s: float = DEADLINE_S) -> Done:
        """Wait for its end."""
        try:
            status = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it did not end in {deadline_s:g} s: {self.so_far.text}") from error
        self._reader.join(DEADLINE_S)
        return Done(status=status, stdout="".join(self._lines), stderr="")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
