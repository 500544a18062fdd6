"""Tarballs that want out of their directory, or want to be something else than files, by what they try."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from tests.unit import archives
from tests.unit.archives import Entry, directory, file, hardlink, pax, symlink

# A name that nothing on a host or on this machine has.
EVIL = "evil-8d1f"
START = file("bin/server", b"#!/bin/sh\nexec sleep 1000\n", mode=0o755)
UP = "../" * 8


@dataclass(frozen=True, kw_only=True)
class Patched(Entry):
    """A header with bytes of its own at some places, and no content."""

    patches: tuple[tuple[int, bytes], ...] = ()

    def packed(self) -> bytes:
        block = bytearray(super().packed()[:512])
        for at, value in (*self.patches, (148, b" " * 8)):
            block[at : at + len(value)] = value
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block)


def sparse(name: str, real_bytes: int) -> Entry:
    """A sparse file of GNU's old format: no data, a hole as large as wanted."""
    size = b"%011o\0" % real_bytes
    return Patched(
        name=name.encode(), type=b"S", magic=b"ustar  \x00", patches=((386, size + b"%011o\0" % 0), (483, size))
    )


def device(name: str, kind: bytes, major: int, minor: int) -> Entry:
    return Patched(
        name=name.encode(), type=kind, mode=0o666, patches=((329, b"%07o\0" % major), (337, b"%07o\0" % minor))
    )


HOSTILE: dict[str, tuple[Entry, ...]] = {
    "dots": (file(f"{UP}etc/{EVIL}"),),
    "dots within": (directory("a/"), file(f"a/{UP}etc/{EVIL}")),
    "absolute": (file(f"/etc/{EVIL}"),),
    "absolute directory": (Entry(name=f"/etc/{EVIL}/".encode(), type=b"5", mode=0o777),),
    "long name with dots": (Entry(name=b"x", type=b"L", content=f"{UP}etc/{EVIL}".encode() + b"\0"), file("short")),
    "pax path": (pax(path=f"{UP}etc/{EVIL}"), file("tame")),
    "pax absolute path": (pax(path=f"/etc/{EVIL}"), file("tame")),
    "pax linkpath": (pax(linkpath="/etc"), symlink("l", "bin"), file(f"l/{EVIL}")),
    "pax size": (pax(size="0"), file("cover", archives.tar(file(f"{UP}etc/{EVIL}"), end=b""))),
    "pax path for all": (Entry(name=b"g", type=b"g", content=pax(path=f"/etc/{EVIL}").content), file("tame")),
    "symlink": (symlink("l", "/etc"), file(f"l/{EVIL}")),
    "symlink by dots": (symlink("l", f"{UP}etc"), file(f"l/{EVIL}")),
    "symlink chain": (symlink("d/up", ".."), symlink("e", f"d/up/{UP}etc"), symlink("f", "e"), file(f"f/{EVIL}")),
    "symlink over a directory": (directory("d/"), symlink("d", "/etc"), file(f"d/{EVIL}")),
    "symlink over an empty directory, by dots": (directory("d/"), symlink("d", f"{UP}etc"), file(f"d/{EVIL}")),
    "directory over a symlink": (symlink("d", "/etc"), Entry(name=b"d/", type=b"5", mode=0o777), file(f"d/{EVIL}")),
    "file over a symlink": (symlink("l", f"/etc/{EVIL}"), file("l", b"evil")),
    "symlink to a file": (symlink("l", "/etc/hostname"), file("l", b"evil")),
    "hard link by name": (hardlink("h", "/etc/hostname"), file("h", b"evil")),
    "hard link by dots": (hardlink("h", f"{UP}etc/hostname"), file("h", b"evil")),
    "hard link through a symlink": (symlink("l", "/etc"), hardlink("h", "l/hostname"), file("h", b"evil")),
    "hard link to a symlink": (symlink("l", f"/etc/{EVIL}"), hardlink("h", "l"), file("h", b"evil")),
    "character device": (device("mem", b"3", 1, 1),),
    "block device": (device("disk", b"4", 8, 0),),
    "FIFO": (Entry(name=b"fifo", type=b"6", mode=0o666),),
    "set-user-id": (file("su", b"#!/bin/sh\n", mode=0o4755),),
    "set-group-id": (file("sg", b"#!/bin/sh\n", mode=0o2755),),
    "sparse bomb": (sparse("bomb", 7 << 30),),
    "sparse bomb of pax": (pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize=str(1 << 42)), file("bomb")),
    "newline": (file(f"a\n/etc/{EVIL}"),),
    "control characters": (file("a\x1b]0;title\x07\x1b[2J"),),
    "not UTF-8": (file(b"a\xff\xfe"),),
    "no name": (file(""),),
    "twice": (file("a", b"one"), file("a", b"two")),
    "file and directory": (file("a"), file("a/b")),
    "in our place": (file(".deployer/activate", b"#!/bin/sh\ntouch /etc/evil-8d1f\n", mode=0o755),),
    "our place as a link": (symlink(".deployer", "/etc"),),
    "our place as a link out": (symlink(".deployer", f"{UP}root"),),
    "something behind the end": (file("a"), Entry(name=b"", content=b"")),
}  # fmt: skip


def hostile(path: Path, what: str) -> Path:
    raw = archives.tar(START, *HOSTILE[what])
    if what == "something behind the end":
        raw = archives.tar(START) + archives.tar(file(f"{UP}etc/{EVIL}"))
    path.write_bytes(gzip.compress(raw, 1, mtime=0))
    return path
