"""Becoming root by sudo, with and without a password, and logins that disturb."""

from __future__ import annotations

import base64
import shlex
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from deployer.errors import NotLetInError
from deployer.model import Secret
from tests.host.transport.box import PASSWORD, Box, raised


def test_sudo_without_a_password_makes_us_root(near: Box) -> None:
    connection = near.connect(replace(near.host, user="easy"))
    try:
        assert connection.run("id -un; echo $HOME", name="who", timeout_s=10).stdout == "root\n/root\n"
        assert connection.run("id -un", name="who", timeout_s=10, root=False).stdout == "easy\n"
        assert connection.login == "easy"
    finally:
        connection.close()


@pytest.mark.parametrize("way", ["variable", "prompt"])
def test_sudo_with_a_password_makes_us_root(near: Box, way: str) -> None:
    questions: list[str] = []

    def prompt(question: str) -> Secret:
        questions.append(question)
        return Secret(PASSWORD)

    host = replace(near.host, user="passer")
    environ = {"DEPLOYER_SUDO_PASSWORD": PASSWORD} if way == "variable" else {}
    connection = near.connect(host, prompt=prompt, environ=environ)
    try:
        for _ in range(2):
            session = connection.start("id -un; cat", name="who")
            session.send(b"input\n")
            session.close_stdin()
            assert list(session.lines()) == ["root", "input"]
            assert session.status(5) == 0
    finally:
        connection.close()
    assert len(questions) == (0 if way == "variable" else 1)


def test_a_password_that_sudo_stops_asking_for_is_not_executed(near: Box) -> None:
    near.do("echo 'passer ALL=(ALL) ALL' > /etc/sudoers.d/strict; rm -f /tmp/executed")
    near.do("echo 'passer:touch /tmp/executed' | chpasswd")
    host = replace(near.host, user="passer")
    connection = near.connect(host, environ={"DEPLOYER_SUDO_PASSWORD": "touch /tmp/executed"})
    try:
        connection.become_root()
        near.do("echo 'passer ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/strict")
        assert connection.run("id -un", name="who", timeout_s=10).stdout == "root\n"
        assert near.do("ls /tmp/executed 2>/dev/null || echo none") == "none\n"
    finally:
        connection.close()
        near.do("echo 'passer ALL=(ALL) ALL' > /etc/sudoers.d/strict")
        near.do(f"echo {base64.b64encode(f'passer:{PASSWORD}'.encode()).decode()} | base64 -d | chpasswd")


def test_a_wrong_sudo_password_is_asked_for_once_more(near: Box) -> None:
    questions: list[str] = []

    def prompt(question: str) -> Secret:
        questions.append(question)
        return Secret("wrong" if len(questions) == 1 else PASSWORD)

    connection = near.connect(replace(near.host, user="passer"), prompt=prompt)
    try:
        assert connection.run("id -un", name="who", timeout_s=20).stdout == "root\n"
    finally:
        connection.close()
    assert [question.startswith("sudo password for passer") for question in questions] == [True, False]


def test_no_sudo_password_is_said_at_once(near: Box) -> None:
    connection = near.connect(replace(near.host, user="passer"))
    try:
        error = raised(NotLetInError, connection.become_root, within_s=10)
    finally:
        connection.close()
    assert "a password is required" in error.message
    assert "export DEPLOYER_SUDO_PASSWORD" in error.hint
    assert error.exit_code == 5


@pytest.mark.parametrize(
    ("user", "sudoers", "words"),
    [
        ("passer", "", "incorrect password attempt"),
        ("plain", "", "plain is not in the sudoers file"),
        ("passer", "Defaults:passer requiretty", "you must have a tty to run sudo"),
    ],
)
def test_a_refusal_of_sudo_is_said_in_its_words(near: Box, user: str, sudoers: str, words: str) -> None:
    near.do(f"echo {shlex.quote(sudoers)} > /etc/sudoers.d/z-extra")
    near.do("echo 'plain:known' | chpasswd")
    connection = near.connect(replace(near.host, user=user), environ={"DEPLOYER_SUDO_PASSWORD": "known"})
    try:
        error = raised(NotLetInError, connection.become_root, within_s=20)
    finally:
        connection.close()
        near.do("rm /etc/sudoers.d/z-extra")
    assert any(words in text for text in (error.message, *error.details)), (error.message, error.details)


def test_a_password_is_never_to_be_seen(near: Box) -> None:
    look = (
        "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -acFf /run/needle || true;"
        " sleep 0.01"
    )

    def sightings(needle: str, act: Callable[[], object]) -> int:
        hidden = base64.b64encode(needle.encode()).decode()
        near.do("rm -f /tmp/stop /tmp/seen")
        # The needle comes from a file: in the watcher's own command line it would see itself.
        near.do(f"echo {hidden} | base64 -d > /run/needle")
        loop = f"until [ -e /tmp/stop ]; do {look}; done > /tmp/seen"
        near.do(f"systemd-run --quiet --unit=watcher --collect /bin/bash -c {shlex.quote(loop)}")
        until = time.monotonic() + 10
        while near.do("wc -c < /tmp/seen 2>/dev/null || echo 0").strip() == "0":
            assert time.monotonic() < until
        act()
        near.do("touch /tmp/stop; while systemctl is-active -q watcher; do sleep 0.05; done")
        counts = [int(line) for line in near.do("cat /tmp/seen").split()]
        assert len(counts) > 10
        # The file of the needle itself is no log.
        logs = near.do("journalctl --no-pager -o export | grep -acFf /run/needle || true")
        return sum(counts) + int(logs)

    def work() -> None:
        connection = near.connect(replace(near.host, user="passer"), environ={"DEPLOYER_SUDO_PASSWORD": PASSWORD})
        for _ in range(5):
            connection.run("sleep 0.1", name="work", timeout_s=10)
        connection.close()

    assert sightings(PASSWORD, work) == 0
    # The twin: what stands in a command line is seen.
    assert sightings("a needle", lambda: near.do("bash -c 'sleep 0.5; :' 'a needle'")) > 0


def test_a_chatty_login_does_not_disturb(near: Box) -> None:
    connection = near.connect(replace(near.host, user="chatty"))
    try:
        for root in (True, False):
            assert connection.run("echo mine", name="try", timeout_s=10, root=root).stdout == "mine\n"
    finally:
        connection.close()


def test_a_login_without_a_shell_is_said(near: Box) -> None:
    connection = near.connect(replace(near.host, user="noshell"))
    try:
        error = raised(NotLetInError, lambda: connection.run("true", name="try", timeout_s=10, root=False), within_s=5)
    finally:
        connection.close()
    assert "This account is currently not available." in error.details
