"""The shell texts that go to a host, put together from the files in `sh/`.

Pure: nothing here runs anything. A script is sent on standard input and parsed whole before it starts; every value is
a quoted word in it. The host program is the same files under one head, and lies in each release.
"""

from __future__ import annotations

import shlex
from functools import cache
from importlib import resources

from deployer.model import App

PARTS = {
    "probe": ("lib", "prune", "probe"),
    "stage": ("lib", "stage"),
    "verify": ("lib", "verify"),
    "settle": ("lib", "settle"),
    "launch": ("lib", "launch"),
    "follow": ("lib", "follow"),
    "queue": ("lib", "queue"),
    "control": ("lib", "control"),
    "mark": ("lib", "prune", "mark"),
    "setup": ("lib", "setup"),
    "one_off": ("lib", "one_off"),
    "files": ("lib", "files"),
    "journal": ("lib", "journal"),
    "cursor": ("lib", "cursor"),
    "manifest": ("lib", "manifest"),
    "secrets": ("lib", "secrets"),
    "check": ("lib", "check"),
}
PROGRAM_PARTS = ("program", "lib", "health", "masked", "commit", "prune", "activate")


@cache
def part(name: str) -> str:
    """Return the text of `sh/NAME.sh`."""
    return resources.files("deployer.host").joinpath(f"sh/{name}.sh").read_text(encoding="utf-8")


def script(name: str, app: App, *args: str, **variables: str) -> str:
    """Return a script of `PARTS` with its arguments and variables filled in, ready to be sent."""
    values = {"APP": app.name, "ROOT": str(app.root), **variables}
    head = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
    words = " ".join(shlex.quote(arg) for arg in args)
    return f"{head}set -- {words}\n" + "".join(part(each) for each in PARTS[name])


def program() -> str:
    """Return the host program, `.deployer/activate` of a release. It is the same for all apps."""
    return "".join(part(each) for each in PROGRAM_PARTS)
