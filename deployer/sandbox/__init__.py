"""Throwaway hosts on this machine: a real Debian with systemd and sshd in a second or two, for trials and for tests.

`Lab` is all of it. Needs Linux and root (or sudo), and says what is missing (`missing`). Uses local processes only,
and nothing of the transport.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployer.sandbox.commands import Completed, install_line, missing
    from deployer.sandbox.entries import as_host, host_entry, hosts_off, overlay_hosts
    from deployer.sandbox.lab import DEFAULT_NAME, DEFAULT_SUITE, Lab
    from deployer.sandbox.rootfs import SUITES, built_rootfs, cache_directory
    from deployer.sandbox.state import SandboxHost, state_directory

__all__ = [
    "DEFAULT_NAME",
    "DEFAULT_SUITE",
    "SUITES",
    "Completed",
    "Lab",
    "SandboxHost",
    "as_host",
    "built_rootfs",
    "cache_directory",
    "host_entry",
    "hosts_off",
    "install_line",
    "missing",
    "overlay_hosts",
    "state_directory",
]

# Imported when first asked for: who only wants `overlay_hosts` for a deploy loads nothing that runs processes.
_HOMES = {
    "commands": ("Completed", "install_line", "missing"),
    "entries": ("as_host", "host_entry", "hosts_off", "overlay_hosts"),
    "lab": ("DEFAULT_NAME", "DEFAULT_SUITE", "Lab"),
    "rootfs": ("SUITES", "built_rootfs", "cache_directory"),
    "state": ("SandboxHost", "state_directory"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
