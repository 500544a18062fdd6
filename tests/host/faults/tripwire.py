"""Stops the host program of a release, or a staging, before any one of the changes it makes, so that a test can strike there.

A change is a call of one of `PROGRAMS`: between two of them nothing on the host's disks or in its systemd is altered,
but for lines that a redirection appends, which the `sync` that follows them stands for. See `tripwire.sh`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.host.project import OnHost, wait_for

PROGRAMS = ("chmod", "chown", "ln", "mkdir", "mktemp", "mv", "rm", "sync", "systemctl", "systemd-run", "tar")
WIRE = "/run/tripwire"
_SCRIPT = Path(__file__).with_name("tripwire.sh")


@dataclass(frozen=True, kw_only=True)
class Tripwire:
    """The wire on one host. It is gone after a power cut, and put up again with `arm`."""

    on_host: OnHost

    def install(self) -> None:
        """Put the script before the programs; true until the host is thrown away."""
        text = base64.b64encode(_SCRIPT.read_bytes()).decode()
        self.on_host.sh(
            f"echo {text} | base64 -d > /usr/local/bin/tripwire; chmod 755 /usr/local/bin/tripwire; "
            f"for each in {' '.join(PROGRAMS)}; do ln -sf tripwire /usr/local/bin/$each; done"
        )

    def arm(self, stop: int, whom: Literal["activation", "staging"] = "activation") -> None:
        """Count from one again, and wait at change number `stop`; 0 counts only."""
        self.on_host.sh(
            f"rm -rf {WIRE}; mkdir -p {WIRE}; echo {stop} > {WIRE}/stop; : > {WIRE}/log; echo {whom} > {WIRE}/armed"
        )

    def await_stop(self) -> None:
        """Wait until the program stands before the change."""
        wait_for(lambda: self.on_host.sh(f"test -e {WIRE}/at && echo yes || true"), timeout_s=30)

    def go_on(self) -> None:
        """Let it go on, and stop nowhere else."""
        self.on_host.sh(f"rm -f {WIRE}/armed {WIRE}/at")

    def changes(self) -> list[str]:
        """What has been called so far, in order: "run mv -fT …"."""
        return self.on_host.sh(f"cat {WIRE}/log").splitlines()
