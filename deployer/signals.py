"""Signals that ask us to end: each is an interrupt, as Ctrl-C is."""

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


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
