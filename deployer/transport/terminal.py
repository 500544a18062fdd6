"""A real terminal on the host, joined to ours: for a remote console, or a command that asks back."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from types import FrameType

import paramiko

from deployer.errors import HostError, InterruptedByUserError, LinkLostError, NotLetInError, UsageError
from deployer.model import Secret
from deployer.transport.dial import Link
from deployer.transport.pulse import ended_after
from deployer.transport.scripts import Elevation, Limits

_LOOK_S = 0.5
_CHUNK_BYTES = 32768


def attach(
    link: Link, command: str, elevation: Elevation, *, host: str, limits: Limits, environ: Mapping[str, str]
) -> int:
    """Run a shell command on a pseudo-terminal of the host's, our terminal in raw mode meanwhile.

    Returns:
        Its exit status.

    Raises:
        UsageError: Standard input or output is not a terminal.
        NotLetInError: sudo asked for the password again.
        LinkLostError: The link was lost.
        InterruptedByUserError: Our terminal has gone.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("this needs a terminal", host=host, hint="run it in a terminal, without pipes")
    door = _Door(elevation.password, patience_s=limits.open_s)
    line = _command_line(command, elevation, door)
    transport = link.transport
    try:
        channel = transport.open_session(timeout=limits.open_s)
        with ended_after(transport, limits.open_s):
            channel.get_pty(environ.get("TERM", "xterm"), *_columns_and_lines())
            channel.exec_command(line)
        with contextlib.closing(channel), _window_follows(channel), _raw(sys.stdin.fileno()):
            _join(channel, door)
            status = _status(channel, limits.open_s)
    except _AskedAgainError as error:
        raise NotLetInError("sudo did not take the password", host=host, hint="check the sudo password") from error
    except _TerminalGoneError as error:
        raise InterruptedByUserError("the terminal has gone; what ran in it was closed", host=host) from error
    except (EOFError, OSError, paramiko.SSHException) as error:
        raise LinkLostError("the connection was lost; what runs on the host may go on", host=host) from error
    if status < 0 and transport.is_active():
        raise HostError("the command was ended by a signal", host=host)
    if status < 0:
        raise LinkLostError("the connection was lost; what runs on the host may go on", host=host)
    return status


class _AskedAgainError(Exception):
    pass


class _TerminalGoneError(Exception):
    pass


class _Door:
    """Stands between sudo and our terminal: gives the password when it is asked for, and opens when we are in.

    sudo asks with a random word, which no other output can be taken for, once it has turned the echo off. The command
    says another one first; until then nothing is shown, and nothing that was typed ahead is passed on: sudo would take
    it for the password, or throw it away. Without a password the door stands open.
    """

    def __init__(self, password: Secret | None, *, patience_s: float) -> None:
        self.question = secrets.token_hex(8)
        self.mark = secrets.token_hex(8)
        self._password = password
        self._closed_until = 0.0 if password is None else time.monotonic() + patience_s
        self._held = b""

    @property
    def is_open(self) -> bool:
        return time.monotonic() > self._closed_until

    def pass_on(self, data: bytes, channel: paramiko.Channel) -> bytes:
        """Return what there is to show, having answered a question in it."""
        seen, self._held = self._held + data, b""
        if self._closed_until == 0.0:
            return seen
        if self.question.encode() in seen:
            if self._password is None:
                raise _AskedAgainError
            channel.sendall(self._password.reveal().encode() + b"\n")
            self._password = None
            seen = seen.replace(self.question.encode(), b"")
        mark = f"{self.mark}\r\n".encode()
        if mark in seen:
            self._closed_until = 0.0
            return seen.partition(mark)[2]
        if not self.is_open:
            self._held = seen
            return b""
        return seen

    def rest(self) -> bytes:
        """Return what was held back when the output ended: why sudo let nobody in, perhaps."""
        return self._held


def _command_line(command: str, elevation: Elevation, door: _Door) -> str:
    # base64: a command may hold anything, and any login shell passes this on.
    encoded = base64.b64encode(command.encode()).decode()
    run = f'eval "$(echo {encoded} | base64 -d)"'
    if elevation.password is not None:
        return f"sudo -k -H -p {door.question} -- /bin/bash -c 'echo {door.mark}; {run}' deployer-terminal"
    words = f"{elevation.words} " if elevation.words else ""
    return f"{words}/bin/bash -c '{run}' deployer-terminal"


def _join(channel: paramiko.Channel, door: _Door) -> None:
    """Carry bytes both ways until the host's side ends."""
    channel.settimeout(None)
    keyboard = sys.stdin.fileno()
    far = channel.fileno()
    listens = True
    while True:
        ready, _, _ = select.select([far, keyboard] if listens and door.is_open else [far], [], [], _LOOK_S)
        if far in ready:
            data = channel.recv(_CHUNK_BYTES)
            _write(door.pass_on(data, channel) if data else door.rest())
            if not data:
                return
        if keyboard in ready:
            try:
                channel.sendall(_typed(keyboard))
            except OSError:  # it has ended; its last words are still to come
                listens = False


def _typed(keyboard: int) -> bytes:
    try:
        typed = os.read(keyboard, _CHUNK_BYTES)
    except OSError as error:
        raise _TerminalGoneError from error
    if not typed:  # a raw terminal has no other end of input
        raise _TerminalGoneError
    return typed


def _write(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise _TerminalGoneError from error


def _status(channel: paramiko.Channel, limit_s: float) -> int:
    channel.status_event.wait(limit_s)
    return channel.exit_status


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead is kept
        yield
    finally:
        with contextlib.suppress(termios.error):  # it has gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _columns_and_lines() -> tuple[int, int]:
    # The terminal's own word: $COLUMNS and $LINES, which shutil would ask first, may be those of another one.
    lines, columns = termios.tcgetwinsize(sys.stdout.fileno())
    return columns or 80, lines or 24


@contextlib.contextmanager
def _window_follows(channel: paramiko.Channel) -> Iterator[None]:
    def resize(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(paramiko.SSHException, OSError, termios.error):
            channel.resize_pty(*_columns_and_lines())

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
