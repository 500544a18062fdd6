"""The transport against real sshd, sudo and bash: what is let in, what is refused, and that every wait ends."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from deployer import local
from deployer.errors import (
    DeployerError,
    HostError,
    HostKeyError,
    LinkLostError,
    NotLetInError,
    UnreachableError,
    UsageError,
)
from deployer.model import Host, Secret, Ssh
from deployer.sandbox import Lab, SandboxHost
from deployer.transport import Connection, connect, hostkeys, keys, send_file
from deployer.transport.pulse import Pulse
from tests.host.conftest import MakeHost

PASSWORD = "pass wörd $1 'x' \\"
QUICK = Ssh(connect_timeout_s=4, keepalive_s=0.5, dead_after_s=2, step_timeout_s=20)

FURNISH = r"""
set -eu
for user in easy passer plain noshell chatty; do
    useradd --create-home --shell /bin/bash "$user"
    install -d -m 700 -o "$user" -g "$user" "/home/$user/.ssh"
    install -m 600 -o "$user" -g "$user" /root/.ssh/authorized_keys "/home/$user/.ssh/authorized_keys"
done
usermod --shell /usr/sbin/nologin noshell
echo 'echo "welcome to $(hostname)"; echo "careful" >&2' > /home/chatty/.bashrc
printf '%s ALL=(ALL) NOPASSWD: ALL\n' easy chatty > /etc/sudoers.d/easy
echo 'passer ALL=(ALL) ALL' > /etc/sudoers.d/strict
"""


@dataclass(kw_only=True)
class Box:
    """A sandbox host and what a test does with it."""

    lab: Lab
    sandbox: SandboxHost
    notes: list[str] = field(default_factory=list)

    @property
    def host(self) -> Host:
        return Host(
            name=self.sandbox.name,
            address=self.sandbox.address,
            user="root",
            identity_file=self.sandbox.identity_file,
            known_hosts=self.sandbox.known_hosts,
        )

    def do(self, command: str) -> str:
        done = self.lab.enter(self.sandbox.name, command)
        assert done.status == 0, done
        return done.stdout

    def connect(
        self,
        host: Host | None = None,
        ssh: Ssh = QUICK,
        *,
        prompt: Callable[[str], Secret | None] = lambda _: None,
        environ: Mapping[str, str] | None = None,
    ) -> Connection:
        return connect(host or self.host, ssh, prompt=prompt, environ=environ or {}, note=self.notes.append)

    def sshd(self, port: int, *options: str) -> None:
        """Run another sshd there."""
        words = " ".join(f"-o {shlex.quote(option)}" for option in options)
        self.do(f"systemd-run --quiet --collect --unit=sshd-{port} /usr/sbin/sshd -D -p {port} {words}")
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((self.sandbox.address, port), timeout=1).close()
            except OSError:
                assert time.monotonic() < until
            else:
                return


@pytest.fixture(scope="module")
def near(lab: Lab, make_host: MakeHost) -> Iterator[Box]:
    box = Box(lab=lab, sandbox=make_host("near"))
    box.do(FURNISH)
    box.do(f"echo {base64.b64encode(f'passer:{PASSWORD}'.encode()).decode()} | base64 -d | chpasswd")
    yield box
    lab.down("near")


@pytest.fixture(scope="module")
def far(lab: Lab, make_host: MakeHost) -> Iterator[Box]:
    yield Box(lab=lab, sandbox=make_host("far", "trixie"))
    lab.down("far")


@pytest.fixture(autouse=True)
def forgotten_keys() -> Iterator[None]:
    yield
    keys._opened.clear()


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 5
    while left := [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]:
        assert time.monotonic() < until, left
        left[0].join(0.2)


@pytest.fixture
def to_near(near: Box) -> Iterator[Connection]:
    connection = near.connect()
    yield connection
    connection.close()


@pytest.fixture
def cut(lab: Lab) -> Iterator[Callable[[Box], None]]:
    boxes: list[Box] = []

    def cut_link(box: Box) -> None:
        boxes.append(box)
        lab.cut_link(box.sandbox.name)

    yield cut_link
    for box in boxes:
        lab.restore_link(box.sandbox.name)


def keygen(path: Path, *, kind: str = "ed25519", passphrase: str = "", more: tuple[str, ...] = ()) -> Path:
    done = local.run(
        ("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path), *more), timeout_s=30
    )
    assert done.status == 0, done
    return path


def raised(kind: type[DeployerError], act: Callable[[], object], *, within_s: float) -> DeployerError:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        act()
    assert time.monotonic() - started < within_s
    assert PASSWORD not in str(caught.value.__dict__)
    return caught.value


# What runs, and what comes back.


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


# Followers and what the end of the client means.


def processes(box: Box, pattern: str) -> int:
    return int(box.do(f"pgrep -fc {shlex.quote(pattern)} || true"))


def gone(box: Box, pattern: str) -> None:
    until = time.monotonic() + 8
    while processes(box, pattern):
        assert time.monotonic() < until, pattern
        time.sleep(0.1)


@pytest.mark.parametrize("user", ["root", "easy"])
def test_a_follower_ends_when_the_session_is_closed(near: Box, user: str) -> None:
    connection = near.connect(replace(near.host, user=user))
    try:
        session = connection.start("echo up; (trap '' TERM; sleep 4711) & wait", name="follower", follow=True)
        assert next(session.lines()) == "up"
        assert processes(near, "[s]leep 4711") > 0
        session.close()
        gone(near, "[s]leep 4711")
        gone(near, "[d]eployer-follower")
    finally:
        connection.close()


def test_a_follower_ends_when_the_client_is_killed(near: Box, tmp_path: Path) -> None:
    program = tmp_path / "client.py"
    program.write_text(
        f"""
