"""An interrupt that comes while a program is started: the program is not left behind, and has cleaned up."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployer import local
from deployer.sandbox import commands
from deployer.signals import held_back

# Cleans up for longer than Python itself would wait for a child at Ctrl-C, and says so to whoever may not listen.
SLOW_TO_CLEAN_UP = """
trap 'echo "told to end"; sleep 1; echo cleaned >"$0"; exit 1' TERM
echo begun
while :; do sleep 0.05; done
"""
STARTERS: dict[str, Callable[[tuple[str, ...]], object]] = {
    "of the sandbox": lambda argv: commands.run(argv, timeout_s=30),
    "with lines": lambda argv: commands.stream(argv, timeout_s=30, what="it", on_line=lambda _line: None),
    "of a build": lambda argv: local.run(argv, timeout_s=30),
}


def test_an_interrupt_that_is_held_back_comes_at_the_end() -> None:
    reached: list[str] = []

    def interrupted() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            reached.append("behind it")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (reached, signal.getsignal(signal.SIGINT)) == (["behind it"], before)


@pytest.mark.parametrize("starter", STARTERS)
def test_a_program_that_an_interrupt_met_at_its_start_is_not_lost(
    starter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def interrupted(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(real(*args, **kwargs))
        if len(started) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        STARTERS[starter](("sleep", "1000"))
    assert [each.poll() for each in started].count(None) == 0


def test_an_interrupted_command_has_cleaned_up_before_we_go_on(tmp_path: Path) -> None:
    done = tmp_path / "done"

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commands.stream(("bash", "-c", SLOW_TO_CLEAN_UP, str(done)), timeout_s=30, what="it", on_line=interrupt)
    assert done.read_text() == "cleaned\n"
