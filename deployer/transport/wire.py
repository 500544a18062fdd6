"""What carries the bytes: a TCP socket with options that end, a channel through a jump host, or a ProxyCommand.

Each is wrapped so that it can be told when the other side was last heard.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shlex
import socket
import sys
import threading
import time
from collections import deque
from typing import Any, Protocol

import paramiko

# A ProxyCommand that has closed its output may be about to say why.
_LAST_WORDS_S = 0.3


class _SocketLike(Protocol):
    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes, /) -> int: ...
    def settimeout(self, timeout: float | None, /) -> None: ...
    def close(self) -> None: ...


class Wire:
    """A socket, or what behaves like one, that remembers when it last brought something (monotonic clock)."""

    _GREETING_BYTES = 256

    def __init__(self, inner: _SocketLike) -> None:
        self.inner = inner
        self.heard_at = time.monotonic()
        self._first = b""
        self._closed = False

    def recv(self, size: int) -> bytes:
        data = self.inner.recv(size)
        if data:
            self.heard_at = time.monotonic()
            if len(self._first) < self._GREETING_BYTES:
                self._first += data[: self._GREETING_BYTES]
        return data

    def send(self, data: bytes) -> int:
        return self.inner.send(data)

    def settimeout(self, timeout: float | None) -> None:
        self.inner.settimeout(timeout)

    def close(self) -> None:
        self._closed = True
        # Through a jump host this sends something, over a link that may have gone first.
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.inner.close()

    @property
    def greeting(self) -> str:
        """The first line that came: a banner, or why there is none ("Not allowed at this time", sshd 9.8 and later)."""
        line = self._first.decode("utf-8", "replace").partition("\n")[0].strip()
        return "".join(char if char.isprintable() else "?" for char in line)

    @property
    def details(self) -> tuple[str, ...]:
        """What a ProxyCommand said on its standard error."""
        return self.inner.said if isinstance(self.inner, ProxyProcess) else ()


class ProxyProcess(paramiko.ProxyCommand):
    """A ProxyCommand, run by `sh` as OpenSSH runs it.

    paramiko's own splits words without a shell, spins when the command has ended, leaves its standard error to fill
    up, and leaves a zombie.
    """

    def __init__(self, command: str) -> None:
        super().__init__(f"/bin/sh -c {shlex.quote(f'exec {command}')}")
        self._lines: deque[str] = deque(maxlen=20)
        self._limit_s: float | None = None
        # A descriptor must not be closed, and its number be somebody else's, while another thread uses it.
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._ended = False
        assert self.process.stdin is not None  # noqa: S101 - paramiko makes three pipes
        assert self.process.stdout is not None  # noqa: S101
        assert self.process.stderr is not None  # noqa: S101
        self._in, self._out, self._err = self.process.stdin, self.process.stdout, self.process.stderr
        os.set_blocking(self._err.fileno(), False)

    @property
    def said(self) -> tuple[str, ...]:
        return tuple(self._lines)

    def settimeout(self, timeout: float | None) -> None:
        self._limit_s = timeout

    def recv(self, size: int) -> bytes:
        until = None if self._limit_s is None else time.monotonic() + self._limit_s
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            with self._reading:
                if self._out.closed:
                    return b""
                ready, _, _ = select.select([self._out, self._err], [], [], left)
                if self._out in ready:
                    data = os.read(self._out.fileno(), size)
                    self._ended = not data
                    return data
                said = os.read(self._err.fileno(), 4096) if ready else b""
            if not ready:
                raise TimeoutError
            self._lines += said.decode("utf-8", "replace").splitlines()
            if not said and self.process.poll() is not None:
                return b""

    def send(self, content: Any) -> int:
        with self._writing:
            if self._in.closed:
                raise EOFError
            return os.write(self._in.fileno(), content)

    def close(self) -> None:
        until = time.monotonic() + (_LAST_WORDS_S if self._ended else 0.0)
        while self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with self._reading, self._writing:
            if not self._in.closed:
                self._lines += (self._err.read() or b"").decode("utf-8", "replace").splitlines()
            for pipe in (self._in, self._out, self._err):
                pipe.close()


def tcp(
    hostname: str, port: int, *, family: socket.AddressFamily, bind_address: str, timeout_s: float, dead_after_s: float
) -> socket.socket:
    """Connect to the first address of a name that answers, all of it within `timeout_s`.

    Args:
        bind_address: What to go out from, of this machine's addresses and names; empty for any.

    Raises:
        OSError: As the system says: `socket.gaierror` for the name, `TimeoutError`, `ConnectionRefusedError`, ….
    """
    until = time.monotonic() + timeout_s
    addresses = _addresses(hostname, port, family, timeout_s)
    failure: OSError = TimeoutError("timed out")
    for left, (kind, _, _, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        # A dead address (IPv6 without a route, say) must leave time for the next.
        share = max(0.5, (until - time.monotonic()) / left)
        connection = socket.socket(kind, socket.SOCK_STREAM)
        try:
            connection.settimeout(share)
            if bind_address:
                _bind(connection, bind_address, share)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
            continue
        tune(connection, dead_after_s=dead_after_s)
        return connection
    raise failure


def _bind(connection: socket.socket, written: str, timeout_s: float) -> None:
    try:
        connection.bind(_addresses(written, 0, connection.family, timeout_s)[0][-1])
    except OSError as error:
        # Not the host's name, nor its refusal.
        number = errno.EADDRNOTAVAIL if isinstance(error, socket.gaierror) else error.errno
        raise OSError(number, f"BindAddress {written} of ssh_config: {error.strerror}") from error


def tune(connection: socket.socket, *, dead_after_s: float) -> None:
    """Set what paramiko leaves out: no Nagle (40 ms a command), keepalive, and an end to bytes that nobody confirms."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(dead_after_s * 1000))
    elif sys.platform == "darwin":
        # TCP_RXT_CONNDROPTIME of <netinet/tcp.h>, in seconds; Python has no name for it.
        connection.setsockopt(socket.IPPROTO_TCP, 0x80, max(1, round(dead_after_s)))


def _addresses(hostname: str, port: int, family: int, timeout_s: float) -> list[Any]:
    # getaddrinfo has no time limit of its own: an unanswering resolver holds it for half a minute and longer.
    found: list[Any] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(hostname, port, family, socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)
        except UnicodeError as error:
            failed.append(socket.gaierror(socket.EAI_NONAME, str(error)))

    thread = threading.Thread(target=look_up, daemon=True, name=f"look up {hostname}")
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise socket.gaierror(socket.EAI_AGAIN, f"no answer from the resolver within {timeout_s:g} s")
    if failed:
        raise failed[0]
    return found