import os, signal
from pathlib import Path
from deployer.model import Host, Ssh
from deployer.transport import connect
host = Host(name="x", address={near.sandbox.address!r}, user="root",
            identity_file=Path({str(near.sandbox.identity_file)!r}), known_hosts=Path({str(near.sandbox.known_hosts)!r}))
connection = connect(host, Ssh(), prompt=lambda _: None, environ={{}}, note=print)
print(next(connection.start("echo up; sleep 4712", name="orphan", follow=True).lines()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    done = local.run((sys.executable, str(program)), timeout_s=30)
    assert (done.status, done.stdout) == (-signal.SIGKILL, b"up\n"), done
    gone(near, "[s]leep 4712")


def test_who_reads_a_session_that_is_closed_here_is_freed_at_once(to_near: Connection) -> None:
    session = to_near.start("echo begun; sleep 60", name="watch")
    lines = session.lines()
    assert next(lines) == "begun"
    freed: list[float] = []

    def read() -> None:
        with suppress(LinkLostError):
            list(lines)
        freed.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    begun = time.monotonic()
    session.close()
    reader.join(timeout=5)
    # The second in which a host that goes down is given time to say so is not for this.
    assert freed[0] - begun < 0.8


def test_a_follower_gives_its_output_and_status(to_near: Connection) -> None:
    with to_near.start("echo a; echo b >&2; exit 4", name="short", follow=True) as session:
        assert list(session.lines()) == ["a"]
        assert session.status(5) == 4
        assert session.stderr == "b\n"


# Uploads.


def test_a_file_goes_up_from_where_the_last_attempt_ended(to_near: Connection, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(5_000_000))
    seen: list[int] = []
    session = to_near.start("echo ready; sha256sum", name="upload")
    lines = session.lines(idle_timeout_s=10)
    assert next(lines) == "ready"
    assert send_file(session, path, 1_234_567, seen.append) == 5_000_000 - 1_234_567
    assert list(lines) == [f"{hashlib.sha256(path.read_bytes()[1_234_567:]).hexdigest()}  -"]
    assert session.status(5) == 0
    assert seen[-1] == 5_000_000
    assert seen == sorted(seen)


def test_an_upload_that_the_host_ends_says_why(to_near: Connection, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(50_000_000))
    session = to_near.start("head -c 1000000 >/dev/null; echo 'No space left on device' >&2; exit 28", name="upload")
    error = raised(HostError, lambda: send_file(session, path, 0, lambda _: None), within_s=10)
    assert "ended with status 28 before it had taken all its input" in error.message
    assert "No space left on device" in error.details


def test_an_upload_that_the_host_does_not_take_ends(near: Box, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(20_000_000))
    connection = near.connect(ssh=replace(QUICK, step_timeout_s=1))
    try:
        session = connection.start("sleep 30", name="stuck")
        error = raised(HostError, lambda: send_file(session, path, 0, lambda _: None), within_s=5)
        assert "has taken no input" in error.message
    finally:
        connection.close()


# Becoming root.


def test_sudo_without_a_password_makes_us_root(near: Box) -> None:
    connection = near.connect(replace(near.host, user="easy"))
    try:
        assert connection.run("id -un; echo $HOME", name="who", timeout_s=10).stdout == "root\n/root\n"
        assert connection.run("id -un", name="who", timeout_s=10, root=False).stdout == "easy\n"
        assert connection.login == "easy"
    finally:
        connection.close()


@pytest.mark.parametrize("way", ["variable", "prompt"])
def test_sudo_with_a_password_makes_us_root(near: Box, way: str) -> None:
    questions: list[str] = []

    def prompt(question: str) -> Secret:
        questions.append(question)
        return Secret(PASSWORD)

    host = replace(near.host, user="passer")
    environ = {"DEPLOYER_SUDO_PASSWORD": PASSWORD} if way == "variable" else {}
    connection = near.connect(host, prompt=prompt, environ=environ)
    try:
        for _ in range(2):
            session = connection.start("id -un; cat", name="who")
            session.send(b"input\n")
            session.close_stdin()
            assert list(session.lines()) == ["root", "input"]
            assert session.status(5) == 0
    finally:
        connection.close()
    assert len(questions) == (0 if way == "variable" else 1)


def test_a_password_that_sudo_stops_asking_for_is_not_executed(near: Box) -> None:
    near.do("echo 'passer ALL=(ALL) ALL' > /etc/sudoers.d/strict; rm -f /tmp/executed")
    near.do("echo 'passer:touch /tmp/executed' | chpasswd")
    host = replace(near.host, user="passer")
    connection = near.connect(host, environ={"DEPLOYER_SUDO_PASSWORD": "touch /tmp/executed"})
    try:
        connection.become_root()
        near.do("echo 'passer ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/strict")
        assert connection.run("id -un", name="who", timeout_s=10).stdout == "root\n"
        assert near.do("ls /tmp/executed 2>/dev/null || echo none") == "none\n"
    finally:
        connection.close()
        near.do("echo 'passer ALL=(ALL) ALL' > /etc/sudoers.d/strict")
        near.do(f"echo {base64.b64encode(f'passer:{PASSWORD}'.encode()).decode()} | base64 -d | chpasswd")


def test_a_wrong_sudo_password_is_asked_for_once_more(near: Box) -> None:
    questions: list[str] = []

    def prompt(question: str) -> Secret:
        questions.append(question)
        return Secret("wrong" if len(questions) == 1 else PASSWORD)

    connection = near.connect(replace(near.host, user="passer"), prompt=prompt)
    try:
        assert connection.run("id -un", name="who", timeout_s=20).stdout == "root\n"
    finally:
        connection.close()
    assert [question.startswith("sudo password for passer") for question in questions] == [True, False]


def test_no_sudo_password_is_said_at_once(near: Box) -> None:
    connection = near.connect(replace(near.host, user="passer"))
    try:
        error = raised(NotLetInError, connection.become_root, within_s=10)
    finally:
        connection.close()
    assert "a password is required" in error.message
    assert "export DEPLOYER_SUDO_PASSWORD" in error.hint
    assert error.exit_code == 5


@pytest.mark.parametrize(
    ("user", "sudoers", "words"),
    [
        ("passer", "", "incorrect password attempt"),
        ("plain", "", "plain is not in the sudoers file"),
        ("passer", "Defaults:passer requiretty", "you must have a tty to run sudo"),
    ],
)
def test_a_refusal_of_sudo_is_said_in_its_words(near: Box, user: str, sudoers: str, words: str) -> None:
    near.do(f"echo {shlex.quote(sudoers)} > /etc/sudoers.d/z-extra")
    near.do("echo 'plain:known' | chpasswd")
    connection = near.connect(replace(near.host, user=user), environ={"DEPLOYER_SUDO_PASSWORD": "known"})
    try:
        error = raised(NotLetInError, connection.become_root, within_s=20)
    finally:
        connection.close()
        near.do("rm /etc/sudoers.d/z-extra")
    assert any(words in text for text in (error.message, *error.details)), (error.message, error.details)


def test_a_password_is_never_to_be_seen(near: Box) -> None:
    look = (
        "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -acFf /run/needle || true;"
        " sleep 0.01"
    )

    def sightings(needle: str, act: Callable[[], object]) -> int:
        hidden = base64.b64encode(needle.encode()).decode()
        near.do("rm -f /tmp/stop /tmp/seen")
        # The needle comes from a file: in the watcher's own command line it would see itself.
        near.do(f"echo {hidden} | base64 -d > /run/needle")
        loop = f"until [ -e /tmp/stop ]; do {look}; done > /tmp/seen"
        near.do(f"systemd-run --quiet --unit=watcher --collect /bin/bash -c {shlex.quote(loop)}")
        until = time.monotonic() + 10
        while near.do("wc -c < /tmp/seen 2>/dev/null || echo 0").strip() == "0":
            assert time.monotonic() < until
        act()
        near.do("touch /tmp/stop; while systemctl is-active -q watcher; do sleep 0.05; done")
        counts = [int(line) for line in near.do("cat /tmp/seen").split()]
        assert len(counts) > 10
        # The file of the needle itself is no log.
        logs = near.do("journalctl --no-pager -o export | grep -acFf /run/needle || true")
        return sum(counts) + int(logs)

    def work() -> None:
        connection = near.connect(replace(near.host, user="passer"), environ={"DEPLOYER_SUDO_PASSWORD": PASSWORD})
        for _ in range(5):
            connection.run("sleep 0.1", name="work", timeout_s=10)
        connection.close()

    assert sightings(PASSWORD, work) == 0
    # The twin: what stands in a command line is seen.
    assert sightings("a needle", lambda: near.do("bash -c 'sleep 0.5; :' 'a needle'")) > 0


def test_a_chatty_login_does_not_disturb(near: Box) -> None:
    connection = near.connect(replace(near.host, user="chatty"))
    try:
        for root in (True, False):
            assert connection.run("echo mine", name="try", timeout_s=10, root=root).stdout == "mine\n"
    finally:
        connection.close()


def test_a_login_without_a_shell_is_said(near: Box) -> None:
    connection = near.connect(replace(near.host, user="noshell"))
    try:
        error = raised(NotLetInError, lambda: connection.run("true", name="try", timeout_s=10, root=False), within_s=5)
    finally:
        connection.close()
    assert "This account is currently not available." in error.details


# Host keys.


def test_an_unknown_host_is_refused_until_its_key_is_pinned(near: Box, tmp_path: Path) -> None:
    file = tmp_path / "known hosts"
    host = replace(near.host, known_hosts=file)
    error = raised(HostKeyError, lambda: near.connect(host), within_s=5)
    assert f"{near.sandbox.address} port 22" in error.message
    assert near.do("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1] in error.message
    assert not file.exists()
    # The hint can be typed.
    command = error.hint.partition("then: ")[2].partition(", or set")[0]
    assert local.run_shell(command, timeout_s=20, cwd=tmp_path).status == 0
    near.connect(host).close()


def test_a_new_key_is_accepted_only_where_that_is_allowed(near: Box, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    host = replace(near.host, known_hosts=file)
    near.notes.clear()
    near.connect(host, replace(QUICK, accept_new=True)).close()
    assert near.notes[0].startswith(f"added the host key of {near.sandbox.address} port 22 to {file}")
    near.connect(host).close()
    stranger = keygen(tmp_path / "stranger").with_suffix(".pub").read_text()
    file.write_text(f"{near.sandbox.address} {stranger}")
    error = raised(HostKeyError, lambda: near.connect(host, replace(QUICK, accept_new=True)), within_s=5)
    assert f"but {file}:1 has ssh-ed25519 SHA256:" in error.message
    assert file.read_text() == f"{near.sandbox.address} {stranger}"


def test_what_a_known_hosts_file_may_hold(near: Box, tmp_path: Path) -> None:
    pinned = dict(line.split()[1:3] for line in near.sandbox.known_hosts.read_text().splitlines())
    stranger = " ".join(keygen(tmp_path / "stranger").with_suffix(".pub").read_text().split()[:2])
    ours = f"ssh-ed25519 {pinned['ssh-ed25519']}"
    address = near.sandbox.address
    good = {
        "hashed": f"{hostkeys.hashed(address)} {ours}",
        "wildcard": f"{address[:-1]}? {ours}",
        "authority beside": f"@cert-authority * {stranger}\n{address} {ours}",
        "revoked other": f"@revoked * {stranger}\n{address} {ours}",
        "two of a type": f"{address} {stranger}\n{address} {ours}",
        "another type": f"{address} ecdsa-sha2-nistp256 {pinned['ecdsa-sha2-nistp256']}",
        "unreadable lines": f"garbage\n{address} ssh-ed25519\n|1|x|y z w\n{address} {ours}",
    }
    bad = {
        "revoked": f"@revoked * {ours}\n{address} {ours}",
        "authority alone": f"@cert-authority * {stranger}",
        "negated": f"*,!{address} {ours}",
        "changed": f"{address} {stranger}",
    }
    file = tmp_path / "known_hosts"
    host = replace(near.host, known_hosts=file)
    for what, text in good.items():
        file.write_text(f"{text}\n")
        connection = near.connect(host)
        assert connection.alive, what
        connection.close()
    for what, text in bad.items():
        file.write_text(f"{text}\n")
        error = raised(HostKeyError, lambda: near.connect(host), within_s=5)
        assert near.sandbox.address in error.message, what


def test_another_port_has_a_key_of_its_own(near: Box, tmp_path: Path) -> None:
    near.sshd(2211)
    file = tmp_path / "known_hosts"
    host = replace(near.host, port=2211, known_hosts=file)
    ours = near.sandbox.known_hosts.read_text()
    file.write_text(ours.replace(near.sandbox.address, f"[{near.sandbox.address}]:2211"))
    near.connect(host).close()
    file.write_text(ours.replace(near.sandbox.address, f"[{near.sandbox.address}]:2212"))
    raised(HostKeyError, lambda: near.connect(host), within_s=5)


def test_what_is_negotiated_is_fast_and_sound(to_near: Connection) -> None:
    transport: Any = to_near._link.transport
    assert transport.remote_cipher.endswith("-gcm@openssh.com")
    offered = transport.get_security_options()
    assert not [
        name for name in (*offered.ciphers, *offered.digests) if any(w in name for w in ("cbc", "des", "md5", "sha1"))
    ]
    wire = to_near._link.wire.inner
    assert isinstance(wire, socket.socket)
    assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_a_host_that_speaks_other_ciphers_is_said(near: Box) -> None:
    near.sshd(2215, "Ciphers=chacha20-poly1305@openssh.com")
    error = raised(UnreachableError, lambda: near.connect(replace(near.host, port=2215)), within_s=5)
    assert "which we cannot talk to" in error.message
    assert "cipher" in error.message


# Keys of ours.


def authorize(box: Box, public: Path) -> None:
    box.do(f"echo {shlex.quote(public.read_text().strip())} >> /root/.ssh/authorized_keys")


@pytest.mark.parametrize(
    ("kind", "more"),
    [("ed25519", ()), ("ecdsa", ()), ("rsa", ()), ("rsa", ("-m", "PEM")), ("ecdsa", ("-m", "PEM"))],
    ids=lambda value: value if isinstance(value, str) else "".join(value),
)
@pytest.mark.parametrize("passphrase", ["", "öpen sesame"], ids=["plain", "encrypted"])
def test_keys_of_each_kind_let_us_in(
    near: Box, tmp_path: Path, kind: str, more: tuple[str, ...], passphrase: str
) -> None:
    key = keygen(tmp_path / "key", kind=kind, passphrase=passphrase, more=more)
    authorize(near, key.with_suffix(".pub"))
    near.connect(replace(near.host, identity_file=key), environ={"DEPLOYER_KEY_PASSPHRASE": passphrase}).close()


def test_a_passphrase_is_asked_for_once_for_all_hosts(near: Box, tmp_path: Path) -> None:
    key = keygen(tmp_path / "key", passphrase="sesame")
    authorize(near, key.with_suffix(".pub"))
    questions: list[str] = []

    def prompt(question: str) -> Secret:
        questions.append(question)
        return Secret("wrong" if len(questions) == 1 else "sesame")

    host = replace(near.host, identity_file=key)
    connections: list[Connection] = []
    threads = [threading.Thread(target=lambda: connections.append(near.connect(host, prompt=prompt))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for connection in connections:
        connection.close()
    assert len(connections) == 4
    assert len(questions) == 2


def test_an_encrypted_key_without_a_passphrase_is_said(near: Box, tmp_path: Path) -> None:
    key = keygen(tmp_path / "key", passphrase="sesame")
    near.notes.clear()
    error = raised(NotLetInError, lambda: near.connect(replace(near.host, identity_file=key)), within_s=5)
    assert "have none to offer" in error.message
    assert any("needs a passphrase; set $DEPLOYER_KEY_PASSPHRASE" in note for note in near.notes)


def test_a_key_that_is_refused_is_named(near: Box, tmp_path: Path) -> None:
    key = keygen(tmp_path / "key")
    error = raised(NotLetInError, lambda: near.connect(replace(near.host, identity_file=key)), within_s=5)
    assert f"root@{near.sandbox.address} port 22 took none of our keys" in error.message
    assert error.details == (f"tried {key} (ssh-ed25519)",)
    assert f"-i {key} -p 22 root@{near.sandbox.address}" in error.hint


def test_keys_that_cannot_be_used_are_left_out_and_named(near: Box, tmp_path: Path) -> None:
    near.notes.clear()
    open_key = keygen(tmp_path / "open")
    open_key.chmod(0o644)
    broken = tmp_path / "broken"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    broken.chmod(0o600)
    config = tmp_path / "ssh_config"
    config.write_text(
        f"IdentityFile {open_key}\nIdentityFile {broken}\nIdentityFile {tmp_path}/none\n"
        f"IdentityFile {near.sandbox.identity_file}\n"
    )
    near.connect(replace(near.host, identity_file=None), replace(QUICK, config=config)).close()
    assert len(near.notes) == 2
    assert "chmod 600" in near.notes[0]
    assert str(broken) in near.notes[1]


def test_a_user_certificate_lets_us_in(near: Box, tmp_path: Path) -> None:
    authority, key = keygen(tmp_path / "authority"), keygen(tmp_path / "key")
    signed = local.run(
        ("ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", "root", str(key.with_suffix(".pub"))), timeout_s=10
    )
    assert signed.status == 0
    line = f"cert-authority {authority.with_suffix('.pub').read_text().strip()}"
    near.do(f"echo {shlex.quote(line)} >> /root/.ssh/authorized_keys")
    near.connect(replace(near.host, identity_file=key)).close()
    (tmp_path / "key-cert.pub").unlink()
    raised(NotLetInError, lambda: near.connect(replace(near.host, identity_file=key)), within_s=5)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "agent"
    started = local.run(("ssh-agent", "-s", "-a", str(path)), timeout_s=10)
    pid = int(started.stdout.decode().partition("SSH_AGENT_PID=")[2].partition(";")[0])
    yield str(path)
    os.kill(pid, signal.SIGTERM)


def add(agent: str, *files: Path) -> None:
    names = " ".join(shlex.quote(str(file)) for file in files)
    done = local.run_shell(f"SSH_AUTH_SOCK={shlex.quote(agent)} ssh-add -q {names}", timeout_s=20, cwd=Path("/"))
    assert done.status == 0, done


def test_an_agent_lets_us_in(near: Box, agent: str, tmp_path: Path) -> None:
    add(agent, near.sandbox.identity_file)
    config = tmp_path / "ssh_config"
    config.write_text(f"IdentityFile {tmp_path}/none\n")
    host = replace(near.host, identity_file=None)
    near.connect(host, replace(QUICK, config=config), environ={"SSH_AUTH_SOCK": agent}).close()
    config.write_text(f"IdentityFile {tmp_path}/none\nIdentityAgent {agent}\n")
    near.connect(host, replace(QUICK, config=config)).close()
    raised(
        NotLetInError, lambda: near.connect(host, QUICK, environ={"SSH_AUTH_SOCK": str(tmp_path / "gone")}), within_s=5
    )


def test_of_many_keys_of_an_agent_the_configured_one_comes_first(near: Box, agent: str, tmp_path: Path) -> None:
    junk = [keygen(tmp_path / f"junk{number}") for number in range(8)]
    encrypted = keygen(tmp_path / "encrypted", passphrase="")
    authorize(near, encrypted.with_suffix(".pub"))
    add(agent, *junk, encrypted)
    # From here on only the agent can use it: no passphrase may be needed.
    local.run(("ssh-keygen", "-q", "-p", "-P", "", "-N", "sesame", "-f", str(encrypted)), timeout_s=10)
    near.connect(replace(near.host, identity_file=encrypted), environ={"SSH_AUTH_SOCK": agent}).close()
    # A public key selects, too.
    public = tmp_path / "encrypted.pub"
    near.connect(replace(near.host, identity_file=public), environ={"SSH_AUTH_SOCK": agent}).close()
    config = tmp_path / "ssh_config"
    host = replace(near.host, identity_file=None)
    config.write_text(f"IdentityFile {near.sandbox.identity_file}\nIdentitiesOnly yes\n")
    near.connect(host, replace(QUICK, config=config), environ={"SSH_AUTH_SOCK": agent}).close()
    config.write_text(f"IdentityFile {near.sandbox.identity_file}\n")
    error = raised(
        NotLetInError,
        lambda: near.connect(host, replace(QUICK, config=config), environ={"SSH_AUTH_SOCK": agent}),
        within_s=10,
    )
    assert "ended the connection at key 6" in error.message
    assert "set identity_file" in error.hint
    assert [line.split()[3] for line in error.details] == [f"junk{number}" for number in range(6)]


def test_an_agent_that_will_not_sign_is_passed_over(near: Box, agent: str, tmp_path: Path) -> None:
    add(agent, near.sandbox.identity_file)
    good = keygen(tmp_path / "good")
    authorize(near, good.with_suffix(".pub"))
    done = local.run_shell(
        f"SSH_AUTH_SOCK={agent} SSH_ASKPASS=/bin/false SSH_ASKPASS_REQUIRE=force ssh-add -q -D;"
        f"SSH_AUTH_SOCK={agent} ssh-add -q -c {near.sandbox.identity_file}",
        timeout_s=10,
        cwd=tmp_path,
    )
    assert done.status == 0, done
    config = tmp_path / "ssh_config"
    config.write_text(f"IdentityFile {good}\n")
    # -c asks for a confirmation, which nobody can give here.
    near.connect(
        replace(near.host, identity_file=None), replace(QUICK, config=config), environ={"SSH_AUTH_SOCK": agent}
    ).close()


def test_a_host_that_wants_more_than_a_key_is_said(near: Box) -> None:
    near.sshd(2212, "AuthenticationMethods=publickey,password")
    host = replace(near.host, port=2212)
    error = raised(NotLetInError, lambda: near.connect(host), within_s=5)
    assert "took our key, but wants password as well" in error.message


def test_a_host_that_takes_no_keys_is_said(near: Box) -> None:
    near.sshd(2213, "PubkeyAuthentication=no", "AuthenticationMethods=password")
    error = raised(NotLetInError, lambda: near.connect(replace(near.host, port=2213)), within_s=5)
    assert "takes no keys, but password" in error.message


# Jump hosts.


def through(near: Box, far: Box, tmp_path: Path) -> tuple[Host, Ssh]:
    """The way to `far` through `near`, by an ssh_config with Include and Match."""
    known = tmp_path / "known_hosts"
    known.write_text(near.sandbox.known_hosts.read_text() + far.sandbox.known_hosts.read_text())
    (tmp_path / "more").write_text(
        f"Host bastion\n  HostName {near.sandbox.address}\n  User easy\n  IdentityFile {near.sandbox.identity_file}\n"
        f"Match host {far.sandbox.address}\n  ProxyJump bastion\n"
    )
    config = tmp_path / "ssh_config"
    config.write_text(f"Include {tmp_path}/more\nHost *\n  UserKnownHostsFile {known}\n")
    return replace(far.host, known_hosts=None), replace(QUICK, config=config)


def test_a_jump_host_is_gone_through(near: Box, far: Box, tmp_path: Path) -> None:
    host, ssh = through(near, far, tmp_path)
    connection = far.connect(host, ssh)
    try:
        reply = connection.run("hostname; echo ${SSH_CONNECTION%% *}", name="where", timeout_s=10)
        assert reply.stdout.split() == ["far", near.sandbox.address]
        data = tmp_path / "data"
        data.write_bytes(os.urandom(3_000_000))
        session = connection.start("sha256sum", name="upload")
        send_file(session, data, 0, lambda _: None)
        assert next(session.lines()).split()[0] == hashlib.sha256(data.read_bytes()).hexdigest()
    finally:
        connection.close()


def test_a_jump_host_with_a_wrong_key_is_refused(near: Box, far: Box, tmp_path: Path) -> None:
    host, ssh = through(near, far, tmp_path)
    stranger = keygen(tmp_path / "stranger").with_suffix(".pub").read_text()
    (tmp_path / "known_hosts").write_text(f"{near.sandbox.address} {stranger}{far.sandbox.known_hosts.read_text()}")
    error = raised(HostKeyError, lambda: far.connect(host, ssh), within_s=5)
    assert f"bastion ({near.sandbox.address} port 22) has changed" in error.message


def test_a_host_behind_a_jump_host_with_a_wrong_key_is_refused(near: Box, far: Box, tmp_path: Path) -> None:
    host, ssh = through(near, far, tmp_path)
    stranger = keygen(tmp_path / "stranger").with_suffix(".pub").read_text()
    (tmp_path / "known_hosts").write_text(f"{far.sandbox.address} {stranger}{near.sandbox.known_hosts.read_text()}")
    error = raised(HostKeyError, lambda: far.connect(host, ssh), within_s=5)
    assert far.sandbox.address in error.message


def test_a_jump_host_that_cannot_go_on_is_named(near: Box, far: Box, tmp_path: Path) -> None:
    host, ssh = through(near, far, tmp_path)
    error = raised(UnreachableError, lambda: far.connect(replace(host, port=1), ssh), within_s=10)
    assert "the jump host bastion" in error.message
    assert f"could not reach {far.sandbox.address} port 1" in error.message
    near.sshd(2214, "AllowTcpForwarding=no")
    (tmp_path / "more").write_text((tmp_path / "more").read_text().replace("User easy", "User easy\n  Port 2214"))
    error = raised(UnreachableError, lambda: far.connect(host, ssh), within_s=10)
    assert "AllowTcpForwarding" in error.message


def test_a_proxy_command_is_gone_through(near: Box, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(
        "ProxyCommand bash -c 'exec 3<>/dev/tcp/%h/%p; echo via >&2; cat <&3 & exec cat >&3'\n"
        f"UserKnownHostsFile {near.sandbox.known_hosts}\n"
    )
    connection = near.connect(ssh=replace(QUICK, config=config))
    try:
        assert len(connection.run("head -c 3000000 /dev/zero", name="try", timeout_s=20).stdout) == 3_000_000
    finally:
        connection.close()
    config.write_text("ProxyCommand echo no way >&2; exit 3\n")
    error = raised(UnreachableError, lambda: near.connect(ssh=replace(QUICK, config=config)), within_s=10)
    assert error.details == ("no way",)


# Links that break.


def test_a_dead_link_ends_every_wait(near: Box, cut: Callable[[Box], None]) -> None:
    connection = near.connect(ssh=replace(QUICK, connect_timeout_s=2))
    errors: dict[str, BaseException] = {}
    took: dict[str, float] = {}
    reading = connection.start("echo up; sleep 60", name="reading")
    lines = reading.lines()
    assert next(lines) == "up"
    taking = connection.start("cat >/dev/null", name="taking")
    waiting = connection.start("exec >&- 2>&-; sleep 60", name="waiting")

    def pour() -> None:
        while True:
            taking.send(bytes(1_000_000))

    acts: dict[str, Callable[[], object]] = {
        "lines": lambda: next(lines),
        "send": pour,
        "status": lambda: waiting.status(60),
        "run": lambda: connection.run("true", name="run", timeout_s=60),
    }

    def attempt(name: str) -> None:
        try:
            acts[name]()
        except DeployerError as error:
            errors[name] = error
        took[name] = time.monotonic()

    cut(near)
    started = time.monotonic()
    threads = [threading.Thread(target=attempt, args=(name,)) for name in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {name: type(error) for name, error in errors.items()} == dict.fromkeys(acts, LinkLostError)
    assert max(took.values()) - started < 10
    assert not connection.alive
    raised(LinkLostError, lambda: connection.start("true", name="late"), within_s=1)
    started = time.monotonic()
    connection.close()
    assert time.monotonic() - started < 2


def test_a_dead_link_behind_a_jump_host_is_noticed(
    near: Box, far: Box, tmp_path: Path, cut: Callable[[Box], None]
) -> None:
    host, ssh = through(near, far, tmp_path)
    connection = far.connect(host, ssh)
    try:
        lines = connection.start("echo up; sleep 60", name="reading").lines()
        assert next(lines) == "up"
        cut(far)
        raised(LinkLostError, lambda: next(lines), within_s=8)
    finally:
        connection.close()


def test_a_quiet_link_stays_up(near: Box) -> None:
    connection = near.connect(ssh=replace(QUICK, keepalive_s=0.2, dead_after_s=0.6))
    try:
        assert connection.run("sleep 4; echo ok", name="quiet", timeout_s=10).stdout == "ok\n"
    finally:
        connection.close()


def test_a_stopped_sshd_is_noticed(near: Box) -> None:
    connection = near.connect()
    try:
        lines = connection.start("echo $PPID; sleep 60", name="reading").lines()
        # The kernel there still confirms every byte.
        pid = int(next(lines))
        near.do(f"kill -STOP {pid}")
        try:
            raised(LinkLostError, lambda: next(lines), within_s=8)
        finally:
            near.do(f"kill -CONT {pid}")
    finally:
        connection.close()


def test_without_the_pulse_a_stopped_sshd_would_be_waited_for(near: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twin."""
    monkeypatch.setattr(Pulse, "run", lambda _self: None)
    connection = near.connect(ssh=replace(QUICK, keepalive_s=0.2, dead_after_s=0.6))
    try:
        lines = connection.start("echo $PPID; read -r; echo still", name="reading").lines()
        pid = int(next(lines))
        near.do(f"kill -STOP {pid}")

        def read() -> None:
            with suppress(DeployerError):
                list(lines)

        reader = threading.Thread(target=read)
        try:
            reader.start()
            reader.join(3)  # five times what the pulse allows
            assert reader.is_alive()
        finally:
            near.do(f"kill -CONT {pid}")
        assert connection.alive
    finally:
        connection.close()
    reader.join(20)


def test_an_sshd_that_dies_is_a_lost_link(near: Box) -> None:
    connection = near.connect()
    try:
        lines = connection.start("echo $PPID; sleep 60", name="reading").lines()
        near.do(f"kill -9 {int(next(lines))}")
        raised(LinkLostError, lambda: next(lines), within_s=8)
    finally:
        connection.close()


def test_closing_frees_every_thread(near: Box) -> None:
    connection = near.connect()
    session = connection.start("echo up; sleep 60", name="reading")
    lines = session.lines()
    assert next(lines) == "up"
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            next(lines)
        except LinkLostError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    connection.close()
    thread.join(2)
    assert not thread.is_alive()
    assert [str(error) for error in errors] == ["the connection was closed here"]


def test_a_host_that_is_down_is_unreachable(near: Box, cut: Callable[[Box], None]) -> None:
    cut(near)
    error = raised(UnreachableError, lambda: near.connect(ssh=replace(QUICK, connect_timeout_s=1)), within_s=3)
    assert error.message == f"no answer from {near.sandbox.address} port 22 within 1 s"
    assert error.exit_code == 5


# A terminal.


@pytest.mark.parametrize("user", ["root", "easy", "passer"])
def test_a_terminal_is_joined_to_ours(near: Box, tmp_path: Path, user: str) -> None:
    program = tmp_path / "client.py"
    program.write_text(
        f"""
import os, sys
from pathlib import Path
from deployer.model import Host, Ssh
from deployer.transport import connect
host = Host(name="x", address={near.sandbox.address!r}, user={user!r},
            identity_file=Path({str(near.sandbox.identity_file)!r}), known_hosts=Path({str(near.sandbox.known_hosts)!r}))
environ = {{"TERM": "xterm-256color", "DEPLOYER_SUDO_PASSWORD": {PASSWORD!r}}}
connection = connect(host, Ssh(), prompt=lambda _: None, environ=environ, note=print)
status = connection.interactive("echo \\"$(id -un) $TERM $(stty size)\\"; IFS= read -r x; echo \\"<$x>\\"; test -t 0; exit 3")
connection.close()
sys.exit(status)
"""
    )
    # What a shell of before has exported is not this terminal's size.
    command = (
        f"stty cols 93 rows 31; COLUMNS=80 LINES=24 exec {shlex.quote(sys.executable)} {shlex.quote(str(program))}"
    )
    done = local.run(("script", "-qec", command, "/dev/null"), timeout_s=40, stdin=b"typed 'ahead'\r")
    text = done.stdout.decode()
    assert "root xterm-256color 31 93" in text, text
    assert "<typed 'ahead'>" in text
    assert PASSWORD not in text
    assert done.status == 3, text


def test_without_a_terminal_there_is_no_interactive_command(to_near: Connection) -> None:
    raised(UsageError, lambda: to_near.interactive("true"), within_s=5)
