"""A virtual machine whose power can be cut: what it has not synced is lost, as its memory is that of one process.

Its disk is an overlay over an image that stays as it is. Written through qemu with `cache=writeback`: a flush of the
guest reaches the file of the disk, what the guest kept in its page cache ends with qemu.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from deployer.sandbox import Completed, SandboxHost
from deployer.sandbox.commands import must, run
from tests.vm.image import Image

NAME = "vm"
WIRE = "/run/strike"
STRUCK = ("chmod", "ln", "mkdir", "mv", "rm", "sync", "systemctl")
SOFTWARE = "tcg,thread=multi"
# An emulator translates code by its address: where programs lie at other addresses each time, all of it anew. Without
# that, and without guards against neighbours that a test has none of, a program starts in 14 ms, not in 38.
_QUICK = "norandmaps mitigations=off apparmor=0 audit=0"
_PROBE_S = 10.0
_BOOT_S = 150.0
_STRIKE_SCRIPT = Path(__file__).parent / "sh/strike.sh"


def accelerator(image: Image, directory: Path) -> str:
    """Hardware, where a short boot of it gets as far as its first program and ends; else software emulation.

    That there is a /dev/kvm says little: in some nested machines the guest hangs or dies in it.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return SOFTWARE
    console = directory / "probe"
    # Its first program ends at once, on which the kernel panics and qemu ends.
    argv = (*_qemu(image, "kvm", console, "rdinit=/bin/true"), "-no-reboot")
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(argv, check=False, capture_output=True, timeout=_PROBE_S)
        if done.returncode == 0 and "Attempted to kill init" in console.read_text(errors="replace"):
            return "kvm"
    return SOFTWARE


def _qemu(image: Image, accel: str, console: Path, more: str) -> tuple[str, ...]:
    return (
        # It ends with us, however we end, and lets everybody else have the processor first.
        *("setpriv", "--pdeathsig", "KILL", "nice", "-n", "5", "qemu-system-x86_64"),
        *("-accel", accel, "-cpu", "max", "-smp", "1", "-m", "512", "-nodefaults", "-display", "none"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", f"root=/dev/vda rw console=ttyS0 panic=-1 quiet {_QUICK} {more}"),
        *("-serial", f"file:{console}", "-device", "virtio-rng-pci"),
    )


@dataclass(kw_only=True)
class Machine:
    """One machine and its disk, in a directory of its own. Off until `boot`; may be cut and booted any number of times."""

    image: Image
    directory: Path
    accel: str
    port: int = field(init=False)
    boots_s: list[float] = field(default_factory=list)
    _qemu: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.directory.mkdir(parents=True, exist_ok=True)
        self._known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.image.host_key}\n")
        backing = ("-b", str(self.image.disk), "-F", "raw")
        must(("qemu-img", "create", "-q", "-f", "qcow2", *backing, str(self._disk)))

    @cached_property
    def host(self) -> SandboxHost:
        """The machine as tests of hosts know a host; its port is a line of its own (`host_lines`)."""
        return SandboxHost(
            name=NAME,
            address="127.0.0.1",
            suite="",
            running=True,
            identity_file=self.image.key,
            known_hosts=self._known_hosts,
            machine=NAME,
            link="",
            rootfs=self.directory,
            directory=self.directory,
        )

    def boot(self) -> None:
        """Turn it on and wait until it has booted and lets us in."""
        begun = time.monotonic()
        self._control.unlink(missing_ok=True)
        forward = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"
        self._qemu = subprocess.Popen(
            (
                *_qemu(self.image, self.accel, self._console, ""),
                *("-drive", f"file={self._disk},if=virtio,cache=writeback"),
                *("-netdev", forward, "-device", "virtio-net-pci,netdev=net"),
            ),
            stdin=subprocess.DEVNULL,
        )
        asked = "systemctl is-system-running --wait"
        while self.enter(NAME, asked, timeout_s=60).stdout.strip() not in ("running", "degraded"):
            assert self._qemu.poll() is None, f"qemu ended: {self.console}"
            assert time.monotonic() - begun < _BOOT_S, f"it did not boot in time: {self.console}"
            time.sleep(0.2)
        self.boots_s.append(time.monotonic() - begun)

    def cut_power(self) -> None:
        """Kill it, as it stands."""
        if self._qemu is not None:
            self._qemu.send_signal(signal.SIGKILL)
            self._qemu.wait(30)
            self._qemu = None

    def enter(self, _name: str, command: str, *, timeout_s: float = 60.0) -> Completed:
        """Run a shell line as root inside, through OpenSSH; the signature is that of `Lab.enter`."""
        options = {
            "IdentityFile": str(self.image.key),
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self._known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "LogLevel": "ERROR",
            # A login takes half a second of emulation.
            "ControlMaster": "auto",
            "ControlPath": str(self._control),
            "ControlPersist": "60",
        }
        flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return run(
            ("ssh", "-F", "none", *flags, "-p", str(self.port), "root@127.0.0.1", "--", command), timeout_s=timeout_s
        )

    @property
    def console(self) -> str:
        """What it said on its serial line since it was turned on."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def arm(self, stop: int, *, forget: bool = False) -> None:
        """Count the calls of the next commit, and strike at this one; 0 only counts. `forget`: its sync(1) does nothing."""
        text = base64.b64encode(_STRIKE_SCRIPT.read_bytes()).decode()
        done = self.enter(
            NAME,
            f"set -e; cd /usr/local/bin; echo {text} | base64 -d > strike; chmod 755 strike; "
            f"for each in {' '.join(STRUCK)}; do ln -sf strike $each; done; /usr/bin/sync; "
            f"rm -rf {WIRE}; mkdir {WIRE}; {f'touch {WIRE}/forget;' if forget else ''} echo {stop} > {WIRE}/stop",
        )
        assert done.status == 0, done

    def calls(self) -> list[str]:
        """What the commit called since `arm`, in order: "mv -fT -- …"."""
        return self.enter(NAME, f"cat {WIRE}/log").stdout.splitlines()

    @property
    def is_struck(self) -> bool:
        return "STRIKE before" in self.console

    @property
    def _disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def _console(self) -> Path:
        return self.directory / "console"

    @property
    def _control(self) -> Path:
        return self.directory / "ssh"

    @property
    def _known_hosts(self) -> Path:
        return self.directory / "known_hosts"
