"""Commands of the sandbox on this machine: with a time limit, and through sudo where root is needed and we are not.

Knows nothing of hosts. Lists what this machine lacks (`missing`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deployer.errors import HostError, UsageError
from deployer.signals import held_back

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_PACKAGES = (
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("ip", "iproute2"),
    ("bridge", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("flock", "util-linux"),
)
# A plain user's PATH often ends before these, where ip and nsenter may be.
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin:/usr/sbin:/sbin"))
_CAP_SYS_ADMIN = 21
_TIMED_OUT = (124, 137)  # of timeout(1): ended by TERM, by KILL
_KILL_AFTER_S = 5
_CLEAN_UP_S = 60  # what a program of ours has to undo what it did; half a root file system is many files
_GRACE_S = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """How a command ended: its exit status and what it printed. `timed_out` when its time was up."""

    status: int
    stdout: str
    stderr: str
    timed_out: bool = False


def missing() -> tuple[str, ...]:
    """What this machine lacks to run sandbox hosts, one sentence each; empty when it has all."""
    if sys.platform != "linux":
        return (f"Linux: sandbox hosts are systemd-nspawn containers, and this is {sys.platform}",)
    lacks = [f"{name} (package {package})" for name, package in _lacking_packages()]
    if os.geteuid() == 0:
        if not _may_administer():
            lacks.append("the capability CAP_SYS_ADMIN: this root may not mount or make namespaces")
    elif shutil.which("sudo", path=_SEARCH) is None:
        lacks.append("root, or sudo (package sudo)")
    elif subprocess.run(("sudo", "-n", "true"), check=False, capture_output=True, timeout=10).returncode != 0:
        lacks.append("root, or sudo without a password (after `sudo -v` it asks for none)")
    return tuple(lacks)


def install_line() -> str:
    """The command that installs the missing packages; empty when none is missing or this is no Debian or Ubuntu."""
    packages = sorted({package for _, package in _lacking_packages()})
    if not packages or not _has_apt():
        return ""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --yes {' '.join(packages)}"


def require() -> None:
    """Raise UsageError, with all that is missing, when this machine cannot run sandbox hosts."""
    if lacks := missing():
        raise UsageError(
            "this machine cannot run sandbox hosts yet, it lacks: " + "; ".join(lacks),
            hint=(line := install_line()) and f"try: {line}",
        )


def as_root(*argv: str) -> tuple[str, ...]:
    """The command as root: with `sudo -n` in front when we are somebody else."""
    return argv if os.geteuid() == 0 else ("sudo", "-n", "--", *argv)


def run(argv: tuple[str, ...], *, timeout_s: float) -> Completed:
    """Run a command, standard input closed, and collect what it prints."""
    began = time.monotonic()
    with _started(argv, timeout_s=timeout_s, kill_after_s=_KILL_AFTER_S, stderr=subprocess.PIPE) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s + _GRACE_S)
            status = process.returncode
        except subprocess.TimeoutExpired as error:
            # The command has gone, but something that it left behind holds its output open.
            status, stdout, stderr = _TIMED_OUT[0], error.stdout or b"", error.stderr or b""
    return Completed(
        status=status,
        stdout=stdout.decode("utf-8", "replace"),
        stderr=stderr.decode("utf-8", "replace"),
        timed_out=status in _TIMED_OUT and time.monotonic() - began >= timeout_s,
    )


def must(argv: tuple[str, ...], *, timeout_s: float = 30.0, what: str = "", host: str = "") -> str:
    """Run a command that is to succeed and give its standard output.

    Raises:
        HostError: It failed or ran out of time; its last lines are the details.
    """
    done = run(argv, timeout_s=timeout_s)
    if done.status != 0:
        raise _failed(what or " ".join(argv), done.status, done.stdout + done.stderr, timeout_s=timeout_s, host=host)
    return done.stdout


def stream(argv: tuple[str, ...], *, timeout_s: float, what: str, on_line: Callable[[str], None]) -> None:
    """Run a command that is to succeed and hand over its lines, of both streams, as they come.

    Raises:
        HostError: It failed or ran out of time; its last lines are the details.
    """
    last: list[str] = []
    with _started(argv, timeout_s=timeout_s, kill_after_s=_CLEAN_UP_S, stderr=subprocess.STDOUT) as process:
        for line in process.stdout or ():
            last = [*last[-19:], line.decode("utf-8", "replace").rstrip()]
            on_line(last[-1])
    if process.returncode != 0:
        raise _failed(what, process.returncode, "\n".join(last), timeout_s=timeout_s)


def script(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of our shell programs as root in a mount namespace of its own.

    What it mounts is seen by its descendants alone and is gone with the last of them.
    """
    path = Path(__file__).parent / "sh" / name
    return as_root("unshare", "--mount", "--propagation", "slave", "bash", str(path), *arguments)


@contextlib.contextmanager
def _started(
    argv: tuple[str, ...], *, timeout_s: float, kill_after_s: int, stderr: int
) -> Iterator[subprocess.Popen[bytes]]:
    # The limit is timeout(1)'s: a root's command behind sudo cannot be ended by us.
    with contextlib.ExitStack() as stack:
        with held_back():
            process = stack.enter_context(
                subprocess.Popen(
                    _limited(argv, timeout_s, kill_after_s),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=_environment(),
                )
            )
            stack.push(lambda kind, _error, _trace: _undo(process, kill_after_s + _GRACE_S) if kind else None)
        yield process


def _undo(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Tell an interrupted program to end, and wait until it has cleaned up behind itself.

    Popen itself waits a quarter of a second when the interrupt is Ctrl-C.
    """
    if process.poll() is None:
        # sudo hands the signal on, but takes it from nobody less than root.
        run(as_root("kill", "-TERM", str(process.pid)), timeout_s=10)
        process.communicate(timeout=timeout_s)


def _limited(argv: tuple[str, ...], timeout_s: float, kill_after_s: int) -> tuple[str, ...]:
    limit = ("timeout", f"--kill-after={kill_after_s}", f"{timeout_s:g}")
    return (*argv[:3], *limit, *argv[3:]) if argv[:3] == ("sudo", "-n", "--") else (*limit, *argv)


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": _SEARCH, "LC_ALL": "C.UTF-8"}


def _failed(what: str, status: int, output: str, *, timeout_s: float, host: str = "") -> HostError:
    how = f"took longer than {timeout_s:g} s" if status in _TIMED_OUT else f"failed with status {status}"
    return HostError(f"{what} {how}", host=host, details=tuple(output.strip().splitlines()[-20:]))


def _lacking_packages() -> list[tuple[str, str]]:
    lacking = [(name, package) for name, package in _PACKAGES if shutil.which(name, path=_SEARCH) is None]
    if not KEYRING.exists():
        lacking.append((str(KEYRING), "debian-archive-keyring"))
    return lacking


def _has_apt() -> bool:
    return shutil.which("apt-get") is not None


def _may_administer() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False
