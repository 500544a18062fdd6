"""Connecting: name, wire, handshake, host key, our key; hop by hop, each hop under the same rules.

Fabric's connection is opened with everything it would have guessed given to it: no configuration files of its own, no
key that is accepted unseen, no wait without an end. What goes wrong becomes an error of ours that names the hop.
"""

from __future__ import annotations

import logging
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import fabric
import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from deployer.errors import DeployerError, UnreachableError
from deployer.model import Host, Ssh
from deployer.transport import algorithms, hostkeys
from deployer.transport.auth import AUTH_TIMEOUT_S, KeyAuth
from deployer.transport.by_hand import ssh_command
from deployer.transport.keys import KeyRing, Prompt
from deployer.transport.ssh_config import Target
from deployer.transport.wire import ProxyProcess, Wire, tcp

_TRIES = 3

# Its log would go to the user's screen, tracebacks and all; what matters becomes an error of ours.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False


class _TryAgainError(UnreachableError):
    """A failure that another try may not meet: refused while sshd restarts, or one connection too many at once."""


@dataclass(kw_only=True)
class Link:
    """An open, authenticated connection to one hop, and the links that it runs through."""

    target: Target
    fabric: Any
    wire: Wire
    via: Link | None

    @property
    def transport(self) -> paramiko.Transport:
        transport = self.fabric.client.get_transport()
        assert isinstance(transport, paramiko.Transport)  # noqa: S101 - a link is made of an open connection
        return transport

    def close(self) -> None:
        # The way there first: then nothing that is on its way holds us up.
        if self.via is not None:
            self.via.close()
        # Straight to the transport, which stays known: Fabric would forget it, and others still wait on it.
        self.transport.close()
        self.wire.close()


