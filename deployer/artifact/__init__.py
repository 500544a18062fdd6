"""Artifacts: the tarball on this machine, built or fetched, judged, and known for what it is.

`obtain` gets a file, `load` makes an `Artifact` of it. What kinds of release there are is the room of `deployer.kinds`.
"""

from __future__ import annotations

from deployer.artifact.load import load, load_for
from deployer.artifact.source import obtain
from deployer.artifact.values import Artifact, FileMember, LinkMember

__all__ = ["Artifact", "FileMember", "LinkMember", "load", "load_for", "obtain"]
