"""The command line of a hint, asked of ssh itself where it is there: does it mean the connection that we made?"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from deployer.model import Host, Ssh
from deployer.transport import sudo
from deployer.transport.by_hand import ssh_command
from deployer.transport.ssh_config import resolve


def by_hand(host: Host, tmp_path: Path, text: str = "") -> str:
    config = tmp_path / "ssh_config"
    config.write_text(text)
    ssh = Ssh(config=config)
    return ssh_command(resolve(host, ssh, environ={}, note=lambda _: None), host, ssh)


def understood(command: str) -> dict[str, str]:
    """Return what ssh makes of a command line."""
    _, *rest = shlex.split(command)
    done = subprocess.run(["ssh", "-G", *rest], check=True, capture_output=True, text=True)
    # The first of several is what was given.
    return dict(line.partition(" ")[::2] for line in reversed(done.stdout.splitlines()))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return a key and a known_hosts, with a blank in their path, and in the name of one what ssh would replace."""
    directory = tmp_path / "walk 1"
    directory.mkdir()
    key, known = directory / "key", directory / "known_hosts %h"
    key.touch()
    known.touch()
    return key, known


def test_what_nobody_set_is_left_to_ssh() -> None:
    host = Host(name="prod1", address="10.0.0.1", port=22, user="root")
    target = resolve(host, Ssh(config=Path("/dev/null")), environ={}, note=lambda _: None)
    assert ssh_command(target, host, Ssh()) == "ssh -v -p 22 root@10.0.0.1 true"


def test_the_key_alone_and_our_known_hosts_are_tried(files: tuple[Path, Path], tmp_path: Path) -> None:
    key, known = files
    host = Host(name="prod1", address="10.0.0.1", port=2222, user="me", identity_file=key, known_hosts=known)
    found = understood(by_hand(host, tmp_path))
    assert found["userknownhostsfile"] == str(known)
    assert found["identityfile"] == str(key)
    assert (found["identitiesonly"], found["port"], found["user"]) == ("yes", "2222", "me")


def test_an_alias_stays_one(tmp_path: Path) -> None:
    text = "Host web\n  HostName 10.0.0.9\n  HostKeyAlias pinned\n"
    found = understood(by_hand(Host(name="prod1", address="web", port=22, user="me"), tmp_path, text))
    assert (found["hostname"], found["hostkeyalias"]) == ("10.0.0.9", "pinned")


def test_jump_hosts_are_given_as_they_were_written(tmp_path: Path) -> None:
    host = Host(name="prod1", address="10.0.0.1", port=22, user="me", proxy_jump="a@one,b@[fe80::1]:2222")
    command = by_hand(host, tmp_path)
    assert "-J 'a@one:22,b@[fe80::1]:2222' " in command
    assert understood(command)["proxyjump"] == "a@one:22,b@[fe80::1]:2222"


def test_no_jump_host_stays_none(tmp_path: Path) -> None:
    host = Host(name="prod1", address="10.0.0.1", port=22, user="me", proxy_jump="none")
    assert "proxyjump" not in understood(by_hand(host, tmp_path, "Host *\n  ProxyJump bastion\n"))


def test_a_jump_host_is_given_our_key_and_known_hosts_too(files: tuple[Path, Path], tmp_path: Path) -> None:
    key, known = files
    host = Host(
        name="prod1",
        address="10.0.0.1",
        port=22,
        user="me",
        identity_file=key,
        known_hosts=known,
        proxy_jump="a@one:2222",
    )
    inner = understood(by_hand(host, tmp_path))["proxycommand"]
    words = shlex.split(inner)
    assert words[-3:] == ["-W", "[%h]:%p", "a@one"]
    assert "2222" in words
    # What ssh puts in for the tokens of a ProxyCommand, before a shell reads it.
    expanded = inner.replace("%%", "\0").replace("%h", "10.0.0.1").replace("%p", "22").replace("\0", "%")
    found = understood(expanded)
    assert found["userknownhostsfile"].startswith(str(known))
    assert found["identityfile"] == str(key)


def test_a_sudo_rule_is_in_a_file_that_sudo_reads() -> None:
    """It leaves out those with a dot or a tilde in their name."""
    assert sudo._rule("anna.b") == "echo 'anna.b ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/anna_b"


def test_a_password_that_was_given_and_not_taken_is_to_be_set_anew() -> None:
    hint = sudo._refused("not-the-one")
    told, command = hint.split(": ")
    assert told == "if DEPLOYER_SUDO_PASSWORD is not the password there"
    argv = ["bash", "-c", f"{command}; printenv DEPLOYER_SUDO_PASSWORD"]
    done = subprocess.run(argv, input="right\n", check=True, capture_output=True, text=True)
    assert done.stdout == "right\n"
