"""A real Elixir release, built here by mix, on a real host: the main job, from one command."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from deployer.sandbox import Lab, SandboxHost, host_entry
from tests.host.project import OnHost, Project

EXAMPLE = Path(__file__).parents[2] / "examples/hello_mix"


@pytest.fixture(scope="module")
def release_of(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The example as a user's project, in a directory with a space in its name; its config builds it."""
    directory = tmp_path_factory.mktemp("hello mix")
    shutil.copytree(EXAMPLE, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_build"))
    return Project(directory=directory, hosts=(), name="hello_mix")


@pytest.fixture(scope="module")
def hello(lab: Lab, host: SandboxHost, release_of: Project) -> OnHost:
    """The example's project with the module's host in its config, prepared by `setup`."""
    release_of.hosts = (host,)
    release_of.config.write_text(f"{release_of.config.read_text()}\n{host_entry(host)}")
    assert release_of.run("setup", "--host", host.name).status == 0
    return OnHost(lab=lab, host=host, project=release_of)


def deploy(hello: OnHost, version: str, brk: str = "") -> dict[str, str]:
    config = hello.project.config
    text = config.read_text()
    broken = f', HELLO_BREAK = "{brk}" }}' if brk else " }"
    config.write_text(text.replace('GREETING = "Hello, world" }', f'GREETING = "Hello, world"{broken}'))
    try:
        done = hello.project.run("deploy", "--host", hello.host.name, environ={"HELLO_VSN": version})
    finally:
        config.write_text(text)
    (row,) = done.summary["hosts"]
    return {"status": str(done.status), "said": done.text, **row}


def answers(hello: OnHost) -> str:
    script = 'exec 3<>/dev/tcp/127.0.0.1/4000; printf "GET /health HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'
    return hello.sh(f"timeout 3 bash -c '{script}' | tail -n 1 || true")


def epmd(hello: OnHost) -> list[str]:
    """The release of each port mapper that runs: a daemon which the VM leaves behind when it ends."""
    said = hello.sh("for pid in $(pgrep -x epmd); do readlink /proc/$pid/exe; done")
    return [path.removeprefix("/opt/hello_mix/releases/").partition("/")[0] for path in said.splitlines()]


def test_a_mix_release_is_built_deployed_broken_and_rolled_back(hello: OnHost) -> None:
    first = deploy(hello, "1.0.0")
    assert first["verdict"] == "changed", first["said"]
    assert answers(hello) == "ok 1.0.0"
    assert "migrated" in first["said"]
    assert "listening on port 4000" in first["said"], "its journal is on the screen"

    assert deploy(hello, "1.1.0")["verdict"] == "changed"
    assert answers(hello) == "ok 1.1.0"
    assert epmd(hello) == [hello.current]

    # A real VM takes some seconds to die of a start that fails.
    broken = deploy(hello, "1.2.0", "boot")
    assert (broken["status"], broken["verdict"]) == ("1", "rolled-back")
    assert answers(hello) == "ok 1.1.0"

    back = hello.project.run("rollback", "--host", hello.host.name)
    assert back.status == 0, back.text
    assert answers(hello) == "ok 1.0.0"
    assert epmd(hello) == [hello.current]
    assert hello.is_settled()
    assert hello.is_consistent()


def test_the_service_runs_in_its_sandbox_with_nothing_written_to_its_release(hello: OnHost) -> None:
    pid = hello.unit("MainPID")
    status = hello.sh(f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert "CapEff:\t0000000000000000" in status
    release = f"/opt/hello_mix/releases/{hello.current}"
    assert hello.sh(f"find {release} ! -user root -o -perm /022 ! -type l") == ""
    as_staged = f"gzip -dc {release}/.deployer/files.gz | sed 's/ [0-9]* /  /' | (cd {release} && sha256sum -c --quiet)"
    assert hello.sh(as_staged) == ""
    environment = hello.sh(f"tr '\\0' '\\n' < /proc/{pid}/environ")
    for line in ("HOME=/var/lib/hello_mix", "LANG=C.UTF-8", "RELEASE_TMP=/run/hello_mix", "GREETING=Hello, world"):
        assert line in environment.splitlines()


def test_version_and_ping_answer(hello: OnHost) -> None:
    for task, answer in (("version", "hello_mix 1.0.0"), ("ping", "pong")):
        done = hello.project.run(task, "--host", hello.host.name)
        assert done.status == 0, done.text
        assert [line["text"] for line in done.of("command")] == [answer]


def test_the_console_is_a_real_terminal(hello: OnHost) -> None:
    words = hello.project.argv("console", "--host", hello.host.name)
    argv = tuple(word for word in words if word not in ("--output", "json"))
    ours, theirs = pty.openpty()
    environ = {**hello.project.environ(None), "TERM": "xterm"}
    client = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    try:
        _expect(ours, b"iex(")
        os.write(ours, b"6 * 7000\r")
        _expect(ours, b"42000")
        os.write(ours, b"\x03")
        _expect(ours, b"(a)bort")
        os.write(ours, b"a\r")
        assert client.wait(timeout=30) == 0
    finally:
        client.kill()
        client.wait()
        os.close(ours)
    assert answers(hello) == "ok 1.0.0"


def test_a_console_without_a_terminal_says_what_to_use(hello: OnHost) -> None:
    done = hello.project.run("console", "--host", hello.host.name)
    assert done.status == 2
    assert done.of("failure")[0]["message"] == "a console needs a terminal"


def _expect(terminal: int, wanted: bytes, *, deadline_s: float = 30) -> None:
    seen, until = b"", time.monotonic() + deadline_s
    while wanted not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, until - time.monotonic()))
        assert ready, f"{wanted!r} did not come; there was {seen[-500:]!r}"
        seen += os.read(terminal, 4096)
