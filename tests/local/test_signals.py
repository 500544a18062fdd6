"""Signals to a task, whoever runs it: the `deployer` program, or `inv` with a `tasks.py`."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deployer import signals
from deployer.task import execute
from tests.shop import PROGRAMS, built_by

ROOT = Path(__file__).parents[2]
CONFIG = built_by("touch begun; sleep 60")
# Writes until nobody takes it, and does not get rid of what it has to say of the interrupt either.
BLOCKED = """
import sys
from deployer.events import Note
from deployer.task import execute
def work(run):
    while True:
        run.emit(Note(level="info", text="x" * 1000))
sys.exit(execute(work, [], "", "json"))
"""


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A project with a build that takes a minute; the file that says that it runs."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").write_text(CONFIG)
    return tmp_path / "config/begun"


def wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("number", [signal.SIGINT, *signals.ENDING], ids=lambda each: each.name)
def test_a_signal_ends_a_task_in_order(begun: Path, program: str, number: signal.Signals) -> None:
    argv = (*PROGRAMS[program], "build", "--output", "json")
    with subprocess.Popen(argv, cwd=begun.parent.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        wait_for(begun)
        client.send_signal(number)
        out, err = client.communicate(timeout=10)
    assert (client.returncode, err) == (130, b"")
    assert b'"interrupted' in out.splitlines()[-1]


@pytest.mark.parametrize("program", PROGRAMS)
def test_under_nohup_the_end_of_the_terminal_is_not_an_interrupt(begun: Path, program: str) -> None:
    argv = ("nohup", *PROGRAMS[program], "build", "--output", "json")
    with subprocess.Popen(argv, cwd=begun.parent.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        wait_for(begun)
        client.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(timeout=1)
        client.send_signal(signal.SIGTERM)
        client.communicate(timeout=10)
    assert client.returncode == 130


def test_handlers_are_put_back_and_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    term = signal.getsignal(signal.SIGTERM)
    try:
        with signals.as_interrupts():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not term
        assert signal.getsignal(signal.SIGTERM) is term
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_task_may_run_in_another_thread() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(execute(lambda _run: 0, [], "", "plain")))
    thread.start()
    thread.join(10)
    assert found == [0]


def test_a_second_interrupt_ends_a_run_that_cannot_tell_of_the_first() -> None:
    with subprocess.Popen((sys.executable, "-c", BLOCKED), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.read(10)
        until = time.monotonic() + 20
        while client.poll() is None:
            assert time.monotonic() < until
            client.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert client.stderr is not None
        # One more that comes when Python itself is at its end is Python's to answer: with the signal, and no word.
        assert client.returncode in (130, -signal.SIGINT)
        assert client.stderr.read() == b""
