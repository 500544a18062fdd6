"""The live area on a real terminal whose window changes its size while something is under way."""

from __future__ import annotations

import re
import sys

import pytest

from deployer.output.clean import cells
from tests.terminals import Terminal

# A deploy that goes on until it is told to end: the area is drawn all the time.
PROGRAM = """
import os
import sys
from deployer.events import PhaseStarted, Progress
from deployer.output import open_output
with open_output("auto", stdout=sys.stdout, stderr=sys.stderr, environ=os.environ) as sink:
    sink.emit(PhaseStarted(host="prod1", phase="upload"))
    sink.emit(Progress(host="prod1", phase="upload", done_bytes=20_000_000, total_bytes=58_000_000))
    sys.stdin.readline()
"""
CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\r")


def rows(seen: bytes) -> list[str]:
    """The rows of the area in what came to the screen, each time that they were drawn."""
    lines = (CONTROL.sub(b"", line).decode() for line in re.split(rb"\n|\x1b\[2K", seen))
    return [line for line in lines if "prod1" in line]


@pytest.mark.parametrize(("before", "after"), [(160, 40), (40, 160)])
def test_the_live_area_follows_the_window(before: int, after: int) -> None:
    environ = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    with Terminal((sys.executable, "-c", PROGRAM), environ=environ, size=(24, before)) as terminal:
        drawn = terminal.expect(b"prod1")
        drawn = terminal.expect(b"prod1", after=drawn)
        terminal.resize(24, after)
        # One drawing may have been under way.
        for _ in range(2):
            drawn = terminal.expect(b"prod1", after=drawn)
        changed = len(terminal.seen)
        terminal.expect(b"prod1", after=changed)
        terminal.type(b"\n")
        assert terminal.ended() == 0
    wide, narrow = rows(terminal.seen[:drawn]), rows(terminal.seen[changed:])
    assert wide
    assert narrow
    widths = {cells(row.rstrip()) for row in narrow}
    if after < before:
        assert max(widths) < after
        assert max(cells(row.rstrip()) for row in wide) > after
    else:
        assert max(widths) > before
