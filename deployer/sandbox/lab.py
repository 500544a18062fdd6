"""A lab: throwaway systemd hosts of one state directory, on one bridge. Real Debian, real systemd, real sshd.

Each host is a systemd-nspawn container on a disk of its own (an overlay over a shared root file system). They outlive
the process that booted them and are found again through the state directory. Nothing is ever ended by name: a host is
its control group and a recorded process.

In the state directory: `lab.json` (the network), `key` (lets in everywhere), and for each host `hosts/NAME/`:
`host.json`, `known_hosts`, `seed/` (what the disk is furnished with), `disk/` (root's), `console`, `supervisor`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal

from deployer.errors import HostError, UsageError
from deployer.sandbox import machine, network, seed
from deployer.sandbox.commands import Completed, require
from deployer.sandbox.rootfs import built_rootfs, cache_directory
from deployer.sandbox.state import SandboxHost, State, check_name

DEFAULT_NAME = "sandbox1"
DEFAULT_SUITE = "bookworm"

_POLL_S = 0.05


def _tell_nobody(_line: str) -> None:
    """Hear a line and forget it."""


class Lab:
    """The hosts of one state directory. Labs with different directories share nothing but the cache.

    Methods that change a host keep other processes and threads off that host meanwhile; different hosts may be worked
    on at once.
    """

    def __init__(self, directory: Path, *, cache: Path | None = None, boot_timeout_s: float = 60.0) -> None:
        self._state = State(directory)
        self._cache = (cache or cache_directory()).expanduser().absolute()
        self._boot_timeout_s = boot_timeout_s

    @property
    def directory(self) -> Path:
        return self._state.directory

    def hosts(self) -> tuple[SandboxHost, ...]:
        """All hosts that have a disk, running or not, by name. Needs no rights and changes nothing."""
        return self._state.hosts()

    def host(self, name: str) -> SandboxHost:
        """One host as it is now.

        Raises:
            UsageError: There is none of that name.
        """
        return self._state.host(name)

    def up(
        self, name: str = DEFAULT_NAME, *, suite: str = "", on_line: Callable[[str], None] = _tell_nobody
    ) -> SandboxHost:
        """Boot a host, a new one or with the disk it has, and wait until it has booted and lets us in.

        Nothing happens to one that is up. An interrupted `up` is made good by the next, or cleared away by `down`.

        Args:
            suite: Of a new host, bookworm by default; a host that is there keeps its own.
            on_line: Gets lines that tell what goes on, those of programs among them.

        Raises:
            UsageError: This machine cannot, the name cannot be one, or the host is there with another suite.
            HostError: It did not come up in time; the details are the end of its console.
        """
        check_name(name)
        require()
        with self._state.locked(name, on_line):
            host = self._state.find(name) or self._made(name, suite or DEFAULT_SUITE, on_line)
            if suite and suite != host.suite:
                raise UsageError(
                    f"the sandbox host {name} is there with {host.suite}, not {suite}",
                    host=name,
                    hint=f"throw it away first: deployer sandbox down --name {name}",
                )
            if not host.running:
                on_line(f"booting {name} ({host.suite}) at {host.address}")
                with self._state.locked():
                    self._bridged()
                machine.start(host, bridge=self._state.bridge, on_line=on_line)
            machine.await_up(host, timeout_s=self._boot_timeout_s)
        return self.host(name)

    def boot(self, name: str, *, on_line: Callable[[str], None] = _tell_nobody) -> SandboxHost:
        """Boot a host that was up before, with its disk as it is; raises UsageError when there is none."""
        self.host(name)
        return self.up(name, on_line=on_line)

    def powercut(self, name: str) -> None:
        """Kill every process of a host at once, its init first; its disk stays.

        Other than in a real power cut, what was written but never synced survives: the page cache is this machine's.
        """
        with self._state.locked(name):
            host = self.host(name)
            machine.power_off(host.machine, host.directory)

    def reboot(self, name: str) -> SandboxHost:
        """Let a host reboot in good order and wait until it is back.

        Raises:
            HostError: It is off, or did not come back in time.
        """
        with self._state.locked(name):
            host = self.host(name)
            before = machine.init_of(host.machine)
            asked = machine.enter(host, "systemctl reboot", timeout_s=self._boot_timeout_s)
            deadline = time.monotonic() + self._boot_timeout_s
            while machine.init_of(host.machine) in (None, before):
                if time.monotonic() > deadline or not self.host(name).running:
                    raise machine.trouble(host, "did not come back from its reboot", asked.stderr)
                time.sleep(_POLL_S)
            machine.await_up(host, timeout_s=self._boot_timeout_s)
        return self.host(name)

    def down(self, name: str | None = None) -> tuple[str, ...]:
        """Stop a host, or all, and throw its disk away; the bridge goes with the last. Gives the names.

        Clears away what an interrupted `up` left, too. A host that is not there is no fault.
        """
        there = self._state.names()
        names = tuple(each for each in there if name in (None, each))
        for each in names:
            with self._state.locked(each):
                host = self._state.find(each)
                machine.remove(self._state.host_directory(each), host.machine if host else None)
        if self._state.directory.is_dir():
            with self._state.locked():
                if not self._state.names():
                    network.drop_link(self._state.bridge)
                    self._state.forget()
        return names

    def ssh_argv(self, name: str, *command: str, user: str = "root") -> tuple[str, ...]:
        """The OpenSSH command line to a host: with its key and its pinned host keys, without the user's settings.

        `user` is root, deploy (sudo without a password), careful (sudo with the password `sandbox-only`).
        """
        return seed.ssh_argv(self.host(name), *command, user=user)

    def enter(self, name: str, command: str, *, timeout_s: float = 60.0) -> Completed:
        """Run a shell line as root inside a running host, without its network or its sshd.

        Raises:
            HostError: The host is off, or the command ran out of time.
        """
        return machine.enter(self.host(name), command, timeout_s=timeout_s)

    def cut_link(self, name: str) -> None:
        """Make a running host a black hole: packets to it and from it vanish, and nobody is told."""
        host = self.host(name)
        asked = self.enter(name, "cat /sys/class/net/host0/address")
        if asked.status != 0:
            raise HostError(f"the sandbox host {name} has no link", host=name, details=tuple(asked.stderr.splitlines()))
        network.cut(host.link, bridge=self._state.bridge, address=host.address, hardware=asked.stdout.strip())

    def restore_link(self, name: str) -> None:
        """Undo `cut_link`."""
        host = self.host(name)
        network.restore(host.link, bridge=self._state.bridge, address=host.address)

    @contextlib.contextmanager
    def one_way(self, name: str, *, deaf: Literal["host", "client"]) -> Iterator[None]:
        """Let packets vanish on the way to one of the two ends, while those of the other arrive."""
        host = self.host(name)
        if deaf == "host":
            with network.mislaid(host.address, device=self._state.bridge):
                yield
            return
        gateway = host.address.rpartition(".")[0] + ".1"
        self.enter(name, f"ip neighbour replace {gateway} lladdr {network.NOBODY} dev host0 nud permanent")
        try:
            yield
        finally:
            self.enter(name, f"ip neighbour delete {gateway} dev host0")

    def _made(self, name: str, suite: str, on_line: Callable[[str], None]) -> SandboxHost:
        rootfs = built_rootfs(suite, cache=self._cache, on_line=on_line)
        directory = self._state.host_directory(name)
        machine.remove(directory, None)  # an unfinished one
        with self._state.locked():
            addresses = self._bridged()
            seed.make_key(self._state.key)
            number = self._state.free_number()
            address = str(addresses[number])
            seed.write_seed(directory, name=name, address=address, gateway=str(addresses[1]), key=self._state.key)
            self._state.record(name, number=number, address=address, suite=suite, rootfs=rootfs)
        return self.host(name)

    def _bridged(self) -> IPv4Network:
        """The lab's network, with its bridge up. Needs the lab's lock."""
        found = network.raise_bridge(self._state.bridge, self._state.network, start=int(self._state.tag, 16))
        self._state.network = found
        return found
