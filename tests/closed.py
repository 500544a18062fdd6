"""A file or directory that we may not look into, even where the tests run as root."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

# <linux/capability.h>
_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


@contextlib.contextmanager
def closed(path: Path) -> Iterator[None]:
    """Take all rights on `path` away while this is entered, and root's own to look anywhere; of this thread alone."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        with _as_anybody() if os.geteuid() == 0 else contextlib.nullcontext():
            yield
    finally:
        path.chmod(mode)


@contextlib.contextmanager
def _as_anybody() -> Iterator[None]:
    libc = ctypes.CDLL(None)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    effective = sets[0]
    sets[0] = effective & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = effective
        assert libc.capset(header, sets) == 0
