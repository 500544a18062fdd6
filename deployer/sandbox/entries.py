"""Running hosts of a lab as the config knows hosts: as text to copy, and as values that work without any."""

from __future__ import annotations

import json
from pathlib import Path

from deployer.model import Host
from deployer.sandbox.state import SandboxHost, State, state_directory


def host_entry(host: SandboxHost) -> str:
    """The `[hosts.NAME]` table of a host, as TOML text."""
    # A JSON string of such texts is a TOML string, quotes and backslashes included.
    lines = {
        "address": host.address,
        "user": "root",
        "identity_file": str(host.identity_file),
        "known_hosts": str(host.known_hosts),
    }
    table = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in lines.items())
    return f"[hosts.{host.name}]\n{table}"


def as_host(host: SandboxHost) -> Host:
    """The host as the config would give it."""
    return Host(
        name=host.name,
        address=host.address,
        port=22,
        user="root",
        identity_file=host.identity_file,
        known_hosts=host.known_hosts,
    )


def overlay_hosts(directory: Path | None = None) -> tuple[Host, ...]:
    """All running hosts of a lab (the user's own by default), for `--host` without an edit of the config.

    Starts no process and needs no rights; gives nothing where there is no lab.
    """
    return tuple(as_host(host) for host in State(directory or state_directory()).hosts() if host.running)


def hosts_off(directory: Path) -> tuple[Host, ...]:
    """A lab's hosts that are there and do not run."""
    return tuple(as_host(host) for host in State(directory).hosts() if not host.running)
