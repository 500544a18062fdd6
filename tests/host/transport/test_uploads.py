"""Uploads: a file that goes up from where the last attempt ended, and what stops it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from deployer.errors import HostError
from deployer.transport import Connection, send_file
from tests.host.transport.box import QUICK, Box, raised


def test_a_file_goes_up_from_where_the_last_attempt_ended(to_near: Connection, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(5_000_000))
    seen: list[int] = []
    session = to_near.start("echo ready; sha256sum", name="upload")
    lines = session.lines(idle_timeout_s=10)
    assert next(lines) == "ready"
    assert send_file(session, path, 1_234_567, seen.append) == 5_000_000 - 1_234_567
    assert list(lines) == [f"{hashlib.sha256(path.read_bytes()[1_234_567:]).hexdigest()}  -"]
    assert session.status(5) == 0
    assert seen[-1] == 5_000_000
    assert seen == sorted(seen)


def test_an_upload_that_the_host_ends_says_why(to_near: Connection, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(50_000_000))
    session = to_near.start("head -c 1000000 >/dev/null; echo 'No space left on device' >&2; exit 28", name="upload")
    error = raised(HostError, lambda: send_file(session, path, 0, lambda _: None), within_s=10)
    assert "ended with status 28 before it had taken all its input" in error.message
    assert "No space left on device" in error.details


def test_an_upload_that_the_host_does_not_take_ends(near: Box, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(20_000_000))
    connection = near.connect(ssh=replace(QUICK, step_timeout_s=1))
    try:
        session = connection.start("sleep 30", name="stuck")
        error = raised(HostError, lambda: send_file(session, path, 0, lambda _: None), within_s=5)
        assert "has taken no input" in error.message
    finally:
        connection.close()
