"""A text stream that outlives its reader: a closed pipe or a gone terminal silences it and ends nothing else."""

from __future__ import annotations

import errno
import io
import os
from typing import TextIO


class Sink(io.TextIOBase):
    """Write to a stream until its reader has gone (`deployer releases | head -1`), then swallow the rest.

    A deploy must not end because nobody reads its progress any more. Characters that the stream's encoding lacks are
    written as escapes.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override] # a plain attribute in typeshed, read-only here
        return self._stream.encoding or "utf-8"

    def write(self, text: str, /) -> int:
        """Write the text; it may wait in the stream's buffer until `flush`."""
        if not self._gone:
            self._guarded(text)
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            self._guarded("")

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _guarded(self, text: str) -> None:
        try:
            if text:
                self._stream.write(self._encodable(text))
            else:
                self._stream.flush()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # EIO: the terminal was closed
                raise
            self._gone = True
            self._give_up()

    def _encodable(self, text: str) -> str:
        if text.isascii():
            return text
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def _give_up(self) -> None:
        # What the stream still holds would raise once more when the interpreter flushes it at exit.
        # Source: the note on SIGPIPE in the documentation of Python's signal module.
        try:
            number = self._stream.fileno()
        except io.UnsupportedOperation:
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
