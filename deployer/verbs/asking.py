"""Asking for a secret on our terminal, in a way that can be given up.

What waits for an answer is a thread, which no signal reaches. Whether there is anybody to ask is `run`'s.
"""

from __future__ import annotations

import os
import select
import termios
from collections.abc import Callable

from deployer.model import Secret

_LOOK_S = 0.2


def secret(question: str, *, is_given_up: Callable[[], bool]) -> Secret | None:
    """Ask without echo and return the line; None once `is_given_up` says so, or at the end of input.

    True afterwards: the terminal echoes as it did before.

    Raises:
        OSError: There is no terminal.
    """
    terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    try:
        before = termios.tcgetattr(terminal)
        quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        termios.tcsetattr(terminal, termios.TCSAFLUSH, quiet)
        try:
            os.write(terminal, f"{question}: ".encode())
            return _line(terminal, is_given_up)
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
            os.write(terminal, b"\n")
    finally:
        os.close(terminal)


def _line(terminal: int, is_given_up: Callable[[], bool]) -> Secret | None:
    typed = b""
    while not typed.endswith(b"\n"):
        ready, _, _ = select.select([terminal], [], [], _LOOK_S)
        if is_given_up():
            return None
        if ready:
            data = os.read(terminal, 4096)
            if not data:
                return None
            typed += data
    return Secret(typed.rstrip(b"\r\n").decode("utf-8", "surrogateescape"))
