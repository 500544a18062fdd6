"""Connections that do not come about, on this machine's loopback; and the wires below them."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployer.errors import DeployerError, UnreachableError
from deployer.model import Host, Ssh
from deployer.transport import connect
from deployer.transport.wire import ProxyProcess, tune

QUICK = Ssh(connect_timeout_s=0.6, keepalive_s=0.5, dead_after_s=1)


@dataclass(kw_only=True)
class Server:
    """Something that listens, and is no sshd; `calls` are the connections it got."""

    port: int
    calls: list[socket.socket] = field(default_factory=list)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 0.0)


@pytest.fixture
def serve() -> Iterator[Callable[[bytes | None], Server]]:
    listeners: list[socket.socket] = []
    servers: list[Server] = []
    threads: list[threading.Thread] = []

    def start(greeting: bytes | None) -> Server:
        """Listen; greet and go on holding the connection, or (None) close it at once."""
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        server = Server(port=listener.getsockname()[1])
        servers.append(server)

        def accept() -> None:
            while True:
                try:
                    call, _ = listener.accept()
                except OSError:
                    return
                server.calls.append(call)
                if greeting is None:
                    call.close()
                else:
                    call.sendall(greeting)

        threads.append(threading.Thread(target=accept, daemon=True))
        threads[-1].start()
        return server

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()  # one more call may come in while it ends
    for server in servers:
        for call in server.calls:
            call.close()


def refused(port: int, tmp_path: Path, *, address: str = "127.0.0.1", ssh_config: str = "") -> DeployerError:
    config = tmp_path / "ssh_config"
    config.write_text(ssh_config)
    host = Host(name="prod1", address=address, port=port, user="me", known_hosts=tmp_path / "known_hosts")
    before = threading.active_count()
    with pytest.raises(UnreachableError) as caught:
        connect(host, Ssh(connect_timeout_s=0.6, config=config), prompt=lambda _: None, environ={}, note=lambda _: None)
    until = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < until, threading.enumerate()
        time.sleep(0.01)
    assert caught.value.host == "prod1"
    assert caught.value.exit_code == 5
    return caught.value


def test_a_server_that_says_nothing_is_given_up(serve: Callable[[bytes | None], Server], tmp_path: Path) -> None:
    server = serve(b"")
    error = refused(server.port, tmp_path)
    assert error.message == f"no SSH banner from 127.0.0.1 port {server.port} within 0.6 s"
    files = f"-F {tmp_path}/ssh_config -o UserKnownHostsFile={tmp_path}/known_hosts"
    assert error.hint == f"try: ssh -v {files} -p {server.port} me@127.0.0.1 true"
    assert len(server.calls) == 1


def test_a_server_that_hangs_up_is_tried_three_times(serve: Callable[[bytes | None], Server], tmp_path: Path) -> None:
    server = serve(None)
    error = refused(server.port, tmp_path)
    assert "ended the connection before its SSH banner" in error.message
    assert len(server.calls) == 3


def test_a_server_that_stops_after_its_banner_is_given_up(
    serve: Callable[[bytes | None], Server], tmp_path: Path
) -> None:
    error = refused(serve(b"SSH-2.0-Stuck_1\r\n").port, tmp_path)
    assert "greets as SSH-2.0-Stuck_1, but no keys were agreed on within 0.6 s" in error.message


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-1.5-old\r\n", b"\xff\xfe\r\n"])
def test_something_that_is_no_ssh_server_is_given_up(
    serve: Callable[[bytes | None], Server], tmp_path: Path, greeting: bytes
) -> None:
    error = refused(serve(greeting).port, tmp_path)
    assert greeting.decode("utf-8", "replace").splitlines()[0] in error.message


def test_a_closed_port_is_unreachable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert refused(port, tmp_path).message == f"127.0.0.1 port {port} refused the connection"


def test_a_name_that_does_not_resolve_is_unreachable(tmp_path: Path) -> None:
    error = refused(22, tmp_path, address="no-such-host.invalid")
    assert "no-such-host.invalid" in error.message
    assert error.hint == "try: getent ahosts no-such-host.invalid"


def test_a_jump_host_that_fails_is_named(serve: Callable[[bytes | None], Server], tmp_path: Path) -> None:
    server = serve(None)
    error = refused(22, tmp_path, ssh_config=f"Host 127.0.0.1\n  ProxyJump me@localhost:{server.port}\n")
    assert "(jump host of prod1)" in error.message


def test_a_proxy_command_that_is_not_there_says_so(tmp_path: Path) -> None:
    error = refused(22, tmp_path, ssh_config="ProxyCommand no-such-program %h\n")
    assert "through: no-such-program 127.0.0.1" in error.message
    assert any("not found" in line for line in error.details)


def test_a_socket_is_set_to_end(serve: Callable[[bytes | None], Server]) -> None:
    with socket.create_connection(("127.0.0.1", serve(b"").port)) as connection:
        tune(connection, dead_after_s=7)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


@pytest.mark.parametrize("written", ["127.0.0.9", "localhost"])
def test_we_go_out_from_the_address_that_ssh_config_binds_to(
    serve: Callable[[bytes | None], Server], tmp_path: Path, written: str
) -> None:
    server = serve(b"")
    refused(server.port, tmp_path, ssh_config=f"BindAddress {written}\n")
    assert server.calls[0].getpeername()[0] == ("127.0.0.1" if written == "localhost" else written)


@pytest.mark.parametrize("written", ["192.0.2.77", "::1", "no-such-host.invalid"])
def test_an_address_that_we_cannot_go_out_from_is_named(
    serve: Callable[[bytes | None], Server], tmp_path: Path, written: str
) -> None:
    server = serve(b"")
    error = refused(server.port, tmp_path, ssh_config=f"BindAddress {written}\n")
    start = f"no connection to 127.0.0.1 port {server.port}: BindAddress {written} of ssh_config: "
    assert error.message.startswith(start)
    assert len(error.message) > len(start)
    assert server.calls == []


def test_a_proxy_command_carries_bytes_and_ends_with_its_process() -> None:
    proxy = ProxyProcess("sh -c 'echo said >&2; head -c 5; exit 1'")
    proxy.settimeout(5)
    proxy.send(b"hello")
    assert proxy.recv(100) == b"hello"
    assert proxy.recv(100) == b""
    proxy.close()
    proxy.close()
    assert proxy.said == ("said",)
    assert proxy.process.returncode == 1


def test_a_silent_proxy_command_times_out() -> None:
    proxy = ProxyProcess("sleep 60")
    proxy.settimeout(0.05)
    with pytest.raises(TimeoutError):
        proxy.recv(100)
    proxy.close()
    assert proxy.process.returncode is not None
