"""Makes tar archives to the byte, hostile ones among them, without a library's opinion on what is allowed."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Entry:
    name: bytes
    type: bytes = b"0"
    content: bytes = b""
    target: bytes = b""
    mode: int = 0o644
    size: int | None = None
    magic: bytes = b"ustar\x0000"
    prefix: bytes = b""

    def packed(self) -> bytes:
        size = len(self.content) if self.size is None else self.size
        block = bytearray(512)

        def put(at: int, value: bytes) -> None:
            block[at : at + len(value)] = value

        put(0, self.name[:100])
        put(100, b"%07o\0" % self.mode)
        put(108, b"0000000\0")
        put(116, b"0000000\0")
        put(124, b"%011o\0" % size)
        put(136, b"00000000000\0")
        put(148, b" " * 8)
        put(156, self.type)
        put(157, self.target[:100])
        put(257, self.magic)
        put(345, self.prefix)
        put(148, b"%06o\0 " % sum(block))
        return bytes(block) + self.content + bytes(-len(self.content) % 512)


def file(name: str | bytes, content: bytes = b"x", *, mode: int = 0o644) -> Entry:
    return Entry(name=_raw(name), content=content, mode=mode)


def directory(name: str | bytes, *, mode: int = 0o755) -> Entry:
    return Entry(name=_raw(name), type=b"5", mode=mode)


def symlink(name: str | bytes, target: str | bytes) -> Entry:
    return Entry(name=_raw(name), type=b"2", target=_raw(target), mode=0o777)


def hardlink(name: str | bytes, target: str | bytes) -> Entry:
    return Entry(name=_raw(name), type=b"1", target=_raw(target))


def pax(**records: str) -> Entry:
    body = b""
    for key, value in records.items():
        rest = b" %s=%s\n" % (key.replace("__", ".").encode(), value.encode())
        length = len(rest) + 1
        while len(b"%d" % length) + len(rest) != length:
            length += 1
        body += b"%d" % length + rest
    return Entry(name=b"pax", type=b"x", content=body)


def tar(*entries: Entry, end: bytes = bytes(1024)) -> bytes:
    return b"".join(entry.packed() for entry in entries) + end


def write(path: Path, *entries: Entry, packed: bool = True) -> Path:
    raw = tar(*entries)
    path.write_bytes(gzip.compress(raw, 1, mtime=0) if packed else raw)
    return path


def _raw(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
