"""The service's environment: read from where the config says, merged, and written as systemd reads it.

`gather` brings the values together, `encode` writes them for `EnvironmentFile=`, `parse_systemd` reads such a file as
systemd does, `compare` tells two environments apart by name. Values are `Secret`s; messages name variables, files and
lines, and never a value. Where the text goes is left to others.
"""

from __future__ import annotations

from deployer.env.sources import Environment, Sources, Variable, collect, for_host, gather
from deployer.env.systemd import Difference, compare, encode, parse_systemd

__all__ = [
    "Difference",
    "Environment",
    "Sources",
    "Variable",
    "collect",
    "compare",
    "encode",
    "for_host",
    "gather",
    "parse_systemd",
]
