"""Noticing that the other side has gone.

The kernel ends a connection whose bytes nobody confirms (`TCP_USER_TIMEOUT`), but it cannot see past a jump host or a
ProxyCommand, nor into an sshd that is stuck. So the host itself is asked, and has to answer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import paramiko

from deployer.transport.wire import Wire


class Pulse(threading.Thread):
    """Asks the host for a sign of life when nothing has come for `every_s`; closes the transport after `dead_after_s`.

    Anything received counts as a sign of life: during an upload the answer may stand in a long queue.
    """

    def __init__(self, transport: paramiko.Transport, wire: Wire, *, every_s: float, dead_after_s: float) -> None:
        super().__init__(daemon=True, name="pulse")
        self._transport = transport
        self._wire = wire
        self._every_s = every_s
        self._dead_after_s = dead_after_s
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._every_s) and self._transport.is_active():
            if time.monotonic() - self._wire.heard_at < self._every_s:
                continue
            answered = threading.Event()
            watch = threading.Thread(target=self._watch, args=(answered,), daemon=True, name="pulse watch")
            watch.start()
            # paramiko's own keepalive wants no reply and so detects nothing.
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
                self._transport.global_request("keepalive@openssh.com", wait=True)
            answered.set()

    def stop(self) -> None:
        self._over.set()

    def _watch(self, answered: threading.Event) -> None:
        since = time.monotonic()
        while True:
            silent_since = max(since, self._wire.heard_at)
            left = silent_since + self._dead_after_s - time.monotonic()
            if left <= 0:
                self._transport.close()
                return
            if answered.wait(left) or self._over.is_set():
                return


@contextlib.contextmanager
def ended_after(transport: paramiko.Transport, limit_s: float) -> Iterator[None]:
    """Close the transport when the block takes longer: some waits of paramiko's (a request's reply) have no limit."""
    timer = threading.Timer(limit_s, transport.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
