"""Readers, terminals and tarballs that go away while a host is worked on, and a service that is being activated."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deployer.sandbox import SandboxHost
from tests.host.project import Done, OnHost, Project
from tests.host.striking import Client, wait_for
from tests.terminals import Terminal


def piped(project: Project, line: str) -> tuple[int, str, str]:
    """Run a shell line in which `deployer` is the program."""
    words = shlex.join((sys.executable, "-m", "deployer"))
    text = f"set -o pipefail; {line.replace('deployer', words)}"
    argv = ("bash", "-c", text)
    done = subprocess.run(
        argv, cwd=project.directory, env=project.environ(None), capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def plain(project: Project, *words: str) -> tuple[str, ...]:
    return tuple(word for word in project.argv(*words) if word not in ("--output", "json"))


@pytest.mark.parametrize("output", ["plain", "json"])
def test_a_command_that_nobody_reads_ends_here_and_there(serving: OnHost, output: str) -> None:
    status, out, _ = piped(serving.project, f"deployer run yes --output {output} | head -n 1")
    assert (status, len(out.splitlines())) == (141, 1)
    wait_for(lambda: serving.sh("pgrep -x yes || true") == "")


def test_a_log_that_nobody_reads_ends(serving: OnHost) -> None:
    serving.sh("for n in {1..400}; do curl -s localhost:4000 >/dev/null 2>&1 || true; done; systemctl restart shop")
    status, out, err = piped(serving.project, "deployer logs --lines 2000 | head -n 1")
    assert (len(out.splitlines()), err) == (1, "")
    assert status in (0, 141)  # all of a short log is in the pipe before anybody has gone


def test_a_restart_during_an_activation_is_refused_before_it_shows_anything(project: Project, serving: OnHost) -> None:
    project.health = project.health.replace('settle = "1s"', 'settle = "5s"')
    project.write()
    with Client(project, "deploy", "--artifact", str(project.tarball("1.1.0"))) as client:
        client.reaches("phase_started", phase="health")
        begun = time.monotonic()
        done = project.run("restart")
        assert time.monotonic() - begun < 4
        assert (done.status, done.of("journal")) == (4, []), done.text
        (failure,) = done.of("failure")
        assert "an activation of shop is under way, started by tester" in failure["message"]
        assert failure["hint"] == f"follow it with: {project.typed('attach', serving.host.name)}"
        assert client.ended().status == 0
    assert serving.is_consistent()


def test_a_tarball_that_vanishes_before_the_upload_is_told_of(project: Project, serving: OnHost) -> None:
    tarball = project.tarball("1.9.0", files={"data": os.urandom(1000)})
    way, ssh_config = project.directory / "way", project.directory / "ssh_config"
    # It goes when the host is being connected to: after it was judged here.
    way.write_text(f"#!/bin/bash\nrm -f {tarball}\nexec 3<>/dev/tcp/$1/$2; cat <&3 & cat >&3\n")
    way.chmod(0o755)
    ssh_config.write_text(f"Host *\n  ProxyCommand {way} %h %p\n")
    project.config.write_text(project.config.read_text().replace("[ssh]", f'[ssh]\nconfig = "{ssh_config}"', 1))
    before = serving.current
    done = project.run("deploy", "--artifact", str(tarball))
    assert (done.status, done.verdicts) == (2, {serving.host.name: "failed"}), done.text
    assert "can no longer be read" in done.of("failure")[0]["message"]
    assert "Traceback" not in done.text
    assert serving.current == before


def test_a_terminal_that_is_closed_during_a_deploy_leaves_an_activation_that_ends_by_itself(
    project: Project, serving: OnHost
) -> None:
    project.health = project.health.replace('settle = "1s"', 'settle = "4s"')
    project.write()
    words = plain(project, "deploy", "--artifact", str(project.tarball("2.0.0")))
    with Terminal(words, cwd=project.directory, environ=project.environ(None)) as terminal:
        terminal.expect(b"on trial")
        terminal.hang_up()
        assert terminal.ended() == 130
    wait_for(lambda: serving.version == "2.0.0" and serving.is_settled())
    assert serving.is_consistent()


INTERACTIVE = """
import os, sys
from pathlib import Path
from deployer.errors import DeployerError
from deployer.model import Host, Ssh
from deployer.transport import connect
host = Host(name="x", address={address!r}, user="root", identity_file=Path({key!r}), known_hosts=Path({known!r}))
connection = connect(host, Ssh(), prompt=lambda _: None, environ={{}}, note=print)
try:
    sys.exit(connection.interactive({command!r}))
