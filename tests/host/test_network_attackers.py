"""Somebody on the network who answers in place of a host or a jump host, or talks two sides into weak algorithms.

One host with several sshds stands for the whole way: two jump hosts and the target, each with host keys of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deployer import local
from deployer.errors import HostKeyError, UnreachableError
from deployer.model import Host, Ssh
from deployer.sandbox import Lab, SandboxHost
from deployer.transport import Connection, algorithms, hostkeys
from tests.host.transport.box import QUICK, Box, keygen, raised

HOPS = {"first jump host": 2301, "second jump host": 2302, "target": 2303}


@dataclass(frozen=True, kw_only=True)
class Way:
    """Two jump hosts and a target. `keys` is each hop's host key, by type: "ssh-ed25519 AAAA…"."""

    box: Box
    keys: dict[str, dict[str, str]]

    def line(self, hop: str, kind: str = "ssh-ed25519", *, key: str = "", marker: str = "") -> str:
        return f"{marker}[{self.box.sandbox.address}]:{HOPS[hop]} {key or self.keys[hop][kind]}\n"

    def connect(self, directory: Path, known: str, *, accept_new: bool = False) -> Connection:
        """Go the whole way, with this known_hosts file for all of it."""
        (directory / "known_hosts").write_text(known)
        address, key = self.box.sandbox.address, self.box.sandbox.identity_file
        first, second, target = HOPS.values()
        config = directory / "ssh_config"
        config.write_text(
            f"Host *\n  User root\n  HostName {address}\n  IdentityFile {key}\n  UserKnownHostsFile {directory}/known_hosts\n"
            f"Host one\n  Port {first}\nHost two\n  Port {second}\n  ProxyJump one\nHost end\n  Port {target}\n  ProxyJump two\n"
        )
        ssh: Ssh = replace(QUICK, config=config, accept_new=accept_new)
        return self.box.connect(Host(name="end", address="end"), ssh)


@pytest.fixture(scope="module")
def way(lab: Lab, host: SandboxHost) -> Way:
    box = Box(lab=lab, sandbox=host)
    keys = {}
    for hop, port in HOPS.items():
        box.do(
            f"for kind in ed25519 ecdsa rsa; do ssh-keygen -q -t $kind -N '' -f /etc/ssh/{port}_$kind; done; mkdir -p /run/sshd"
        )
        words = box.do(f"cat /etc/ssh/{port}_*.pub").splitlines()
        keys[hop] = {line.split()[0]: " ".join(line.split()[:2]) for line in words}
        box.sshd(port, *(f"HostKey=/etc/ssh/{port}_{kind}" for kind in ("ed25519", "ecdsa", "rsa")))
    return Way(box=box, keys=keys)


@pytest.fixture
def downgraded(way: Way) -> Iterator[None]:
    """The target shows an RSA key and no other from now on."""
    port = HOPS["target"]
    way.box.do(f"systemctl stop sshd-{port}")
    way.box.sshd(port, f"HostKey=/etc/ssh/{port}_rsa")
    yield
    way.box.do(f"systemctl stop sshd-{port}")
    way.box.sshd(port, *(f"HostKey=/etc/ssh/{port}_{kind}" for kind in ("ed25519", "ecdsa", "rsa")))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> str:
    public = keygen(tmp_path_factory.mktemp("stranger") / "key").with_suffix(".pub").read_text()
    return " ".join(public.split()[:2])


def fingerprint(key: str, directory: Path) -> str:
    """As OpenSSH has it."""
    file = directory / "key.pub"
    file.write_text(f"{key}\n")
    done = local.run(("ssh-keygen", "-lf", str(file)), timeout_s=10)
    return done.stdout.decode().split()[1]


def test_the_whole_way_is_gone_when_every_key_is_known(way: Way, tmp_path: Path) -> None:
    """Twin: nothing but the keys stands in the way of the tests below."""
    way.connect(tmp_path, "".join(map(way.line, HOPS))).close()


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize(
    ("what", "accept_new"),
    [
        ("another key", False),
        ("another key", True),
        ("another type", False),
        ("another type", True),
        ("revoked", False),
        ("revoked", True),
        ("unknown", False),
    ],
)
def test_a_wrong_key_of_any_hop_is_refused(
    way: Way,
    tmp_path: Path,
    stranger: str,
    *,
    hop: str,
    what: str,
    accept_new: bool,
) -> None:
    shown = way.keys[hop]["ssh-ed25519"]
    lines = {each: way.line(each) for each in HOPS}
    lines[hop] = {
        "another key": way.line(hop, key=stranger),
        # A host that is known by a key which it does not have any more, of a type that it could show.
        "another type": way.line(hop, key=stranger.replace("ssh-ed25519", "ssh-dss")),
        "revoked": way.line(hop) + way.line(hop, marker="@revoked "),
        "unknown": "",
    }[what]
    known = "".join(lines.values())
    error = raised(HostKeyError, lambda: way.connect(tmp_path, known, accept_new=accept_new), within_s=5)
    assert error.exit_code == 5
    says = {"another key": "has changed", "another type": "has changed", "revoked": "is revoked"}
    assert says.get(what, "is not known") in error.message
    assert f"port {HOPS[hop]}" in error.message
    assert f"ssh-ed25519 {fingerprint(shown, tmp_path)}" in error.message
    assert (tmp_path / "known_hosts").read_text() == known


