"""How a script gets onto a host: the one command that is executed there, and the bytes that go into it.

Pure text; `session` does the sending.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployer.model import Secret

# What comes before the mark (a password that sudo did not ask for) is thrown away, not executed. The script is taken as
# a whole, by its size in bytes, or not run at all: bash's read -N takes no byte beyond it and works at full speed
# (300 KB in 19 ms), where head -c may read ahead. Without ', ! and \, so that any login shell passes it on.
_READER = (
    'echo MARK; while IFS= read -r l; do [ "$l" = MARK ] && break; done; '
    'IFS= read -r n && LC_ALL=C IFS= read -r -N "$n" l && eval "$l"'
)
# A login over ssh may leave out what only root needs.
_PROLOGUE = 'unset -v l n; PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; '


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """How a script ended and what it said; `stderr` is at most the last 64 KiB."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Seconds: for a channel or a request to be answered; for input to be taken."""

    open_s: float
    stall_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Elevation:
    """How to become root: words before the command, and the password that they read on stdin."""

    words: str = ""
    password: Secret | None = None


def reader_command(mark: str, *, name: str, elevation: Elevation) -> str:
    """Return the command to execute: it prints a line with the mark, then reads a framed script and runs it.

    Args:
        mark: Letters and digits that nobody can guess.
        name: Of letters, digits, dots and dashes; the process is called `deployer-NAME`.
    """
    words = f"{elevation.words} " if elevation.words else ""
    return f"{words}/bin/bash -c '{_READER.replace('MARK', mark)}' deployer-{name}"


def framed_script(script: str, mark: str) -> bytes:
    """Return what the reader takes as one script; what follows these bytes is the script's stdin.

    Raises:
        ValueError: The script has a NUL in it, which bash would drop.
    """
    return f"{mark}\n".encode() + sized(_PROLOGUE + script)


def sized(text: str) -> bytes:
    """Return a text with its size in bytes on a line before it."""
    if "\0" in text:
        raise ValueError("a script holds no NUL")
    # What came as bytes that are no UTF-8 (an argument, a variable of the environment) goes on as those bytes.
    data = text.encode("utf-8", "surrogateescape")
    return f"{len(data)}\n".encode() + data
