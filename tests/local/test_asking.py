"""A secret asked for on a real terminal: unseen while it is typed, and given up when we are interrupted."""

from __future__ import annotations

import os
import pty
import select
import sys
import termios
import time

CHILD = """
import threading
from deployer.verbs.asking import secret
stopped = threading.Event()
{before}
answer = secret("passphrase for key", stopped=stopped)
print("answer:", None if answer is None else answer.reveal()[::-1])
"""


def terminal_with(before: str) -> tuple[int, int]:
    """Start the question on a terminal of its own; return the process and our end of the terminal."""
    pid, ours = pty.fork()
    if pid == 0:
        os.execv(sys.executable, (sys.executable, "-c", CHILD.format(before=before)))  # noqa: S606 - a child on a terminal
    return pid, ours


def said_until(ours: int, words: bytes) -> bytes:
    text, until = b"", time.monotonic() + 10
    while words not in text:
        assert time.monotonic() < until, text
        if select.select([ours], [], [], 0.2)[0]:
            text += os.read(ours, 4096)
    return text


def echoes(ours: int) -> bool:
    return bool(termios.tcgetattr(ours)[3] & termios.ECHO)


def test_what_is_typed_is_not_shown_and_the_terminal_echoes_again() -> None:
    pid, ours = terminal_with("")
    said_until(ours, b"passphrase for key: ")
    assert not echoes(ours)
    os.write(ours, b"open sesame\n")
    text = said_until(ours, b"answer: emases nepo")
    assert b"open sesame" not in text
    assert echoes(ours)
    os.waitpid(pid, 0)
    os.close(ours)


def test_an_interrupt_gives_the_question_up_and_brings_the_echo_back() -> None:
    pid, ours = terminal_with("threading.Timer(0.5, stopped.set).start()")
    said_until(ours, b"passphrase for key: ")
    said_until(ours, b"answer: None")
    assert echoes(ours)
    os.waitpid(pid, 0)
    os.close(ours)
