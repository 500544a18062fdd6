"""Jump hosts and proxy commands on the way to a host."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deployer.errors import HostKeyError, UnreachableError
from deployer.transport import send_file
from deployer.transport.by_hand import ssh_command
from deployer.transport.ssh_config import resolve
from tests.host.transport.box import QUICK, Box, keygen, raised, through


def test_a_jump_host_is_gone_through(near: Box, far: Box, tmp_path: Path) -> None:
    host, ssh = through(near, far, tmp_path)
    connection = far.connect(host, ssh)
    try:
        reply = connection.run("hostname; echo ${SSH_CONNECTION%% *}", name="where", timeout_s=10)
        assert reply.stdout.split() == ["far", near.sandbox.address]
        data = tmp_path / "data"
        data.write_bytes(os.urandom(3_000_000))
        session = connection.start("sha256sum", name="upload")
        send_file(session, data, 0, lambda _: None)
        assert next(session.lines()).split()[0] == hashlib.sha256(data.read_bytes()).hexdigest()
    finally:
        connection.close()


@pytest.mark.parametrize("ours", [False, True])
def test_what_a_hint_says_to_try_goes_through_the_jump_host_too(
    near: Box, far: Box, tmp_path: Path, *, ours: bool
) -> None:
    host, ssh = through(near, far, tmp_path)
    if ours:  # all of it from the config, and nothing from OpenSSH's
        (tmp_path / "ssh_config").write_text("")
        (tmp_path / "known hosts").write_text((tmp_path / "known_hosts").read_text())
        jump = f"easy@{near.sandbox.address}"
        host = replace(host, known_hosts=tmp_path / "known hosts", proxy_jump=jump)
    command = ssh_command(resolve(host, ssh, environ={}, note=lambda _: None), host, ssh)
    done = subprocess.run(
        ["bash", "-c", f"{command.removesuffix(' true')} -o BatchMode=yes hostname"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "far\n", done.stderr


def test_a_jump_host_with_a_wrong_key_is_refused(near: Box, far: Box, tmp_path: Path) -> None:
    host, ssh = through(near, far, tmp_path)
    stranger = keygen(tmp_path / "stranger").with_suffix(".pub").read_text()
    (tmp_path / "known_hosts").write_text(f"{near.sandbox.address} {stranger}{far.sandbox.known_hosts.read_text()}")
    error = raised(HostKeyError, lambda: far.connect(host, ssh), within_s=5)
    assert f"bastion ({near.sandbox.address} port 22) has changed" in error.message


def test_a_host_behind_a_jump_host_with_a_wrong_key_is_refused(near: Box, far: Box, tmp_path: Path) -> None:
    host, ssh = through(near, far, tmp_path)
    stranger = keygen(tmp_path / "stranger").with_suffix(".pub").read_text()
    (tmp_path / "known_hosts").write_text(f"{far.sandbox.address} {stranger}{near.sandbox.known_hosts.read_text()}")
    error = raised(HostKeyError, lambda: far.connect(host, ssh), within_s=5)
    assert far.sandbox.address in error.message


def test_a_jump_host_that_cannot_go_on_is_named(near: Box, far: Box, tmp_path: Path) -> None:
    host, ssh = through(near, far, tmp_path)
    error = raised(UnreachableError, lambda: far.connect(replace(host, port=1), ssh), within_s=10)
    assert "the jump host bastion" in error.message
    assert f"could not reach {far.sandbox.address} port 1" in error.message
    near.sshd(2214, "AllowTcpForwarding=no")
    (tmp_path / "more").write_text((tmp_path / "more").read_text().replace("User easy", "User easy\n  Port 2214"))
    error = raised(UnreachableError, lambda: far.connect(host, ssh), within_s=10)
    assert "AllowTcpForwarding" in error.message


def test_a_proxy_command_is_gone_through(near: Box, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(
        "ProxyCommand bash -c 'exec 3<>/dev/tcp/%h/%p; echo via >&2; cat <&3 & exec cat >&3'\n"
        f"UserKnownHostsFile {near.sandbox.known_hosts}\n"
    )
    connection = near.connect(ssh=replace(QUICK, config=config))
    try:
        assert len(connection.run("head -c 3000000 /dev/zero", name="try", timeout_s=20).stdout) == 3_000_000
    finally:
        connection.close()
    config.write_text("ProxyCommand echo no way >&2; exit 3\n")
    error = raised(UnreachableError, lambda: near.connect(ssh=replace(QUICK, config=config)), within_s=10)
    assert error.details == ("no way",)
