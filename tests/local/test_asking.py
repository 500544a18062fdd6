"""A secret asked for on a real terminal: unseen while it is typed, and given up when we are interrupted."""

from __future__ import annotations

import os
import pty
import select
import sys
import termios
import time
from pathlib import Path

from tests.shop import CONFIG
from tests.terminals import Terminal

CHILD = """
import threading
from deployer.verbs.asking import secret
stopped = threading.Event()
{before}
answer = secret("passphrase for key", is_given_up=stopped.is_set)
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


# A deploy's end, on a link that wants a password each time it is used.
WATCHING = """
import sys
import deployer.attach
import deployer.transport
from deployer.attach import watched, watcher_of
from deployer.errors import NotLetInError
from deployer.verbs.run import Run

class Link:
    alive = True
    def __init__(self, prompt):
        self.prompt = prompt
    def start(self, *_, **__):
        if self.prompt("sudo password") is None:
            raise NotLetInError("no password")
    def close(self):
        self.alive = False

deployer.attach.GRACE_S = 0.0
deployer.transport.connect = lambda *_, prompt, **__: Link(prompt)
run = Run(config=sys.argv[1], wanted=(), output="plain", environ={})
with run.showing():
    host = run.host
    watcher = watcher_of(run.engine, host, release="2.0-b", before="1.0-a")
    ended = watched(run.engine, host, watcher, token="t", cursor="c")
    print("verdict:", ended.row.verdict, "because of", ended.error)
    print("too late for the next question:", run.engine.is_too_late_to_ask(host))
"""


def test_an_unanswered_question_ends_with_the_time_of_the_activation_that_is_watched(tmp_path: Path) -> None:
    config = tmp_path / "deploy.toml"
    config.write_text(
        CONFIG.replace("[hosts", 'stop_timeout = "500ms"\n[health]\nsettle = "100ms"\ntimeout = "500ms"\n[hosts', 1)
    )
    with Terminal((sys.executable, "-c", WATCHING, str(config))) as terminal:
        terminal.expect(b"sudo password: ")
        terminal.expect(b"verdict: unknown because of no password")
        terminal.expect(b"too late for the next question: False")
        assert terminal.ended() == 0
        assert terminal.echoes
