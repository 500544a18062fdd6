"""Signals that ask us to end: each is an interrupt, as Ctrl-C is, and none comes between a start and our knowing it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def as_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt while this is entered; afterwards all is as it was before.

    One that is ignored stays ignored: so `nohup deployer deploy` outlives its terminal. In a thread that is not the
    main one, where Python takes no signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # None is a handler that is not Python's: it is somebody else's.
    before = {each: found for each in ENDING if (found := signal.getsignal(each)) not in (signal.SIG_IGN, None)}
    try:
        for each in before:
            signal.signal(each, _interrupt)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let signals that would interrupt us come at the end of this, and not before.

    For the start of a program, whose process must not be lost on the way to us: subprocess.Popen, interrupted when it
    has started one, leaves it running and unknown. The program has the signals as they are without this.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {each: found for each in (signal.SIGINT, *ENDING) if callable(found := signal.getsignal(each))}
    try:
        for each in before:
            signal.signal(each, lambda number, _frame: came.append(number))
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
