"""The config: what its keys are, how a file of them is read, and which hosts a command line means by it.

`keys/` holds the one definition; the loader, the JSON Schema (`jsonschema`) and the page of all keys (`page`) are
made from it. Whether local files exist, and what hosts say, is left to those who use them.
"""

from __future__ import annotations

from deployer.config.loader import DEFAULT_PATH, find, load, loads
from deployer.config.selection import select_hosts
from deployer.config.starter import init

__all__ = ["DEFAULT_PATH", "find", "init", "load", "loads", "select_hosts"]
