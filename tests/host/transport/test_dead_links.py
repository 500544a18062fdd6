"""Links that break, and peers that fall silent: every wait ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from deployer.errors import DeployerError, LinkLostError, UnreachableError
from deployer.transport.pulse import Pulse
from tests.host.transport.box import QUICK, Box, raised, through


def test_a_dead_link_ends_every_wait(near: Box, cut: Callable[[Box], None]) -> None:
    connection = near.connect(ssh=replace(QUICK, connect_timeout_s=2))
    errors: dict[str, BaseException] = {}
    took: dict[str, float] = {}
    reading = connection.start("echo up; sleep 60", name="reading")
    lines = reading.lines()
    assert next(lines) == "up"
    taking = connection.start("cat >/dev/null", name="taking")
    waiting = connection.start("exec >&- 2>&-; sleep 60", name="waiting")

    def pour() -> None:
        while True:
            taking.send(bytes(1_000_000))

    acts: dict[str, Callable[[], object]] = {
        "lines": lambda: next(lines),
        "send": pour,
        "status": lambda: waiting.status(60),
        "run": lambda: connection.run("true", name="run", timeout_s=60),
    }

    def attempt(name: str) -> None:
        try:
            acts[name]()
        except DeployerError as error:
            errors[name] = error
        took[name] = time.monotonic()

    cut(near)
    started = time.monotonic()
    threads = [threading.Thread(target=attempt, args=(name,)) for name in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {name: type(error) for name, error in errors.items()} == dict.fromkeys(acts, LinkLostError)
    assert max(took.values()) - started < 10
    assert not connection.alive
    raised(LinkLostError, lambda: connection.start("true", name="late"), within_s=1)
    started = time.monotonic()
    connection.close()
    assert time.monotonic() - started < 2


def test_a_dead_link_behind_a_jump_host_is_noticed(
    near: Box, far: Box, tmp_path: Path, cut: Callable[[Box], None]
) -> None:
    host, ssh = through(near, far, tmp_path)
    connection = far.connect(host, ssh)
    try:
        lines = connection.start("echo up; sleep 60", name="reading").lines()
        assert next(lines) == "up"
        cut(far)
        raised(LinkLostError, lambda: next(lines), within_s=8)
    finally:
        connection.close()


def test_a_quiet_link_stays_up(near: Box) -> None:
    connection = near.connect(ssh=replace(QUICK, keepalive_s=0.2, dead_after_s=0.6))
    try:
        assert connection.run("sleep 4; echo ok", name="quiet", timeout_s=10).stdout == "ok\n"
    finally:
        connection.close()


def test_a_stopped_sshd_is_noticed(near: Box) -> None:
    connection = near.connect()
    try:
        lines = connection.start("echo $PPID; sleep 60", name="reading").lines()
        # The kernel there still confirms every byte.
        pid = int(next(lines))
        near.do(f"kill -STOP {pid}")
        try:
            raised(LinkLostError, lambda: next(lines), within_s=8)
        finally:
            near.do(f"kill -CONT {pid}")
    finally:
        connection.close()


def test_without_the_pulse_a_stopped_sshd_would_be_waited_for(near: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twin."""
    monkeypatch.setattr(Pulse, "run", lambda _self: None)
    connection = near.connect(ssh=replace(QUICK, keepalive_s=0.2, dead_after_s=0.6))
    try:
        lines = connection.start("echo $PPID; read -r; echo still", name="reading").lines()
        pid = int(next(lines))
        near.do(f"kill -STOP {pid}")

        def read() -> None:
            with suppress(DeployerError):
                list(lines)

        reader = threading.Thread(target=read)
        try:
            reader.start()
            reader.join(3)  # five times what the pulse allows
            assert reader.is_alive()
        finally:
            near.do(f"kill -CONT {pid}")
        assert connection.alive
    finally:
        connection.close()
    reader.join(20)


def test_an_sshd_that_dies_is_a_lost_link(near: Box) -> None:
    connection = near.connect()
    try:
        lines = connection.start("echo $PPID; sleep 60", name="reading").lines()
        near.do(f"kill -9 {int(next(lines))}")
        raised(LinkLostError, lambda: next(lines), within_s=8)
    finally:
        connection.close()


def test_closing_frees_every_thread(near: Box) -> None:
    connection = near.connect()
    session = connection.start("echo up; sleep 60", name="reading")
    lines = session.lines()
    assert next(lines) == "up"
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            next(lines)
        except LinkLostError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    connection.close()
    thread.join(2)
    assert not thread.is_alive()
    assert [str(error) for error in errors] == ["the connection was closed here"]


def test_a_host_that_is_down_is_unreachable(near: Box, cut: Callable[[Box], None]) -> None:
    cut(near)
    error = raised(UnreachableError, lambda: near.connect(ssh=replace(QUICK, connect_timeout_s=1)), within_s=3)
    assert error.message == f"no answer from {near.sandbox.address} port 22 within 1 s"
    assert error.exit_code == 5
