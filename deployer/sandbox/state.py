"""What a lab remembers of its hosts, as files in its state directory. Reads and writes them; starts and stops nothing."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployer.errors import UsageError
from deployer.sandbox.processes import recorded

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
# Of the /24: .1 is the bridge; some are left for what a test may add.
_FIRST_NUMBER, _LAST_NUMBER = 11, 250


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxHost:
    """A host of a lab as it was when it was looked up.

    `link` is its network link on this machine, `machine` what its container and control groups are called, `rootfs`
    the shared root file system below its disk, `directory` where all that is its own lies.
    """

    name: str
    address: str
    suite: str
    running: bool
    identity_file: Path
    known_hosts: Path
    machine: str
    link: str
    rootfs: Path
    directory: Path

    @property
    def console(self) -> Path:
        """What its init printed since it was last started from off."""
        return self.directory / "console"


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """`$DEPLOYER_SANDBOX`, else `deployer/sandbox` in the user's state directory (`$XDG_STATE_HOME`, `~/.local/state`)."""
    return chosen_directory(
        environ, own="DEPLOYER_SANDBOX", base="XDG_STATE_HOME", default=".local/state", below="deployer/sandbox"
    )


def chosen_directory(environ: Mapping[str, str], *, own: str, base: str, default: str, below: str) -> Path:
    """The directory named by the variable `own`, else `below` the user's `base`, as the XDG rules have it."""
    if path := environ.get(own):
        return Path(path).expanduser().absolute()
    root = Path(environ.get(base, ""))
    # A relative one is to be ignored: XDG Base Directory Specification.
    return (root if root.is_absolute() else Path.home() / default) / below


def link_of(machine: str) -> str:
    """What systemd-nspawn calls the link of a machine: "vb-" for one in a bridge."""
    return f"vb-{machine}"


def check_name(name: str) -> None:
    """Raise UsageError unless the name can be a host's name, a directory and a key of the config."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a sandbox host: use a-z, 0-9 and inner dashes, at most 32 characters")


class State:
    """The state directory of one lab. Hosts are known once they are complete: `host.json` is written last."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.expanduser().resolve()
        # Names in the kernel are short (15 bytes for a link) and shared by all labs of a machine.
        self.tag = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:6]
        self.bridge = f"d{self.tag}-br"
        self.key = self.directory / "key"

    def names(self) -> tuple[str, ...]:
        """All hosts that have left a trace here, complete or not."""
        try:
            return tuple(sorted(entry.name for entry in (self.directory / "hosts").iterdir()))
        except FileNotFoundError:
            return ()

    def hosts(self) -> tuple[SandboxHost, ...]:
        return tuple(host for name in self.names() if (host := self.find(name)))

    def find(self, name: str) -> SandboxHost | None:
        """The host as it is now; None when there is none, or only an unfinished one."""
        directory = self.host_directory(name)
        try:
            record = json.loads((directory / "host.json").read_text())
        except FileNotFoundError:
            return None
        machine = self.machine(record["number"])
        supervisor = recorded(directory / "supervisor")
        return SandboxHost(
            name=name,
            address=record["address"],
            suite=record["suite"],
            running=supervisor is not None and supervisor.is_alive,
            identity_file=self.key,
            known_hosts=directory / "known_hosts",
            machine=machine,
            link=link_of(machine),
            rootfs=Path(record["rootfs"]),
            directory=directory,
        )

    def host(self, name: str) -> SandboxHost:
        """The host as it is now.

        Raises:
            UsageError: There is none of that name.
        """
        if host := self.find(name):
            return host
        there = ", ".join(host.name for host in self.hosts()) or "none"
        raise UsageError(
            f"there is no sandbox host {name!r} (there: {there})", hint=f"deployer sandbox up --name {name}", host=name
        )

    def host_directory(self, name: str) -> Path:
        check_name(name)
        return self.directory / "hosts" / name

    def machine(self, number: int) -> str:
        return f"d{self.tag}-{number}"

    def free_number(self) -> int:
        """The least number that no host has: the last part of its address, and of its machine's name.

        Raises:
            UsageError: A bridge holds no more hosts.
        """
        used = {int(host.address.rpartition(".")[2]) for host in self.hosts()}
        for number in range(_FIRST_NUMBER, _LAST_NUMBER + 1):
            if number not in used:
                return number
        raise UsageError(f"the sandbox in {self.directory} is full: {len(used)} hosts", hint="deployer sandbox down")

    def record(self, name: str, *, number: int, address: str, suite: str, rootfs: Path) -> None:
        """Make a host known. All else that it needs is there by now."""
        record = {"number": number, "address": address, "suite": suite, "rootfs": str(rootfs)}
        _write(self.host_directory(name) / "host.json", json.dumps(record) + "\n")

    @property
    def network(self) -> ipaddress.IPv4Network | None:
        """The lab's /24; None before the first host."""
        try:
            return ipaddress.IPv4Network(json.loads((self.directory / "lab.json").read_text())["network"])
        except FileNotFoundError:
            return None

    @network.setter
    def network(self, value: ipaddress.IPv4Network) -> None:
        _write(self.directory / "lab.json", json.dumps({"network": str(value)}) + "\n")

    def forget(self) -> None:
        """Remove what is left after the last host. Needs the lab's lock."""
        for name in ("lab.json", "key", "key.pub"):
            (self.directory / name).unlink(missing_ok=True)
        for lock in (self.directory / "locks").glob("*.lock"):
            lock.unlink(missing_ok=True)
        for directory in ("hosts", "locks", "."):
            with contextlib.suppress(OSError):  # a host that somebody makes just now
                (self.directory / directory).resolve().rmdir()

    @contextlib.contextmanager
    def locked(self, name: str = "", on_line: Callable[[str], None] | None = None) -> Iterator[None]:
        """Keep others off a host, or off the lab itself (its network, numbers and key) when no name is given.

        Who needs both takes the host's first. `on_line` hears of it when somebody else has to be waited for.
        """
        path = self.directory / "locks" / f"{name or '@lab'}.lock"
        with contextlib.ExitStack() as stack:
            while True:
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.parent.mkdir(exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                closing = contextlib.ExitStack()
                closing.callback(os.close, descriptor)
                with closing:
                    _lock(descriptor, on_line, f"waiting for another deployer that works on {name or 'the sandbox'}")
                    if _is_still(path, descriptor):
                        stack.push(closing.pop_all())
                        break
            yield


def _lock(descriptor: int, on_line: Callable[[str], None] | None, text: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if on_line:
            on_line(text)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the locked file is the one that others will find: `forget` may have removed it while we waited."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
