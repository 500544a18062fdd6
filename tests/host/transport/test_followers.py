"""Sessions that follow: what ends with the session, and with the client."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from deployer import local
from deployer.errors import LinkLostError
from deployer.transport import Connection
from tests.host.transport.box import Box


def processes(box: Box, pattern: str) -> int:
    return int(box.do(f"pgrep -fc {shlex.quote(pattern)} || true"))


def gone(box: Box, pattern: str) -> None:
    until = time.monotonic() + 8
    while processes(box, pattern):
        assert time.monotonic() < until, pattern
        time.sleep(0.1)


@pytest.mark.parametrize("user", ["root", "easy"])
def test_a_follower_ends_when_the_session_is_closed(near: Box, user: str) -> None:
    connection = near.connect(replace(near.host, user=user))
    try:
        session = connection.start("echo up; (trap '' TERM; sleep 4711) & wait", name="follower", follow=True)
        assert next(session.lines()) == "up"
        assert processes(near, "[s]leep 4711") > 0
        session.close()
        gone(near, "[s]leep 4711")
        gone(near, "[d]eployer-follower")
    finally:
        connection.close()


def test_a_follower_ends_when_the_client_is_killed(near: Box, tmp_path: Path) -> None:
    program = tmp_path / "client.py"
    program.write_text(
        f"""
import os, signal
from pathlib import Path
from deployer.model import Host, Ssh
from deployer.transport import connect
host = Host(name="x", address={near.sandbox.address!r}, user="root",
            identity_file=Path({str(near.sandbox.identity_file)!r}), known_hosts=Path({str(near.sandbox.known_hosts)!r}))
connection = connect(host, Ssh(), prompt=lambda _: None, environ={{}}, note=print)
print(next(connection.start("echo up; sleep 4712", name="orphan", follow=True).lines()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    done = local.run((sys.executable, str(program)), timeout_s=30)
    assert (done.status, done.stdout) == (-signal.SIGKILL, b"up\n"), done
    gone(near, "[s]leep 4712")


def test_who_reads_a_session_that_is_closed_here_is_freed_at_once(to_near: Connection) -> None:
    session = to_near.start("echo begun; sleep 60", name="watch")
    lines = session.lines()
    assert next(lines) == "begun"
    freed: list[float] = []

    def read() -> None:
        with suppress(LinkLostError):
            list(lines)
        freed.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    begun = time.monotonic()
    session.close()
    reader.join(timeout=5)
    # The second in which a host that goes down is given time to say so is not for this.
    assert freed[0] - begun < 0.8


def test_a_follower_gives_its_output_and_status(to_near: Connection) -> None:
    with to_near.start("echo a; echo b >&2; exit 4", name="short", follow=True) as session:
        assert list(session.lines()) == ["a"]
        assert session.status(5) == 4
        assert session.stderr == "b\n"
