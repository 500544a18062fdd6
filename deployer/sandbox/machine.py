"""One host as processes: started, waited for, entered, ended. Its control groups say what belongs to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from deployer.errors import HostError
from deployer.sandbox import network
from deployer.sandbox.commands import Completed, as_root, must, run, script, stream
from deployer.sandbox.processes import first_of_namespace, in_groups, name_of, recorded
from deployer.sandbox.seed import ssh_argv
from deployer.sandbox.state import SandboxHost, link_of

# cgroup v2 alone; the two trees of a hybrid machine.
_HIERARCHIES = tuple(Path("/sys/fs/cgroup") / name for name in (".", "unified", "systemd"))
_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 10.0
_POLL_S = 0.05


def start(host: SandboxHost, *, bridge: str, on_line: Callable[[str], None]) -> None:
    """Start the machine of a host that is off. True afterwards: its supervisor runs, and outlives us.

    Raises:
        HostError: Its disk could not be mounted, or its supervisor ended at once.
    """
    power_off(host.machine, host.directory)  # what an interrupted start left
    (host.directory / "supervisor").unlink(missing_ok=True)
    stream(
        script("machine.sh", str(host.directory), str(host.rootfs), host.machine, bridge),
        timeout_s=_START_TIMEOUT_S,
        what=f"starting the sandbox host {host.name}",
        on_line=on_line,
    )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while recorded(host.directory / "supervisor") is None:
        if time.monotonic() > deadline:
            raise trouble(host, "did not start")
        time.sleep(_POLL_S)


def await_up(host: SandboxHost, *, timeout_s: float) -> None:
    """Wait until a host has finished to boot and lets us in by ssh.

    Raises:
        HostError: It went off, or was not up in time; the details are the end of its console.
    """
    deadline = time.monotonic() + timeout_s
    last = ""
    while (left_s := deadline - time.monotonic()) > 0:
        if not _is_supervised(host):
            raise trouble(host, "went off while it booted")
        # The whole boot, not sshd alone: until its end pam_nologin(8) turns everybody but root away. Asked from inside,
        # as a packet to a link that is not yet up costs a second.
        if (shell := _shell(host.machine, "systemctl is-system-running --wait")) and (
            run(shell, timeout_s=left_s).stdout.strip() in ("running", "degraded")
        ):
            tried = run(ssh_argv(host, "true"), timeout_s=left_s)
            if tried.status == 0:
                return
            last = tried.stderr or last
        time.sleep(_POLL_S)
    raise trouble(host, f"was not up within {timeout_s:g} s", last)


def init_of(machine: str) -> int | None:
    """The guest's init as a process id of this machine; None while there is no guest."""
    return first_of_namespace(in_groups(_groups(machine)))


def enter(host: SandboxHost, command: str, *, timeout_s: float) -> Completed:
    """Run a shell line as root in all the namespaces of a host's init.

    Raises:
        HostError: The host is off, or the command ran out of time.
    """
    shell = _shell(host.machine, command)
    if shell is None:
        raise HostError(
            f"the sandbox host {host.name} is off", host=host.name, hint=f"deployer sandbox boot --name {host.name}"
        )
    done = run(shell, timeout_s=timeout_s)
    if done.timed_out:
        raise HostError(
            f"a command inside the sandbox host {host.name} took longer than {timeout_s:g} s: {command}",
            host=host.name,
            details=tuple((done.stdout + done.stderr).splitlines()[-20:]),
        )
    return done


def power_off(machine: str, directory: Path) -> None:
    """End all of a machine at once, as a power cut does; nothing happens when it is off. Its disk stays.

    Raises:
        HostError: Something of it lives on.
    """
    supervisor = recorded(directory / "supervisor")
    if supervisor is not None and supervisor.is_alive:
        _kill(supervisor.pid)  # first, or it takes what follows for a reboot
    if init := init_of(machine):
        _kill(init)  # the kernel ends the whole process namespace with it
    deadline = time.monotonic() + _END_TIMEOUT_S
    while groups := _groups(machine):
        # Again and again: a start that was interrupted may still be on its way into the group.
        if left := in_groups(groups):
            _kill(*left)
        # The kernel may hold a group for a moment longer than its last process, and the supervisor clears up as well.
        trees = (str(group) for group in groups)
        done = run(as_root("find", *trees, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"), timeout_s=30)
        if done.status != 0 and time.monotonic() > deadline:
            alive = ", ".join(map(str, in_groups(groups))) or "none"
            raise HostError(
                f"the control groups of the machine {machine} do not go; processes in them: {alive}",
                details=(done.stderr.strip(),),
            )
        if done.status != 0:
            time.sleep(_POLL_S)
    # The kernel takes a killed guest's link away in its own time, and the next start wants its name.
    network.drop_link(link_of(machine))


def remove(directory: Path, machine: str | None) -> None:
    """Power a host off and throw its disk and keys away."""
    if machine is not None:
        power_off(machine, directory)
    must(as_root("rm", "-rf", "--one-file-system", "--", str(directory)))


def trouble(host: SandboxHost, what: str, last: str = "") -> HostError:
    """The error that tells what became of a host, with the end of its console."""
    console: list[str] = []
    with contextlib.suppress(FileNotFoundError):
        console = host.console.read_text(errors="replace").splitlines()
    return HostError(
        f"the sandbox host {host.name} {what}",
        host=host.name,
        hint=f"see {host.console}; throw it away with: deployer sandbox down --name {host.name}",
        details=(*console[-20:], *last.splitlines()[-5:]),
    )


def _is_supervised(host: SandboxHost) -> bool:
    supervisor = recorded(host.directory / "supervisor")
    return supervisor is not None and supervisor.is_alive


def _shell(machine: str, command: str) -> tuple[str, ...] | None:
    """The command that runs a shell line inside a guest; None while there is no systemd in it."""
    init = init_of(machine)
    # Before it executes systemd, process 1 is a systemd-nspawn that may still see this machine's files.
    if init is None or name_of(init) not in ("systemd", "init"):
        return None
    environment = ("env", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
    return as_root(
        "nsenter", "--target", str(init), "--all", "--root", "--wd", "--", *environment, "bash", "-c", command
    )


def _groups(machine: str) -> tuple[Path, ...]:
    return tuple(group for tree in _HIERARCHIES if (group := tree / machine).is_dir())


def _kill(*pids: int) -> None:
    run(as_root("kill", "-KILL", *(str(pid) for pid in pids)), timeout_s=10)  # one that is gone already is as wanted
