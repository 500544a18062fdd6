"""The file that a download grows in, with the mark of what it is a part of.

Trouble with it is told apart from the server's: both are an OSError to Python.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path


class KeepError(Exception):
    """A file of ours cannot be read or written; the cause says why. No OSError itself."""

    @property
    def why(self) -> str:
        return str(getattr(self.__cause__, "strerror", "") or self.__cause__)


class Part:
    """What has arrived so far. All of its methods raise a `KeepError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tag = path.with_name("tag")

    def have(self) -> int:
        """Return how many bytes are there."""
        with _keeping():
            return self.path.stat().st_size if self.path.exists() else 0

    def tag(self) -> str:
        """Return the server's mark of the file that this is a part of, or nothing."""
        with _keeping():
            return self._tag.read_text("ascii", "replace") if self._tag.exists() else ""

    def mark(self, tag: str) -> None:
        with _keeping():
            self._tag.write_text(tag, "ascii", "replace")

    def unmark(self) -> None:
        with _keeping():
            self._tag.unlink(missing_ok=True)

    def forget(self) -> None:
        """Begin anew."""
        with _keeping():
            self.path.unlink(missing_ok=True)
        self.unmark()

    @contextlib.contextmanager
    def opened(self, start: int) -> Iterator[Writer]:
        """Enter a writer that goes on at a byte; what lay behind it is gone."""
        with _keeping():
            file = self.path.open("r+b" if start else "wb", buffering=0)
        with file:
            if start:
                with _keeping():
                    file.truncate(start)
                    file.seek(start)
            yield Writer(file)


class Writer:
    """Unbuffered: what does not fit on the disk is told by `write`, and not by a close later on."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        with _keeping():
            while rest:
                rest = rest[self._file.write(rest) :]


@contextlib.contextmanager
def _keeping() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeepError from error
