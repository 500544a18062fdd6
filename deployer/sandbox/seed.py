"""Keys and names that a host's disk is furnished with, and what a client needs to trust and enter it."""

from __future__ import annotations

from pathlib import Path

from deployer.sandbox.commands import must
from deployer.sandbox.state import SandboxHost

_KEY_TYPES = ("ed25519", "ecdsa")


def make_key(path: Path) -> None:
    """Make the lab's key pair, unless it is there."""
    if not path.exists():
        path.with_suffix(".pub").unlink(missing_ok=True)
        _keygen(path, "ed25519", comment="deployer-sandbox")


def write_seed(directory: Path, *, name: str, address: str, gateway: str, key: Path) -> None:
    """Write what a disk is furnished with to `directory`/seed, and the pinned host keys to `directory`/known_hosts.

    The host keys are made here, so that they are known before the host first answers.
    """
    seed = directory / "seed"
    seed.mkdir(parents=True)
    pinned = []
    for kind in _KEY_TYPES:
        path = seed / f"ssh_host_{kind}_key"
        _keygen(path, kind, comment=f"root@{name}")
        pinned.append(f"{address} {' '.join(path.with_suffix('.pub').read_text().split()[:2])}\n")
    (seed / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    (seed / "hostname").write_text(f"{name}\n")
    (seed / "hosts").write_text(f"127.0.0.1 localhost\n{address} {name}\n")
    (seed / "sandbox-net").write_text(f"ADDRESS={address}\nGATEWAY={gateway}\n")
    (directory / "known_hosts").write_text("".join(pinned))


def ssh_argv(host: SandboxHost, *command: str, user: str = "root") -> tuple[str, ...]:
    """The OpenSSH command line that runs a command on a host, or opens a shell when there is none."""
    options = {
        "IdentityFile": _quoted(host.identity_file),
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _quoted(host.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "BatchMode": "yes",
        "ConnectTimeout": "5",
    }
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ("ssh", "-F", "none", *flags, f"{user}@{host.address}", *(("--", *command) if command else ()))


def _quoted(path: Path) -> str:
    # ssh_config(5): a value with spaces is quoted, and "%" begins a token.
    return '"' + str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"') + '"'


def _keygen(path: Path, kind: str, *, comment: str) -> None:
    must(("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(path)))