except DeployerError as error:
    Path({said!r}).write_text(type(error).__name__)
    sys.exit(error.exit_code)
"""


def interactive(host: SandboxHost, command: str, said: Path) -> tuple[str, ...]:
    text = INTERACTIVE.format(
        address=host.address,
        key=str(host.identity_file),
        known=str(host.known_hosts),
        command=command,
        said=str(said),
    )
    return (sys.executable, "-c", text)


def test_the_window_of_a_console_follows_ours(serving: OnHost, tmp_path: Path) -> None:
    command = "trap 'stty size' WINCH; stty size; while read -r -t 60 line || [ $? -gt 128 ]; do [ \"$line\" = q ] && exit 7; done"
    with Terminal(interactive(serving.host, command, tmp_path / "said"), size=(24, 100)) as terminal:
        at = terminal.expect(b"24 100")
        terminal.resize(33, 77)
        # bash runs its trap once the read is over.
        terminal.type(b"x\n")
        terminal.expect(b"33 77", after=at)
        terminal.type(b"q\n")
        assert terminal.ended() == 7


def test_a_console_whose_terminal_goes_ends_without_a_traceback(serving: OnHost, tmp_path: Path) -> None:
    said = tmp_path / "said"
    # Without the signal of the closed window, so that what is met is the terminal itself.
    argv = ("sh", "-c", "trap '' HUP; exec \"$@\"", "-", *interactive(serving.host, "echo here; sleep 60", said))
    with Terminal(argv) as terminal:
        terminal.expect(b"here")
        terminal.hang_up()
        assert terminal.ended() == 130
    assert said.read_text() == "InterruptedByUserError"


WORDS = {
    "console": ((), 2),
    "lock": (("--reason", "a test"), 0),
    "migrate": ((), 2),
    "pin": (("@RELEASE@",), 0),
    "ping": ((), 2),
    "rollback": (("--plan",), None),
    "run": (("true",), 0),
    "sandbox": (("list",), 0),
    "version": ((), 2),
    "build": ((), 2),
}
WITHOUT_HOST = ("init", "sandbox", "build", "fetch", "inspect", "unit")


def tasks() -> list[str]:
    from deployer.tasks import namespace

    # `stop` before `start`, and what a lock would stop before it.
    return sorted(namespace.tasks, key=lambda name: (name == "start", name == "unlock", name == "lock", name))


@pytest.mark.parametrize("name", tasks())
def test_json_is_all_there_is_of_every_task(project: Project, serving: OnHost, name: str) -> None:
    words, status = WORDS.get(name, ((), 0))
    if name in ("deploy", "plan", "fetch", "inspect", "unit"):
        words = ("--artifact", str(project.tarball("2.0.0")))
    words = tuple(word.replace("@RELEASE@", serving.current) for word in words)
    hosts = () if name in WITHOUT_HOST else ("--host", serving.host.name)
    if name == "init":
        done = project_init(project)
    else:
        done = project.run(name, *words, *hosts, environ={"DEPLOYER_SANDBOX": str(project.directory / "lab")})
    assert done.stderr == ""
    for line in done.stdout.splitlines():
        assert re.fullmatch(r"[a-z_]+", json.loads(line)["type"]), line
    assert status is None or done.status == status, done.text


def project_init(project: Project) -> Done:
    place = project.directory / "new"
    place.mkdir()
    argv = (sys.executable, "-m", "deployer", "init", "--output", "json")
    environ = {**project.environ(None), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, cwd=place, env=environ, capture_output=True, text=True, check=False, timeout=60)
    return Done(status=done.returncode, stdout=done.stdout, stderr=done.stderr)
