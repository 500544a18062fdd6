"""The way to a host: Fabric and paramiko, and everything that has to be set right about them.

The one place that imports either. Connects as OpenSSH would (`ssh_config`), trusts no host key that is not on file
(`hostkeys`), offers keys and nothing else (`keys`, `auth`), goes through jump hosts (`dial`), notices a lost link
(`wire`, `pulse`), becomes root (`sudo`), and runs scripts whose text and secrets travel on stdin (`session`).

Importing this package is cheap; paramiko and Fabric (0.4 s) are loaded when one of its names is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployer.transport.connection import Connection, connect
    from deployer.transport.scripts import Reply
    from deployer.transport.session import Session
    from deployer.transport.upload import send_file

__all__ = ["Connection", "Reply", "Session", "connect", "send_file"]

_HOMES = {
    "Connection": "connection",
    "connect": "connection",
    "Reply": "scripts",
    "Session": "session",
    "send_file": "upload",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
