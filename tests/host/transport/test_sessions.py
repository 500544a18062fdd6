"""What runs on a host, and what comes back: streams, limits and statuses."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace

from deployer.errors import HostError, UnreachableError
from deployer.transport import Connection
from tests.host.transport.box import Box, raised


def test_a_script_runs_as_root_and_its_streams_come_back_apart(to_near: Connection) -> None:
    reply = to_near.run("id -u; echo é→𝄞; echo oops >&2; exit 3", name="try", timeout_s=10)
    assert (reply.status, reply.stdout, reply.stderr) == (3, "0\né→𝄞\n", "oops\n")


def test_five_megabytes_come_back_on_either_stream(to_near: Connection) -> None:
    reply = to_near.run("yes é | head -c 5000001; yes é | head -c 5000001 >&2; exit 1", name="big", timeout_s=60)
    assert reply.status == 1
    assert hashlib.sha256(reply.stdout.encode()).hexdigest() == hashlib.sha256(("é\n" * 1666667).encode()).hexdigest()
    assert len(reply.stderr.encode()) <= 65536 + 4
    assert reply.stderr.endswith("é\n")


def test_a_large_script_arrives_whole_with_its_input(to_near: Connection) -> None:
    session = to_near.start("# é" + "x" * 300_000 + "\nread -r first; echo $first; sha256sum", name="large")
    data = os.urandom(3_000_000)
    session.send(b"one\n")
    session.send(data)
    session.close_stdin()
    assert list(session.lines()) == ["one", f"{hashlib.sha256(data).hexdigest()}  -"]
    assert session.status(10) == 0
    session.close()


def test_lines_come_as_they_are_printed(to_near: Connection) -> None:
    script = "for n in 1 2 3; do echo $n; read -r; done; printf 'a\\rb\\vc\\xe2\\x80\\xa8d\\ne\\xff\\nlast'"
    with to_near.start(script, name="ticker") as session:
        lines = session.lines(idle_timeout_s=10)
        for expected in ("1", "2", "3"):
            assert next(lines) == expected
            session.send(b"\n")
        assert list(lines) == ["a\rb\vc\u2028d", "e\ufffd", "last"]
        assert session.status(5) == 0


def test_a_letter_that_comes_in_two_parts_stays_one(to_near: Connection) -> None:
    with to_near.start("printf '\\xe2'; read -r; printf '\\x82\\xac\\n'", name="parts") as session:
        time.sleep(0.3)  # not a wait: the pause is the case
        session.send(b"\n")
        assert list(session.lines()) == ["€"]


def test_a_script_that_takes_too_long_is_an_error(to_near: Connection) -> None:
    error = raised(HostError, lambda: to_near.run("echo busy >&2; sleep 30", name="slow", timeout_s=1), within_s=3)
    assert "slow has not ended within 1 s" in error.message
    assert error.details == ("busy",)
    assert to_near.run("echo ok", name="next", timeout_s=5).stdout == "ok\n"


def test_output_without_end_is_an_error(to_near: Connection) -> None:
    error = raised(HostError, lambda: to_near.run("yes", name="endless", timeout_s=1), within_s=4)
    assert "endless has not ended within 1 s" in error.message


def test_silence_is_an_error_where_a_limit_is_set(to_near: Connection) -> None:
    with to_near.start("echo a; sleep 30", name="quiet", follow=True) as session:
        lines = session.lines(idle_timeout_s=0.5)
        assert next(lines) == "a"
        assert "said nothing" in raised(HostError, lambda: next(lines), within_s=3).message


def test_a_script_that_a_signal_ends_is_an_error(to_near: Connection) -> None:
    error = raised(HostError, lambda: to_near.run("kill -9 $$", name="killed", timeout_s=5), within_s=5)
    assert "ended by a signal" in error.message
    assert to_near.alive


def test_a_child_left_in_the_background_does_not_hold_us(to_near: Connection) -> None:
    started = time.monotonic()
    reply = to_near.run("sleep 20 & echo done", name="background", timeout_s=15)
    assert (reply.status, reply.stdout) == (0, "done\n")
    assert time.monotonic() - started < 5


def test_eight_sessions_run_at_once(to_near: Connection) -> None:
    sessions = [to_near.start(f"read -r x; echo {number} $x", name=f"at-once-{number}") for number in range(8)]
    for session in sessions:
        session.send(b"go\n")
    assert [list(session.lines()) for session in sessions] == [[f"{number} go"] for number in range(8)]
    for session in sessions:
        session.close()


def test_too_many_sessions_are_said(near: Box) -> None:
    near.sshd(2210, "MaxSessions=1")
    connection = near.connect(replace(near.host, port=2210))
    try:
        with connection.start("read -r", name="one"):
            error = raised(UnreachableError, lambda: connection.start("true", name="two"), within_s=5)
        assert "MaxSessions" in error.hint
    finally:
        connection.close()
