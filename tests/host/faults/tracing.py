"""What is done to the files of a host while something happens on it, traced from outside of it with strace(1)."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.sandbox import Lab
from deployer.sandbox.commands import as_root, run
from deployer.sandbox.machine import init_of
from tests.host.faults.syscalls import TRACED, Event, events
from tests.host.project import wait_for


class Trace:
    """Fills while `traced` lasts; read it afterwards."""

    def __init__(self) -> None:
        self.text = ""

    @property
    def events(self) -> list[Event]:
        return events(self.text)


@contextmanager
def traced(lab: Lab, name: str, directory: Path) -> Iterator[Trace]:
    """Trace all that a host's systemd and sshd start from here on, and these two as well.

    systemd itself is part of it: it makes the links of `systemctl enable`.
    """
    init = init_of(lab.host(name).machine)
    assert init is not None
    sshd = _in_this_machine(lab, name, init)
    output = directory / "trace"
    process = subprocess.Popen(
        as_root(
            *("strace", "-f", "-y", "-s", "300", "-o", str(output), "-e", f"trace={','.join(TRACED)}"),
            *("-e", "signal=none", "-p", str(init), "-p", str(sshd)),
        ),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    reader.start()
    trace = Trace()
    try:
        wait_for(lambda: sum("attached" in line for line in said) == 2 or process.poll() is not None)
        assert process.poll() is None, "".join(said)
        yield trace
    finally:
        # It lets go of what it traces, which goes on.
        run(as_root("kill", "-INT", str(process.pid)), timeout_s=10)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            run(as_root("kill", "-KILL", str(process.pid)), timeout_s=10)
            process.wait(20)
        reader.join(10)
        if process.stderr is not None:
            process.stderr.close()
    trace.text = output.read_text(errors="replace")


def _in_this_machine(lab: Lab, name: str, init: int) -> int:
    """The host's sshd as a process of this machine: the child of its systemd that has its number inside."""
    inside = lab.enter(name, "systemctl show -P MainPID ssh.service").stdout.strip()
    for each in Path(f"/proc/{init}/task/{init}/children").read_text().split():
        status = Path(f"/proc/{each}/status").read_text()
        if any(line.startswith("NSpid:") and line.split()[-1] == inside for line in status.splitlines()):
            return int(each)
    raise AssertionError(f"no process of {name} has the number {inside}")
