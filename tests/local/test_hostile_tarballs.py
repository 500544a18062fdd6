"""Hostile tarballs on this machine: refused, in words that can be shown, without a byte being written anywhere."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployer.artifact import load
from deployer.errors import ArtifactError
from tests.unit import archives
from tests.unit.hostile import EVIL, HOSTILE, START, hostile

_touching: list[str] = []
_watching = False
# What changes a file system; an open counts where it is not for reading alone.
_CHANGES = (
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.chmod",
    "os.chown",
    "os.utime",
)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in _CHANGES or event == "subprocess.Popen":
        _touching.append(f"{event} {args}")


sys.addaudithook(_audit)


@contextmanager
def nothing_is_written() -> Iterator[None]:
    """Ask Python itself: no file opened to write, none made or changed, no process started."""
    global _watching  # noqa: PLW0603 - a hook stays for the life of the process
    _touching.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    assert _touching == []


@pytest.mark.parametrize("what", HOSTILE)
def test_each_is_refused_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    path = hostile(tmp_path / "hostile-1.0.0.tar.gz", what)
    with nothing_is_written(), pytest.raises(ArtifactError) as caught:
        load(path, exec_start="bin/server")
    assert caught.value.exit_code == 2
    assert caught.value.message.isprintable()
    assert caught.value.hint


def test_a_write_would_be_seen(tmp_path: Path) -> None:
    """Twin."""
    with pytest.raises(AssertionError, match=EVIL), nothing_is_written():
        (tmp_path / EVIL).touch()


def test_what_hostile_ones_begin_with_is_harmless(tmp_path: Path) -> None:
    """Twin: it is the member behind it that is refused."""
    assert load(archives.write(tmp_path / "shop-1.0.0.tar.gz", START), exec_start="bin/server").version == "1.0.0"


def test_names_that_differ_in_case_are_two_files(tmp_path: Path) -> None:
    path = archives.write(
        tmp_path / "shop-1.0.0.tar.gz", START, archives.file("README", b"1"), archives.file("readme", b"2")
    )
    found = load(path, exec_start="bin/server")
    assert [(each.path, each.size_bytes) for each in found.files] == [("README", 1), ("bin/server", 26), ("readme", 1)]


def test_very_many_tiny_members_are_refused_while_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "many-1.0.0.tar.gz"
    tiny = archives.file("a", b"").packed()
    path.write_bytes(gzip.compress(START.packed() + tiny * 201_000, 1, mtime=0))
    with nothing_is_written(), pytest.raises(ArtifactError, match="members"):
        load(path, exec_start="bin/server")
