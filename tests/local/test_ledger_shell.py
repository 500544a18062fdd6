"""The ledger as the host's shell writes it, where there is no room for a line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from deployer.host.scripts import part, script
from deployer.model import App

EARLIER = '{"at":"2026-01-01T00:00:00Z","event":"good","token":"a","id":"1"}\n'
LIMIT_BYTES = 1024


def written(root: Path, *, limited: bool) -> int:
    """Write a line with at most `LIMIT_BYTES` for the whole file if it is limited; return the status."""
    app = App(name="shop", user="shop", description="shop", root=PurePosixPath(root), keep=5)
    # A file that may not grow further is to a program as a disk that is full: some bytes are taken, and then none.
    limit = "trap '' XFSZ\nulimit -f 1\n" if limited else ""
    text = script("cursor", app).replace(part("cursor"), f"{limit}ledger event bad token b id 2 || exit 3")
    return subprocess.run(["bash", "-c", text], capture_output=True, check=False, timeout=20).returncode


@pytest.mark.parametrize("left_bytes", [0, 1, 40])
def test_a_line_without_room_is_not_left_half(tmp_path: Path, left_bytes: int) -> None:
    ledger = tmp_path / "ledger.jsonl"
    filler = '{"who":""}\n'
    size = LIMIT_BYTES - left_bytes - len(EARLIER) - len(filler)
    lines = EARLIER + filler.replace('""', f'"{"x" * size}"')
    ledger.write_text(lines)
    assert written(tmp_path, limited=True) == 3
    assert ledger.read_text() == lines
    assert written(tmp_path, limited=False) == 0
    assert ledger.read_text().startswith(lines)
    assert json.loads(ledger.read_text().splitlines()[-1])["token"] == "b"


def test_a_line_that_a_power_cut_tore_is_closed_and_kept(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    torn = '{"at":"2026-01-01T00:00:00Z","eve'
    ledger.write_text(EARLIER + torn)
    assert written(tmp_path, limited=False) == 0
    assert ledger.read_text().startswith(f"{EARLIER}{torn}\n{{")
