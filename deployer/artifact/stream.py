"""The bytes of a tarball, unpacked as they are asked for, while the digest of the file itself is taken."""

from __future__ import annotations

import hashlib
import zlib
from typing import BinaryIO, Final

from deployer.artifact.values import RefusedError
from deployer.sizes import exact_text

_CHUNK: Final = 256 * 1024
_GZIP: Final = b"\x1f\x8b"

_LOOKS: Final = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x7fELF", "an ELF program"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x04\x22\x4d\x18", "an lz4 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"!<arch>", "a Debian package or ar archive"),
    (b"\xed\xab\xee\xdb", "an RPM package"),
    (b"%PDF", "a PDF"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not checked out"),
    (b"#!", "a script"),
)
_COMPRESSIONS: Final = ("an xz", "a bzip2", "a zstd", "an lz4")


class TarBytes:
    """A tarball as a stream of its unpacked bytes.

    Args:
        raw: The file, at its beginning.
        limit_bytes: How much may come out of it; more is refused, as a decompression bomb would be.

    `sha256` and `size_bytes` are of the file as it lies on disk, and right once `read` has returned nothing.
    """

    def __init__(self, raw: BinaryIO, *, limit_bytes: int) -> None:
        self._raw = raw
        self._digest = hashlib.sha256()
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._at = 0
        self._ended = False
        self._pending = b""
        self.size_bytes = 0
        self.unpacked_bytes = 0
        first = self._next_raw()
        self.gzipped = first.startswith(_GZIP)
        if not first:
            raise RefusedError("is empty", hint="build it again")
        self._gunzip = zlib.decompressobj(wbits=31)
        if self.gzipped:
            self._pending = first
        else:
            self._take(first)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def peek(self, size: int) -> bytes:
        """Return up to `size` of the next bytes and leave them to be read."""
        self._fill(size)
        return bytes(self._buffer[self._at : self._at + size])

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only where the stream ends.

        Raises:
            RefusedError: The gzip stream is damaged or cut, something follows it, or the limit was reached.
        """
        self._fill(size)
        taken = bytes(self._buffer[self._at : self._at + size])
        self._at += len(taken)
        if self._at >= _CHUNK:
            del self._buffer[: self._at]
            self._at = 0
        return taken

    def _fill(self, size: int) -> None:
        while not self._ended and len(self._buffer) - self._at < size:
            if self.gzipped:
                self._unpack()
            else:
                self._take(self._next_raw())

    def _next_raw(self) -> bytes:
        chunk = self._raw.read(_CHUNK)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)
        return chunk

    def _take(self, chunk: bytes) -> None:
        self._ended = not chunk
        self._buffer += chunk
        self.unpacked_bytes += len(chunk)
        if self.unpacked_bytes > self._limit:
            raise RefusedError(
                f"unpacks to more than {exact_text(self._limit)}",
                hint="leave out what the service does not need, or raise [artifact] max_unpacked",
            )

    def _unpack(self) -> None:
        if not self._pending:
            self._pending = self._next_raw()
        if not self._pending:
            raise RefusedError(
                f"is cut: its gzip stream ends in the middle, after {self.size_bytes} bytes",
                hint="build or fetch it again",
            )
        try:
            # A limit on what comes out at once: a few bytes of gzip can be gigabytes.
            out = self._gunzip.decompress(self._pending, _CHUNK)
        except zlib.error as error:
            raise RefusedError(
                f"is damaged: its gzip stream breaks near byte {self.size_bytes - len(self._pending)} ({error})",
                hint="build or fetch it again",
            ) from error
        self._pending = self._gunzip.unconsumed_tail
        if out:
            self._take(out)
        if self._gunzip.eof:
            self._next_gzip_member()

    def _next_gzip_member(self) -> None:
        # Some compressors write several gzip members, one behind the other, and gzip reads them as one.
        self._pending = self._gunzip.unused_data or self._next_raw()
        if len(self._pending) == 1:
            self._pending += self._next_raw()
        if not self._pending:
            self._ended = True
        elif self._pending.startswith(_GZIP):
            self._gunzip = zlib.decompressobj(wbits=31)
        else:
            at = self.size_bytes - len(self._pending)
            raise RefusedError(
                f"has something else behind its gzip stream, at byte {at}", hint="build or fetch it again"
            )


def looks_like(head: bytes) -> tuple[str, str]:
    """Return what the beginning of something that is no tar looks like, and a hint (either may be empty)."""
    for magic, name in _LOOKS:
        if head.startswith(magic):
            compressed = name.startswith(_COMPRESSIONS)
            return name, "deployer reads .tar and .tar.gz: compress it with gzip" if compressed else _HINTS.get(
                magic, ""
            )
    if head.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page", "the address may want a login: open it, or fetch the file by hand"
    if head.lstrip().startswith((b"{", b"[")):
        return "JSON", "the address may have answered with an error: open it, or fetch the file by hand"
    return "", "a release is a .tar or .tar.gz file"


_HINTS: Final = {
    b"PK\x03\x04": "pack it with tar: tar -czf NAME-VERSION.tar.gz -C DIRECTORY .",
    b"\x7fELF": "put the program into a tarball: tar -czf NAME-VERSION.tar.gz PROGRAM",
    b"#!": "put it into a tarball: tar -czf NAME-VERSION.tar.gz PROGRAM",
    b"version https://git-lfs": "git lfs pull",
}