class _Policy(paramiko.MissingHostKeyPolicy):
    """Asked about every host key, as the client itself is given none to compare with."""

    def __init__(self, check: Callable[[hostkeys.HostKey], None]) -> None:
        self._check = check
        self.asked = False

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - paramiko's signature
        self.asked = True
        self._check(hostkeys.HostKey(type=key.get_name(), blob=key.asbytes()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialer:
    """Opens links to a host of the config."""

    host: Host
    ssh: Ssh
    prompt: Prompt
    environ: Mapping[str, str]
    note: Callable[[str], None]

    def open(self, target: Target) -> Link:
        """Connect to a target, through its jump hosts first.

        Raises:
            UnreachableError: No name, no route, no answer, no common algorithm. A refused connection and a lost
                banner are tried three times.
            HostKeyError: A hop's key is unknown, changed or revoked. Never tried again.
            NotLetInError: A hop did not take our keys. Never tried again.
        """
        via = None if target.jump is None else self.open(target.jump)
        try:
            return self._persistently(target, via)
        except BaseException:
            if via is not None:
                via.close()
            raise

    def _persistently(self, target: Target, via: Link | None) -> Link:
        for attempt in range(1, _TRIES):
            try:
                return self._once(target, via)
            except _TryAgainError:
                # Apart from each other: hosts behind one jump host are refused together (sshd's MaxStartups).
                time.sleep(random.uniform(0.3, 0.8) * attempt)  # noqa: S311 - no secret hangs on it
        return self._once(target, via)

    def _once(self, target: Target, via: Link | None) -> Link:
        wire = Wire(self._carrier(target, via))
        try:
            return self._shake_hands(target, wire, via)
        except BaseException:
            wire.close()
            raise

    def _carrier(self, target: Target, via: Link | None) -> Any:
        if via is not None:
            return self._through(target, via)
        if target.proxy_command:
            return ProxyProcess(target.proxy_command)
        try:
            return tcp(
                target.hostname,
                target.port,
                family=target.family,
                bind_address=target.bind_address,
                timeout_s=self.ssh.connect_timeout_s,
                dead_after_s=self.ssh.dead_after_s,
            )
        except socket.gaierror as error:
            raise self._unreachable(
                target,
                f"the name {target.hostname} does not resolve: {error.strerror}",
                again=error.errno == socket.EAI_AGAIN and "resolver" not in str(error.strerror),
                hint=f"try: getent ahosts {target.hostname}",
            ) from error
        except ConnectionRefusedError as error:
            raise self._unreachable(target, f"{target.place} refused the connection", again=True) from error
        except TimeoutError as error:
            what = f"no answer from {target.place} within {self.ssh.connect_timeout_s:g} s"
            raise self._unreachable(target, what) from error
        except OSError as error:
            raise self._unreachable(target, f"no connection to {target.place}: {error.strerror}") from error

    def _through(self, target: Target, via: Link) -> paramiko.Channel:
        hop = f"the jump host {via.target.name} ({via.target.place})"
        try:
            return via.transport.open_channel(
                "direct-tcpip", (target.hostname, target.port), ("127.0.0.1", 0), timeout=self.ssh.connect_timeout_s
            )
        except paramiko.ChannelException as error:
            why = {1: "it does not allow forwarding (AllowTcpForwarding)", 2: "no connection"}.get(
                error.code, error.text
            )
            raise self._unreachable(target, f"{hop} could not reach {target.place}: {why}") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            what = f"no answer from {target.place} through {hop} within {self.ssh.connect_timeout_s:g} s"
            raise self._unreachable(target, what) from error

    def _shake_hands(self, target: Target, wire: Wire, via: Link | None) -> Link:
        lines = hostkeys.known_lines(target)
        policy = _Policy(
            lambda key: hostkeys.check(
                target, lines, key, host=self.host.name, accept_new=self.ssh.accept_new, note=self.note
            )
        )
        ring = KeyRing(target=target, environ=self.environ, prompt=self.prompt, note=self.note)
        auth = KeyAuth(target=target, host=self.host.name, by_hand=self._by_hand(target), ring=ring)
        connection = self._fabric(target, wire, lines, auth)
        connection.client.set_missing_host_key_policy(policy)
        started = time.monotonic()
        try:
            connection.open()
        except BaseException as error:
            # Not connection.close(), which does nothing before the connection is complete: a thread would stay.
            transport = connection.client.get_transport()
            connection.client.close()
            if transport is not None:
                # Its timer is no daemon, and would hold up the end of the program.
                transport.packetizer.complete_handshake()
            if isinstance(error, DeployerError) or not isinstance(error, (paramiko.SSHException, OSError, EOFError)):
                raise
            what, again = self._explained(target, wire, error, time.monotonic() - started, agreed=policy.asked)
            hint = _offer_more(self._by_hand(target)) if isinstance(error, IncompatiblePeer) else ""
            raise self._unreachable(target, what, again=again, hint=hint, wire=wire) from error
        return Link(target=target, fabric=connection, wire=wire, via=via)

    def _fabric(self, target: Target, wire: Wire, lines: tuple[hostkeys.KnownLine, ...], auth: KeyAuth) -> Any:
        timeout_s = self.ssh.connect_timeout_s

        def transport_factory(sock: Any, **options: Any) -> paramiko.Transport:
            return _transport(sock, lines, timeout_s, options)

        return fabric.Connection(
            target.hostname,
            user=target.user,
            port=target.port,
            # lazy: nothing is read from ~/.fabric.yaml or /etc, where a gateway or a password might stand.
            config=fabric.Config(lazy=True, overrides={"load_ssh_configs": False}),
            connect_kwargs={
                "sock": wire,
                "timeout": timeout_s,
                "banner_timeout": timeout_s,
                "auth_timeout": AUTH_TIMEOUT_S,
                "channel_timeout": timeout_s,
                "allow_agent": False,
                "look_for_keys": False,
                "auth_strategy": auth,
                "transport_factory": transport_factory,
            },
        )

    def _explained(
        self, target: Target, wire: Wire, error: BaseException, took_s: float, *, agreed: bool
    ) -> tuple[str, bool]:
        """Say what a handshake broke on, by how far it had come, and whether to try again."""
        place, limit_s = target.place, self.ssh.connect_timeout_s
        if isinstance(error, IncompatiblePeer):
            return f"{place} greets as {wire.greeting}, which we cannot talk to: {error}", False
        if not wire.greeting.startswith("SSH-"):
            said = f"; it says '{wire.greeting}'" if wire.greeting else ""
            if took_s >= limit_s:
                return f"no SSH banner from {place} within {limit_s:g} s{said}", False
            return f"{place} ended the connection before its SSH banner{said}", not target.proxy_command
        if not agreed:
            return f"{place} greets as {wire.greeting}, but no keys were agreed on within {limit_s:g} s", False
        return f"{place} ended the connection while we were logging in", False

    def _unreachable(
        self, target: Target, what: str, *, again: bool = False, hint: str = "", wire: Wire | None = None
    ) -> UnreachableError:
        role = "" if target.name == self.host.address else f" (jump host of {self.host.name})"
        through = f" (through: {target.proxy_command})" if target.proxy_command else ""
        kind = _TryAgainError if again else UnreachableError
        if wire is not None:
            wire.close()
        return kind(
            f"{what}{role}{through}",
            host=self.host.name,
            hint=hint or f"try: {self._by_hand(target)}",
            details=() if wire is None else wire.details,
        )

    def _by_hand(self, target: Target) -> str:
        return ssh_command(target, self.host, self.ssh)


def _offer_more(by_hand: str) -> str:
    return (
        "what its sshd offers is too weak, or not known here; take KexAlgorithms, HostKeyAlgorithms, Ciphers and MACs out "
        f"of its sshd_config (OpenSSH's defaults will do); to see what it offers: {by_hand}"
    )


def _transport(
    sock: Any, lines: tuple[hostkeys.KnownLine, ...], timeout_s: float, options: Mapping[str, Any]
) -> paramiko.Transport:
    transport = paramiko.Transport(sock, **options)
    transport.handshake_timeout = timeout_s
    security = transport.get_security_options()
    security.kex = algorithms.key_exchanges(security.kex)
    security.ciphers = algorithms.ciphers(security.ciphers)
    security.digests = algorithms.macs(security.digests)
    security.key_types = hostkeys.algorithms_first(lines, algorithms.signatures(security.key_types))
    return transport
