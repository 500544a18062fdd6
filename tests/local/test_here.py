"""init and sandbox as a program runs them: what is named is meant or refused, and JSON is all that a program reads."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployer.sandbox.processes import current
from deployer.sandbox.state import State

ROOT = Path(__file__).parents[2]
SSH = """#!/bin/sh
[ "$1" != -G ] || exec /usr/bin/ssh "$@"
for last; do :; done
echo "asked for $last"
echo "and an error" >&2
exit 7
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A directory with a sandbox of made-up hosts, and an `ssh` that goes nowhere and only reads its configuration."""

    directory: Path
    state: State

    def add(self, name: str, *, number: int, running: bool) -> None:
        self.state.host_directory(name).mkdir(parents=True)
        self.state.record(name, number=number, address=f"127.0.0.{number}", suite="bookworm", rootfs=Path("/nowhere"))
        if running:
            # We are its supervisor, as far as a record tells.
            (self.state.host_directory(name) / "supervisor").write_text(current().record)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {
            **os.environ,
            "DEPLOYER_SANDBOX": str(self.state.directory),
            "PATH": f"{self.directory}:{os.defpath}",
        }
        return subprocess.run(
            (sys.executable, "-m", "deployer", *words),
            cwd=self.directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def failure(self, *words: str, status: int = 2) -> dict[str, Any]:
        """Return the one failure of a run that is refused."""
        done = self.run(*words, "--output", "json")
        (event,) = [
            event for event in map(json.loads, done.stdout.splitlines()) if not event["type"].startswith("phase_")
        ]
        assert (done.returncode, done.stderr, event["type"]) == (status, "", "failure"), event
        return dict(event)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    found = Place(directory=tmp_path, state=State(tmp_path / "lab"))
    found.add("sandbox1", number=11, running=True)
    found.add("web1", number=12, running=False)
    yield found
    # Nothing may have taken one of them for its own.
    assert found.state.names() == ("sandbox1", "web1")


@pytest.mark.parametrize("named", [(), ("--name", "sandbox1"), ("--host", "sandbox1")], ids=" ".join)
def test_a_command_over_ssh_is_told_in_events_with_its_status(place: Place, named: tuple[str, ...]) -> None:
    done = place.run("sandbox", "ssh", *named, "--command", "uptime; id", "--output", "json")
    assert (done.returncode, done.stderr) == (7, "")
    lines = ["asked for uptime; id", "and an error"]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"type": "command", "host": "sandbox1", "command": "uptime; id", "text": text} for text in lines
    ]


def test_without_json_the_command_has_our_streams(place: Place) -> None:
    done = place.run("sandbox", "ssh", "--command", "uptime")
    assert (done.returncode, done.stdout, done.stderr) == (7, "asked for uptime\n", "and an error\n")


def test_a_shell_is_nothing_for_a_program(place: Place) -> None:
    assert "a shell is nothing for --output json" in place.failure("sandbox", "ssh")["message"]


@pytest.mark.parametrize("action", ["ssh", "reboot", "powercut"])
@pytest.mark.parametrize("option", ["--name", "--host"])
def test_a_host_that_is_off_is_told_with_what_boots_it(place: Place, action: str, option: str) -> None:
    event = place.failure("sandbox", action, option, "web1")
    assert event["message"] == "the sandbox host web1 is off"
    assert event["hint"] == "deployer sandbox boot --name web1"


@pytest.mark.parametrize("action", ["ssh", "reboot", "powercut", "boot", "down"])
@pytest.mark.parametrize("name", ["web9", "../web1"])
def test_a_host_that_is_not_there_is_refused(place: Place, action: str, name: str) -> None:
    event = place.failure("sandbox", action, "--host", name)
    if action == "down" or name == "web9":
        assert event["message"].startswith(f"there is no sandbox host '{name}' (there: sandbox1, web1)")
    else:
        assert event["message"].startswith(f"'{name}' cannot name a sandbox host")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "--host", "No_Name"), "'No_Name' cannot name a sandbox host"),
        (("down", "--host", "sandbox1,web1"), "sandbox down works on one host, and 2 are named: sandbox1, web1"),
        (("powercut", "--name", "web1", "--host", "sandbox1"), "sandbox powercut works on one host, and 2 are named"),
        (("list", "--host", "web1"), "sandbox list shows every sandbox host"),
        (("reboot", "--suite", "trixie"), "--suite is of a new host"),
        (("down", "--command", "true"), "sandbox down runs no command"),
        (("rebot",), 'sandbox rebot is not known (did you mean "reboot"?)'),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_is_of_no_use_to_an_action_is_refused(place: Place, words: tuple[str, ...], said: str) -> None:
    assert place.failure("sandbox", *words)["message"].startswith(said)


@pytest.mark.parametrize("by", ["option", "variable"])
def test_init_writes_the_config_that_is_named(place: Place, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    if by == "variable":
        monkeypatch.setenv("DEPLOYER_CONFIG", "ops/a b.toml")
    named = ("--config", "ops/a b.toml") if by == "option" else ()
    done = place.run("init", "--name", "shop", "--output", "json", *named)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, events[0]["text"]) == (0, "Wrote ops/a b.toml.")
    assert (events[-1]["text"], events[-1]["hint"]) == ("edit ops/a b.toml", "deployer check --config 'ops/a b.toml'")
    assert (place.directory / "ops/a b.toml").exists()
    assert not (place.directory / "config").exists()


def test_init_has_no_use_for_a_host(place: Place) -> None:
    assert "asks no host" in place.failure("init", "--host", "web1")["message"]
    assert not (place.directory / "config").exists()


def test_a_config_without_hosts_names_the_ones_of_the_sandbox(place: Place) -> None:
    (place.directory / "config").mkdir()
    config = place.directory / "config/deploy.toml"
    config.write_text('[app]\nname = "shop"\nuser = "shop"\n[service]\nexec_start = "bin/server"\n')
    failure = place.failure("status")
    assert "no host was named" in failure["message"]
    assert failure["hint"] == "name one with --host; known hosts: sandbox1"


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    for words in ("init", "status --config deploy.toml"):
        line = f"cd {gone} && rmdir {gone}; {shlex.quote(sys.executable)} -m deployer {words}; status=$?; mkdir -p {gone}; exit $status"
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ("bash", "-c", line), env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "the working directory is no longer there" in done.stderr
        assert "next: cd into one that is, then the same" in done.stderr


def test_a_host_of_the_config_that_is_a_sandbox_host_and_off_is_told_so(place: Place) -> None:
    config = 'app = { name = "shop", user = "app" }\nservice = { exec_start = "x" }\n'
    table = '[hosts.mine]\naddress = "127.0.0.12"\nport = 1\nuser = "root"\n'
    (place.directory / "deploy.toml").write_text(f"{config}{table}")
    event = place.failure("ping", "--config", "deploy.toml", status=5)
    assert (event["host"], event["hint"]) == (
        "mine",
        "it is the sandbox host web1, which is off: deployer sandbox boot --name web1",
    )
