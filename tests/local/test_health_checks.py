"""What the check of an HTTP address makes of answers: the host's shell, asked of servers on this machine."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from deployer.host.scripts import part
from tests.twins import Guards, without

ASK = 'CHECK_TIMEOUT_S=$1; shift; if check_http "$@"; then echo passes; else printf "%s\\n" "$WHY"; fi\n'


class Server:
    """Answers every request with the same bytes, at once and without a word of HTTP of its own."""

    def __init__(self, answer: bytes | None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._answer = answer and answer.replace(b"PORT", str(self.port).encode())
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with ExitStack() as held:
            while True:
                try:
                    client = held.enter_context(self._socket.accept()[0])
                except OSError:
                    return
                if self._answer is not None:
                    asked = b""
                    while b"\r\n\r\n" not in asked and (more := client.recv(4096)):
                        asked += more
                    client.sendall(self._answer)
                    client.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


def said(
    port: int, *, host: str = "127.0.0.1", limit_s: str = "20", guards: Guards | None = None, wait_s: float = 60
) -> str:
    """What the check says of http://shop/, which is looked for at a host and port; without these guards."""
    check = f"APP=shop ROOT=/nowhere\n{part('lib')}{without(part('health'), guards or {})}{ASK}"
    done = subprocess.run(
        ["bash", "-c", check, "bash", limit_s, host, str(port), "/", "shop", "200 204", ""],
        capture_output=True,
        text=True,
        timeout=wait_s,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.removesuffix("\n")


@pytest.fixture
def closed() -> Iterator[int]:
    """A port on which nobody listens, and which nobody else takes."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "passes"),
        (b"HTTP/1.1 500 connection refused\r\n\r\n", "http://shop/ answered 500, not 200 or 204"),
        (b"refused\r\n", "http://shop/: the answer is not HTTP"),
        (b"bash: connect: Connection refused\n", "http://shop/: the answer is not HTTP"),
        (b"x /dev/tcp/127.0.0.1/PORT: forged\n", "http://shop/: the answer is not HTTP"),
        (b"\nconnected\nHTTP/1.1 200 OK\r\n\r\n", "http://shop/: the answer is not HTTP"),
        (b"", "http://shop/: the connection was closed without an answer"),
    ],
    ids=lambda each: each.decode().split("\r")[0] if isinstance(each, bytes) else "",
)
def test_of_an_answer_nothing_is_taken_for_the_words_of_the_shell(answer: bytes, expected: str) -> None:
    server = Server(answer)
    try:
        assert said(server.port) == expected
    finally:
        server.close()


def test_what_keeps_a_connection_from_being_made_is_told(closed: int) -> None:
    assert said(closed) == "http://shop/: connection refused"
    # In the words of the resolver.
    told = said(closed, host="nowhere.invalid")
    assert told.startswith("http://shop/: ")
    assert any(word in told for word in ("known", "resolution", "address associated")), told


def test_without_the_status_the_words_of_the_shell_would_be_an_answer(closed: int) -> None:
    """Twin."""
    assert said(closed, guards={"|| exit 7": "|| exit 1"}) == "http://shop/: the answer is not HTTP"


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_allowed() -> None:
    server = Server(None)
    try:
        assert said(server.port, limit_s="0.5") == "http://shop/: no answer within 0.5 s"
    finally:
        server.close()


def test_without_its_limit_a_server_that_says_nothing_would_be_waited_for() -> None:
    """Twin."""
    unlimited = {'answer=$(timeout -k 1 "$CHECK_TIMEOUT_S" bash -c \'': "answer=$(bash -c '"}
    server = Server(None)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            said(server.port, limit_s="0.5", guards=unlimited, wait_s=3)
    finally:
        server.close()
