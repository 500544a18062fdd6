"""A text stream that outlives its reader: a closed pipe, a gone terminal or a full disk silences it and ends nothing else."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

_NOBODY_READS = (errno.EPIPE, errno.EIO)  # EIO: the terminal was closed


def _nothing() -> None:
    """Where nobody wants to know."""


class Sink(io.TextIOBase):
    """Write to a stream until its reader has gone (`deployer releases | head -1`), then swallow the rest.

    A deploy must not end because nobody reads its progress any more, nor because the disk is full that its log goes to.
    `on_gone` is called once, in the thread that wrote. Characters that the stream's encoding lacks are
    written as escapes.
    """

    def __init__(self, stream: TextIO, *, on_gone: Callable[[], None] = _nothing) -> None:
        super().__init__()
        self._stream = stream
        self._on_gone = on_gone
        self._error: OSError | None = None

    @property
    def is_unread(self) -> bool:
        """Has the reader gone?"""
        return self._error is not None and self._error.errno in _NOBODY_READS

    @property
    def fault(self) -> str:
        """Why it could not be written; empty where it could be, or where nobody reads on."""
        return "" if self._error is None or self.is_unread else self._error.strerror or str(self._error)

    @property
    def encoding(self) -> str:  # type: ignore[override] # a plain attribute in typeshed, read-only here
        return self._stream.encoding or "utf-8"

    def write(self, text: str, /) -> int:
        """Write the text; it may wait in the stream's buffer until `flush`."""
        if self._error is None:
            self._guarded(text)
        return len(text)

    def flush(self) -> None:
        if self._error is None:
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
            self._error = error
            self._give_up()
            self._on_gone()

    def _encodable(self, text: str) -> str:
        if text.isascii():
            return text
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def silence(self) -> None:
        """Swallow everything from now on, and what waits in the stream's buffer."""
        self._error = self._error or BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        self._give_up()

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


def fill_streams() -> None:
    """Give every standard stream that was closed (`>&-`) a place to go: /dev/null.

    Python has None for it, and the next file or socket that is opened would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - open to the end
