"""A host and what a test of the transport does with it: connect, run another sshd, make keys, go through another host."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deployer import local
from deployer.errors import DeployerError
from deployer.model import Host, Secret, Ssh
from deployer.sandbox import Lab, SandboxHost
from deployer.transport import Connection, connect

PASSWORD = "pass wörd $1 'x' \\"
QUICK = Ssh(connect_timeout_s=4, keepalive_s=0.5, dead_after_s=2, step_timeout_s=20)


@dataclass(kw_only=True)
class Box:
    """A sandbox host and what a test does with it."""

    lab: Lab
    sandbox: SandboxHost
    notes: list[str] = field(default_factory=list)

    @property
    def host(self) -> Host:
        return Host(
            name=self.sandbox.name,
            address=self.sandbox.address,
            user="root",
            identity_file=self.sandbox.identity_file,
            known_hosts=self.sandbox.known_hosts,
        )

    def do(self, command: str) -> str:
        done = self.lab.enter(self.sandbox.name, command)
        assert done.status == 0, done
        return done.stdout

    def connect(
        self,
        host: Host | None = None,
        ssh: Ssh = QUICK,
        *,
        prompt: Callable[[str], Secret | None] = lambda _: None,
        environ: Mapping[str, str] | None = None,
    ) -> Connection:
        return connect(host or self.host, ssh, prompt=prompt, environ=environ or {}, note=self.notes.append)

    def sshd(self, port: int, *options: str) -> None:
        """Run another sshd there."""
        words = " ".join(f"-o {shlex.quote(option)}" for option in options)
        self.do(f"systemd-run --quiet --collect --unit=sshd-{port} /usr/sbin/sshd -D -p {port} {words}")
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((self.sandbox.address, port), timeout=1).close()
            except OSError:
                assert time.monotonic() < until
            else:
                return


def keygen(path: Path, *, kind: str = "ed25519", passphrase: str = "", more: tuple[str, ...] = ()) -> Path:
    done = local.run(
        ("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path), *more), timeout_s=30
    )
    assert done.status == 0, done
    return path


def raised(kind: type[DeployerError], act: Callable[[], object], *, within_s: float) -> DeployerError:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        act()
    took_s = time.monotonic() - started
    assert took_s < within_s, took_s
    assert PASSWORD not in str(caught.value.__dict__)
    return caught.value


def through(near: Box, far: Box, tmp_path: Path) -> tuple[Host, Ssh]:
    """The way to `far` through `near`, by an ssh_config with Include and Match."""
    known = tmp_path / "known_hosts"
    known.write_text(near.sandbox.known_hosts.read_text() + far.sandbox.known_hosts.read_text())
    (tmp_path / "more").write_text(
        f"Host bastion\n  HostName {near.sandbox.address}\n  User easy\n  IdentityFile {near.sandbox.identity_file}\n"
        f"Match host {far.sandbox.address}\n  ProxyJump bastion\n"
    )
    config = tmp_path / "ssh_config"
    config.write_text(f"Include {tmp_path}/more\nHost *\n  UserKnownHostsFile {known}\n")
    return replace(far.host, known_hosts=None), replace(QUICK, config=config)
