"""Host keys and ciphers: whom we talk to, and how."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from deployer import local
from deployer.errors import HostKeyError, UnreachableError
from deployer.transport import Connection, hostkeys
from tests.host.transport.box import QUICK, Box, keygen, raised


def test_an_unknown_host_is_refused_until_its_key_is_pinned(near: Box, tmp_path: Path) -> None:
    file = tmp_path / "known hosts"
    host = replace(near.host, known_hosts=file)
    error = raised(HostKeyError, lambda: near.connect(host), within_s=5)
    assert f"{near.sandbox.address} port 22" in error.message
    assert near.do("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1] in error.message
    assert not file.exists()
    # The hint can be typed.
    command = error.hint.partition("then: ")[2].partition(", or set")[0]
    assert local.run_shell(command, timeout_s=20, cwd=tmp_path).status == 0
    near.connect(host).close()


def test_a_new_key_is_accepted_only_where_that_is_allowed(near: Box, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    host = replace(near.host, known_hosts=file)
    near.notes.clear()
    near.connect(host, replace(QUICK, accept_new=True)).close()
    assert near.notes[0].startswith(f"added the host key of {near.sandbox.address} port 22 to {file}")
    near.connect(host).close()
    stranger = keygen(tmp_path / "stranger").with_suffix(".pub").read_text()
    file.write_text(f"{near.sandbox.address} {stranger}")
    error = raised(HostKeyError, lambda: near.connect(host, replace(QUICK, accept_new=True)), within_s=5)
    assert f"but {file}:1 has ssh-ed25519 SHA256:" in error.message
    assert file.read_text() == f"{near.sandbox.address} {stranger}"


def test_what_a_known_hosts_file_may_hold(near: Box, tmp_path: Path) -> None:
    pinned = dict(line.split()[1:3] for line in near.sandbox.known_hosts.read_text().splitlines())
    stranger = " ".join(keygen(tmp_path / "stranger").with_suffix(".pub").read_text().split()[:2])
    ours = f"ssh-ed25519 {pinned['ssh-ed25519']}"
    address = near.sandbox.address
    good = {
        "hashed": f"{hostkeys.hashed(address)} {ours}",
        "wildcard": f"{address[:-1]}? {ours}",
        "authority beside": f"@cert-authority * {stranger}\n{address} {ours}",
        "revoked other": f"@revoked * {stranger}\n{address} {ours}",
        "two of a type": f"{address} {stranger}\n{address} {ours}",
        "another type": f"{address} ecdsa-sha2-nistp256 {pinned['ecdsa-sha2-nistp256']}",
        "unreadable lines": f"garbage\n{address} ssh-ed25519\n|1|x|y z w\n{address} {ours}",
    }
    bad = {
        "revoked": f"@revoked * {ours}\n{address} {ours}",
        "authority alone": f"@cert-authority * {stranger}",
        "negated": f"*,!{address} {ours}",
        "changed": f"{address} {stranger}",
    }
    file = tmp_path / "known_hosts"
    host = replace(near.host, known_hosts=file)
    for what, text in good.items():
        file.write_text(f"{text}\n")
        connection = near.connect(host)
        assert connection.alive, what
        connection.close()
    for what, text in bad.items():
        file.write_text(f"{text}\n")
        error = raised(HostKeyError, lambda: near.connect(host), within_s=5)
        assert near.sandbox.address in error.message, what


def test_another_port_has_a_key_of_its_own(near: Box, tmp_path: Path) -> None:
    near.sshd(2211)
    file = tmp_path / "known_hosts"
    host = replace(near.host, port=2211, known_hosts=file)
    ours = near.sandbox.known_hosts.read_text()
    file.write_text(ours.replace(near.sandbox.address, f"[{near.sandbox.address}]:2211"))
    near.connect(host).close()
    file.write_text(ours.replace(near.sandbox.address, f"[{near.sandbox.address}]:2212"))
    raised(HostKeyError, lambda: near.connect(host), within_s=5)


def test_what_is_negotiated_is_fast_and_sound(to_near: Connection) -> None:
    transport: Any = to_near._link.transport
    assert transport.remote_cipher.endswith("-gcm@openssh.com")
    offered = transport.get_security_options()
    assert not [
        name for name in (*offered.ciphers, *offered.digests) if any(w in name for w in ("cbc", "des", "md5", "sha1"))
    ]
    wire = to_near._link.wire.inner
    assert isinstance(wire, socket.socket)
    assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_a_host_that_speaks_other_ciphers_is_said(near: Box) -> None:
    near.sshd(2215, "Ciphers=chacha20-poly1305@openssh.com")
    error = raised(UnreachableError, lambda: near.connect(replace(near.host, port=2215)), within_s=5)
    assert "which we cannot talk to" in error.message
    assert "cipher" in error.message
