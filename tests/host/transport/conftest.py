"""Hosts for the transport's tests, each for a module: `near`, with people to log in as, and `far`, to go to through it."""

from __future__ import annotations

import base64
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployer import local
from deployer.sandbox import Lab
from deployer.transport import Connection, keys, sudo
from tests.host.conftest import MakeHost
from tests.host.transport.box import PASSWORD, Box

FURNISH = r"""
set -eu
for user in easy passer plain noshell chatty; do
    useradd --create-home --shell /bin/bash "$user"
    install -d -m 700 -o "$user" -g "$user" "/home/$user/.ssh"
    install -m 600 -o "$user" -g "$user" /root/.ssh/authorized_keys "/home/$user/.ssh/authorized_keys"
done
usermod --shell /usr/sbin/nologin noshell
echo 'echo "welcome to $(hostname)"; echo "careful" >&2' > /home/chatty/.bashrc
printf '%s ALL=(ALL) NOPASSWD: ALL\n' easy chatty > /etc/sudoers.d/easy
echo 'passer ALL=(ALL) ALL' > /etc/sudoers.d/strict
"""


@pytest.fixture(scope="module")
def near(lab: Lab, make_host: MakeHost) -> Iterator[Box]:
    box = Box(lab=lab, sandbox=make_host("near"))
    box.do(FURNISH)
    box.do(f"echo {base64.b64encode(f'passer:{PASSWORD}'.encode()).decode()} | base64 -d | chpasswd")
    yield box
    lab.down("near")


@pytest.fixture(scope="module")
def far(lab: Lab, make_host: MakeHost) -> Iterator[Box]:
    yield Box(lab=lab, sandbox=make_host("far", "trixie"))
    lab.down("far")


@pytest.fixture(autouse=True)
def forgotten_secrets() -> Iterator[None]:
    yield
    keys._opened.clear()
    sudo._taken.clear()


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 5
    while left := [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]:
        assert time.monotonic() < until, left
        left[0].join(0.2)


@pytest.fixture
def to_near(near: Box) -> Iterator[Connection]:
    connection = near.connect()
    yield connection
    connection.close()


@pytest.fixture
def cut(lab: Lab) -> Iterator[Callable[[Box], None]]:
    boxes: list[Box] = []

    def cut_link(box: Box) -> None:
        boxes.append(box)
        lab.cut_link(box.sandbox.name)

    yield cut_link
    for box in boxes:
        lab.restore_link(box.sandbox.name)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "agent"
    started = local.run(("ssh-agent", "-s", "-a", str(path)), timeout_s=10)
    pid = int(started.stdout.decode().partition("SSH_AGENT_PID=")[2].partition(";")[0])
    yield str(path)
    os.kill(pid, signal.SIGTERM)