def test_a_host_that_shows_a_weaker_type_than_the_pinned_one_is_refused(
    way: Way, tmp_path: Path, downgraded: None
) -> None:
    known = "".join(map(way.line, HOPS))
    error = raised(HostKeyError, lambda: way.connect(tmp_path, known, accept_new=True), within_s=5)
    shown, pinned = way.keys["target"]["ssh-rsa"], way.keys["target"]["ssh-ed25519"]
    assert f"has changed: it shows ssh-rsa {fingerprint(shown, tmp_path)}" in error.message
    assert f"has ssh-ed25519 {fingerprint(pinned, tmp_path)}" in error.message
    assert (tmp_path / "known_hosts").read_text() == known
    way.connect(tmp_path, known + way.line("target", "ssh-rsa")).close()  # twin: that key alone was the reason


def test_without_the_check_any_key_would_do(
    way: Way, tmp_path: Path, stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twin of all refusals above."""
    monkeypatch.setattr(hostkeys, "check", lambda *_args, **_values: None)
    way.connect(tmp_path, "".join(way.line(hop, key=stranger) for hop in HOPS)).close()


# What an sshd may be set to, and what of it we have no part in.
WEAK = {
    "MAC hmac-sha1": ("Ciphers=aes128-ctr", "MACs=hmac-sha1"),
    "MAC hmac-md5": ("Ciphers=aes128-ctr", "MACs=hmac-md5"),
    "cipher aes128-cbc": ("Ciphers=aes128-cbc",),
    "cipher 3des-cbc": ("Ciphers=3des-cbc",),
    "group 1": ("KexAlgorithms=diffie-hellman-group1-sha1",),
    "group 14 with SHA-1": ("KexAlgorithms=diffie-hellman-group14-sha1",),
    "RSA with SHA-1": ("HostKeyAlgorithms=ssh-rsa", "HostKey=/etc/ssh/2303_rsa"),
}
PLACES = {"MAC": "MAC", "cipher": "cipher", "group": "kex", "RSA": "host key"}


@pytest.fixture(params=WEAK)
def weak(request: pytest.FixtureRequest, way: Way) -> Iterator[tuple[str, Host]]:
    """A host that offers one weak thing and nothing else in its place; its keys are known."""
    port = 2310 + list(WEAK).index(request.param)
    way.box.sshd(port, *WEAK[request.param])
    yield request.param, replace(way.box.host, port=port)
    way.box.do(f"systemctl stop sshd-{port}")


def test_a_host_with_weak_algorithms_alone_is_not_talked_to(way: Way, weak: tuple[str, Host]) -> None:
    what, host = weak
    error = raised(UnreachableError, lambda: way.box.connect(host), within_s=5)
    assert error.exit_code == 5
    assert f"{host.address} port {host.port} greets as SSH-2.0-OpenSSH" in error.message
    assert "which we cannot talk to" in error.message
    assert PLACES[what.split()[0]].lower() in error.message.lower()
    assert "out of its sshd_config" in error.hint


@pytest.mark.parametrize("what", ["MAC hmac-sha1", "cipher aes128-cbc", "cipher 3des-cbc"])
def test_without_our_choice_weak_algorithms_would_be_agreed_on(
    way: Way, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Twin: those that the library has. It has no key exchange and no signature with SHA-1 any more."""
    monkeypatch.setattr(algorithms, "ciphers", list)
    monkeypatch.setattr(algorithms, "macs", list)
    port = 2320
    way.box.sshd(port, *WEAK[what])
    try:
        connection = way.box.connect(replace(way.box.host, port=port))
        transport: Any = connection._link.transport
        agreed = (transport.local_cipher, transport.local_mac)
        connection.close()
    finally:
        way.box.do(f"systemctl stop sshd-{port}")
    assert what.split()[1] in agreed
