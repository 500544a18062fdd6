"""One channel: a script that runs on the host, what goes into it, what comes out, how it ended.

No wait here is without an end: the channel is looked at several times a second, and a link that is lost shows itself as
an error, never as an output that stops.
"""

from __future__ import annotations

import codecs
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import paramiko

from deployer.errors import HostError, LinkLostError, NotLetInError, UnreachableError
from deployer.transport.dial import Link
from deployer.transport.pulse import ended_after
from deployer.transport.scripts import Elevation, Limits, Reply, framed_script, reader_command

_LOOK_S = 0.2
_CHUNK_BYTES = 65536
_STDERR_BYTES = 65536
# What a login shell may print before it is our turn (a chatty .bashrc).
_NOISE_BYTES = 65536
# A child that was left in the background holds the output open; what the script said is complete by then.
_AFTER_EXIT_S = 2.0
# sshd closes the channel first and the connection right after, when the host goes down.
_PARTING_S = 1.0


class Session:
    """A script that runs on a host. Close it, or use it as a context manager.

    Closing ends the channel. A script without a terminal is not signalled by that: it reads the end of its input, and
    SIGPIPE meets it at its next output. One that must end was started with `follow`.
    """

    def __init__(self, link: Link, *, host: str, name: str, limits: Limits, closed_here: Callable[[], bool]) -> None:
        self.name = name
        self._host = host
        self._limits = limits
        self._closed_here = closed_here
        self._transport = link.transport
        self._stayed = False
        self._channel = self._open(link)
        self._mark = secrets.token_hex(8)
        self._begun = False
        self._given_up = False
        self._opened_at = time.monotonic()
        self._head = b""
        self._stderr = bytearray()
        self._exited_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, script: str, elevation: Elevation) -> None:
        """Start the script. Called once, by the connection."""
        command = reader_command(self._mark, name=self.name, elevation=elevation)
        framed = framed_script(script, self._mark)
        self._request(lambda: self._channel.exec_command(command))
        if elevation.password is not None:
            self.send(elevation.password.reveal().encode() + b"\n")
            # Nothing more before sudo has read it: some versions read ahead, and would swallow the script.
            self._await_mark()
        self.send(framed)

    def try_password(self, elevation: Elevation, timeout_s: float) -> Reply:
        """Let sudo check a password, and do nothing as root. Instead of `begin`, and the end of this session."""
        if elevation.password is None:
            raise ValueError("no password to try")
        self._begun = True
        self._request(lambda: self._channel.exec_command(f'{elevation.words} /bin/bash -c "exit 0"'))
        with contextlib.suppress(HostError):  # sudo may refuse without reading it; its status tells
            self.send(elevation.password.reveal().encode() + b"\n")
        self.close_stdin()
        return self.collect(timeout_s)

    def send(self, data: bytes | memoryview) -> None:
        """Hand bytes to the script's stdin; returns when they are on their way.

        Raises:
            HostError: The script ended before it had taken them, or took none for a while.
            LinkLostError: The link is gone.
        """
        view = memoryview(data)
        until = time.monotonic() + self._limits.stall_s
        while view:
            taken = self._send_some(view)
            if taken:
                view = view[taken:]
                until = time.monotonic() + self._limits.stall_s
            elif time.monotonic() > until:
                self._check_link()
                raise HostError(
                    f"{self.name} has taken no input for {self._limits.stall_s:g} s",
                    host=self._host,
                    details=self._last_words(),
                )

    def _send_some(self, view: memoryview) -> int:
        self._drain_stderr()
        try:
            taken = self._channel.send(view)  # type: ignore[arg-type] # a memoryview is copied once, bytes again and again
        except TimeoutError:
            return 0
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._ended_early(error) from error
        if taken == 0:
            raise self._ended_early()
        return taken

    def close_stdin(self) -> None:
        """End the script's input."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown_write()

    def lines(self, *, idle_timeout_s: float | None = None) -> Iterator[str]:
        r"""Yield lines of the script's output as they come, without their `\n`.

        Split at `\n` alone; bytes that are not UTF-8 become U+FFFD. An unfinished last line comes at the end.

        Raises:
            HostError: Nothing came for `idle_timeout_s`.
            LinkLostError: The link went before the script's end was known.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        while data := self._next_before_idle(idle_timeout_s):
            *whole, rest = (rest + decoder.decode(data)).split("\n")
            yield from whole
        rest += decoder.decode(b"", final=True)
        if rest:
            yield rest

    def _next_before_idle(self, limit_s: float | None) -> bytes:
        try:
            return self._next(None if limit_s is None else time.monotonic() + limit_s)
        except TimeoutError as error:
            raise HostError(
                f"{self.name} said nothing for {limit_s:g} s", host=self._host, details=self._last_words()
            ) from error

    def _next(self, until: float | None) -> bytes:
        """Return some output, or nothing at its end. TimeoutError when the monotonic clock has passed `until`."""
        self._await_mark(until)
        data, self._head = self._head, b""
        data = data or self._receive(until)
        if not data and not self._exited():
            # Closed by the host, it may be that the link goes with it; closed by us, there is nothing to wait for.
            gone = self._channel.closed and not self._given_up
            self._check_link(parting_s=_PARTING_S if gone else 0.0)
        return data

    @property
    def stderr(self) -> str:
        """What the script said on its standard error so far: at most the last 64 KiB."""
        self._drain_stderr()
        return self._stderr.decode("utf-8", "replace")

    def status(self, timeout_s: float) -> int:
        """Wait for the script to end and return its exit status; output that nobody has read is dropped.

        Raises:
            HostError: It has not ended by then, or a signal ended it.
            LinkLostError: The link went first.
        """
        until = time.monotonic() + timeout_s
        try:
            while self._next(until):
                self._check_time(until)
            while not self._channel.status_event.wait(_LOOK_S):
                self._drain_stderr()
                self._check_time(until)
        except TimeoutError as error:
            raise self._too_slow(timeout_s) from error
        self._drain_stderr()
        if not self._exited():
            self._check_link(parting_s=_PARTING_S)
            raise HostError(f"{self.name} was ended by a signal", host=self._host, details=self._last_words())
        return self._channel.exit_status

    def collect(self, timeout_s: float) -> Reply:
        """Read all output to the end, within `timeout_s` altogether. Raises as `status` does."""
        until = time.monotonic() + timeout_s
        stdout = bytearray()
        try:
            while data := self._next(until):
                stdout += data
                self._check_time(until)
        except TimeoutError as error:
            raise self._too_slow(timeout_s) from error
        status = self.status(max(until - time.monotonic(), _LOOK_S))
        return Reply(status=status, stdout=stdout.decode("utf-8", "replace"), stderr=self.stderr)

    def close(self) -> None:
        self._given_up = True
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()

    def _open(self, link: Link) -> paramiko.Channel:
        try:
            channel = link.transport.open_session(timeout=self._limits.open_s)
        except paramiko.ChannelException as error:
            raise UnreachableError(
                f"{link.target.place} refused another session: {error.text}",
                host=self._host,
                hint="raise MaxSessions in its sshd_config, or run fewer commands at once",
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._check_link(error)
            raise LinkLostError(
                f"no new session within {self._limits.open_s:g} s", host=self._host, hint="try again"
            ) from error
        channel.settimeout(_LOOK_S)
        return channel

    def _request(self, ask: Callable[[], None]) -> None:
        try:
            with ended_after(self._transport, self._limits.open_s):
                ask()
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._check_link(error)
            raise NotLetInError(
                f"the host would not start {self.name}", host=self._host, hint="look at ForceCommand in its sshd_config"
            ) from error

    def _await_mark(self, until: float | None = None) -> None:
        """Read up to our mark, past whatever a login shell printed first."""
        if self._begun:
            return
        limit = self._opened_at + self._limits.open_s
        mark = self._mark.encode() + b"\n"
        while mark not in self._head:
            try:
                data = self._receive(limit if until is None else min(limit, until))
            except TimeoutError as error:
                if time.monotonic() < limit:
                    raise
                raise self._no_shell("does not start our script") from error
            self._head += data
            if not data or len(self._head) > _NOISE_BYTES:
                if not self._exited():
                    self._check_link(parting_s=_PARTING_S)
                raise self._no_shell("did not start our script")
        self._head = self._head.partition(mark)[2]
        self._begun = True

    def _no_shell(self, what: str) -> NotLetInError:
        said = (*self._head.decode("utf-8", "replace").splitlines()[-5:], *self._last_words())
        return NotLetInError(
            f"the login shell or sudo {what} ({self.name})",
            host=self._host,
            hint="give the user a login shell, and sudo rights to run /bin/bash",
            details=said,
        )

    def _receive(self, until: float | None) -> bytes:
        while True:
            self._drain_stderr()
            try:
                return self._channel.recv(_CHUNK_BYTES)
            except TimeoutError:
                self._check_time(until)
                if self._left_open():
                    return b""

    def _exited(self) -> bool:
        # exit_status_ready() says yes of a lost link, too.
        return self._channel.exit_status >= 0

    def _left_open(self) -> bool:
        if not self._exited():
            return False
        self._exited_at = self._exited_at or time.monotonic()
        return time.monotonic() - self._exited_at > _AFTER_EXIT_S

    def _drain_stderr(self) -> None:
        # Unread, it would fill the channel's window and stop the script.
        while self._channel.recv_stderr_ready():
            try:
                data = self._channel.recv_stderr(_CHUNK_BYTES)
            except TimeoutError:  # another thread was faster
                return
            if not data:
                return
            self._stderr += data
            del self._stderr[:-_STDERR_BYTES]

    def _check_time(self, until: float | None) -> None:
        if until is not None and time.monotonic() > until:
            raise TimeoutError

    def _check_link(self, cause: BaseException | None = None, *, parting_s: float = 0.0) -> None:
        until = time.monotonic() + (0.0 if self._stayed else parting_s)
        while self._transport.is_active():
            if time.monotonic() >= until:
                self._stayed = self._stayed or parting_s > 0
                return
            self._transport.join(0.05)
        if self._closed_here():
            raise LinkLostError("the connection was closed here", host=self._host) from cause
        raise LinkLostError(
            f"the connection was lost during {self.name}; what runs on the host may go on",
            host=self._host,
            hint="run the same command again: it goes on from where this one stopped",
        ) from cause

    def _ended_early(self, cause: BaseException | None = None) -> HostError:
        self._await_mark()
        self._channel.status_event.wait(_PARTING_S)
        if not self._exited():
            self._check_link(cause, parting_s=_PARTING_S)
        how = f"with status {self._channel.exit_status}" if self._exited() else "by a signal"
        return HostError(
            f"{self.name} ended {how} before it had taken all its input", host=self._host, details=self._last_words()
        )

    def _too_slow(self, timeout_s: float) -> HostError:
        return HostError(
            f"{self.name} has not ended within {timeout_s:g} s; it may go on",
            host=self._host,
            details=self._last_words(),
        )

    def _last_words(self) -> tuple[str, ...]:
        return tuple(line for line in self.stderr.splitlines()[-10:] if line.strip())
