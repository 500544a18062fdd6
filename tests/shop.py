"""The made-up app of tests that need a config and no host: `CONFIG` with one host, and its parts for others."""

from __future__ import annotations

import sys
from pathlib import Path

APP = """[app]
name = "shop"
user = "app"
[service]
kind = "exec"
exec_start = "bin/server"
"""
WEB1 = '[hosts.web1]\naddress = "192.0.2.1"\n'
WEB2 = '[hosts.web2]\naddress = "192.0.2.2"\n'
CONFIG = APP + WEB1

PROGRAMS = {
    "deployer": (sys.executable, "-m", "deployer"),
    "inv": (sys.executable, "-m", "invoke", "--search-root", str(Path(__file__).parents[1])),
}
"""Both ways to run a task."""


def built_by(command: str) -> str:
    """Return the config with a tarball that is built by a command."""
    return f'{APP}[artifact]\nbuild = "{command}"\npath = "shop-*.tar.gz"\n{WEB1}'
