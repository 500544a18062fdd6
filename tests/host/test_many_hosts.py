"""Several hosts at once: the first is tried alone, a failed wave stops the rest, and each host's state is told."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.sandbox import Lab
from tests.host.conftest import MakeHost
from tests.host.project import SERVER, Done, OnHost, Project
from tests.host.striking import Client, wait_for

# Bad on those hosts alone that have a file /etc/broken.
PICKY = SERVER.replace("die ", "die qq(broken here\\n) if -e '/etc/broken'; die ", 1)
MIGRATION = "#!/bin/sh\necho migration runs\n"


class Fleet:
    """Three hosts, looked at from inside, and a project that deploys to them."""

    def __init__(self, project: Project, hosts: tuple[OnHost, ...]) -> None:
        self.project, self.hosts = project, hosts

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.host.name for each in self.hosts)

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(each.version for each in self.hosts)

    def break_on(self, *numbers: int) -> None:
        for number, each in enumerate(self.hosts):
            each.sh("touch /etc/broken" if number in numbers else "rm -f /etc/broken")

    def deploy(self, version: str, *words: str) -> Done:
        """Deploy a version to the default hosts unless some are named; from 2 on it is bad where `break_on` says so."""
        return self.project.run("deploy", "--artifact", str(self.tarball(version)), *words)

    def tarball(self, version: str) -> Path:
        server = SERVER if version.startswith("1.") else PICKY
        server = server.replace("@BREAK@", "").replace("@VERSION@", version)
        return self.project.tarball(version, files={"bin/server": server.encode(), "bin/migrate": MIGRATION.encode()})


@pytest.fixture(scope="module")
def three(lab: Lab, make_host: MakeHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    hosts = tuple(make_host() for _ in range(3))
    one, two, last = (each.name for each in hosts)
    project = Project(
        directory=tmp_path_factory.mktemp("three"),
        hosts=hosts,
        more='[deploy]\ndefault = "all"',
        host_lines={one: 'groups = ["all", "web"]', two: 'groups = ["all", "web"]', last: 'groups = ["all"]'},
    ).write()
    yield Fleet(project, tuple(OnHost(lab=lab, host=each, project=project) for each in hosts))
    for each in hosts:
        lab.down(each.name)


@pytest.fixture
def fleet(three: Fleet) -> Iterator[Fleet]:
    """The same three, sound, on version 1.0.0."""
    three.break_on()
    done = three.deploy("1.0.0", "--parallel", "2")
    assert done.status == 0, done.text
    yield three
    three.break_on()
    for each in three.hosts:
        assert each.is_settled()
        assert each.is_consistent()


def order_of(done: Done, phase: str) -> list[str]:
    """The hosts in the order in which they entered a phase."""
    return [event["host"] for event in done.of("phase_started") if event["phase"] == phase]


def test_all_hosts_change_one_after_the_other_and_the_migration_runs_once(fleet: Fleet) -> None:
    fleet.project.service = 'exec_start = "bin/server"\nmigrate = ["bin/migrate"]'
    fleet.project.write()
    done = fleet.deploy("2.0.0")
    fleet.project.service = 'exec_start = "bin/server"'
    fleet.project.write()
    assert done.status == 0, done.text
    assert fleet.versions == ("2.0.0",) * 3
    assert done.verdicts == dict.fromkeys(fleet.names, "changed")
    rows = done.summary["hosts"]
    assert [row["host"] for row in rows] == list(fleet.names)
    assert all(row["release"].startswith("2.0.0-") and row["before"].startswith("1.0.0-") for row in rows)
    assert tuple(order_of(done, "start")) == fleet.names
    assert order_of(done, "migrate") == [fleet.names[0]]
    ran = [each.sh("journalctl -o cat --no-pager --since -1min") for each in fleet.hosts]
    assert [text.count("migration runs") for text in ran] == [1, 0, 0]
    ends = [event for event in done.of("phase_ended") if event["phase"] == "commit"]
    assert [event["host"] for event in ends] == list(fleet.names)


def test_a_bad_canary_keeps_the_others_from_being_started(fleet: Fleet) -> None:
    fleet.break_on(0)
    done = fleet.deploy("2.1.0")
    one, two, last = fleet.names
    assert done.status == 1
    assert done.verdicts == {one: "rolled-back", two: "skipped", last: "skipped"}
    assert fleet.versions == ("1.0.0",) * 3
    assert order_of(done, "start") == [one]
    assert all(row["release"].startswith("1.0.0-") for row in done.summary["hosts"])
    (failure,) = done.of("failure")
    assert failure["host"] == one
    assert any("broken here" in line for line in failure["evidence"])
    assert [row["text"] for row in done.summary["hosts"]][1:] == ["not started: a host before it failed"] * 2


def test_a_failure_in_the_second_wave_stops_the_rest(fleet: Fleet) -> None:
    fleet.break_on(1)
    done = fleet.deploy("2.2.0")
    one, two, last = fleet.names
    assert done.status == 1
    assert done.verdicts == {one: "changed", two: "rolled-back", last: "skipped"}
    assert fleet.versions == ("2.2.0", "1.0.0", "1.0.0")
    stands = {row["host"]: row["release"].partition("-")[0] for row in done.summary["hosts"]}
    assert stands == {one: "2.2.0", two: "1.0.0", last: "1.0.0"}
    again = fleet.deploy("2.2.0", "--host", one)
    assert (again.status, again.verdicts) == (0, {one: "unchanged"})


def test_two_at_a_time_after_the_first(fleet: Fleet) -> None:
    fleet.break_on(2)
    done = fleet.deploy("2.3.0", "--parallel", "2")
    one, two, last = fleet.names
    assert done.status == 1
    assert done.verdicts == {one: "changed", two: "changed", last: "rolled-back"}
    assert fleet.versions == ("2.3.0", "2.3.0", "1.0.0")
    kinds = [
        (event["type"], event["host"])
        for event in done.events
        if event["type"] in ("phase_started", "phase_ended") and event["phase"] == "health"
    ]
    first_end = kinds.index(("phase_ended", one))
    assert all(host == one for _, host in kinds[: first_end + 1])
    # The two of the wave overlap: both have started before either has ended.
    assert {host for _, host in kinds[first_end + 1 : first_end + 3]} == {two, last}


def test_an_interrupt_in_the_second_wave_tells_the_truth_of_each_host(fleet: Fleet) -> None:
    one, two, last = fleet.names
    with Client(fleet.project, "deploy", "--artifact", str(fleet.tarball("2.9.0"))) as client:
        client.reaches("phase_started", host=two, phase="start")
        client.strike(signal.SIGINT)
        done = client.ended()
    assert done.status == 130
    assert done.verdicts == {one: "changed", two: "unknown", last: "skipped"}
    wait_for(lambda: fleet.versions == ("2.9.0", "2.9.0", "1.0.0"))
    wait_for(fleet.hosts[1].is_settled)


def test_a_host_that_cannot_be_reached_keeps_all_others_as_they_are(lab: Lab, fleet: Fleet) -> None:
    one, two, last = fleet.names
    lab.cut_link(last)
    try:
        done = fleet.deploy("2.4.0")
    finally:
        lab.restore_link(last)
    assert done.status == 5
    assert done.verdicts == {one: "skipped", two: "skipped", last: "failed"}
    assert fleet.versions == ("1.0.0",) * 3
    assert order_of(done, "start") == []
    texts = {row["host"]: row["text"] for row in done.summary["hosts"]}
    assert texts[one] == "nothing was switched: another host could not be prepared"
    (hint,) = {row["hint"] for row in done.summary["hosts"] if row["verdict"] == "skipped"}
    assert hint == f"to go on without {last}: the same command with --host {one},{two}"
    # What was staged waits for the next time.
    again = fleet.deploy("2.4.0")
    assert again.status == 0, again.text
    assert order_of(again, "upload") == [last]


def test_a_lock_on_one_host_is_told_by_its_own_exit_status(fleet: Fleet) -> None:
    one, two, last = fleet.names
    assert fleet.project.run("lock", "--reason", "the sale is on", "--host", two).status == 0
    done = fleet.deploy("2.5.0")
    assert fleet.project.run("unlock", "--host", two).status == 0
    assert done.status == 4
    assert done.verdicts == {one: "skipped", two: "failed", last: "skipped"}
    assert fleet.versions == ("1.0.0",) * 3


def test_the_worst_of_several_failures_is_the_exit_status(lab: Lab, fleet: Fleet) -> None:
    _, two, last = fleet.names
    assert fleet.project.run("lock", "--reason", "the sale is on", "--host", two).status == 0
    lab.cut_link(last)
    try:
        done = fleet.deploy("2.6.0")
    finally:
        lab.restore_link(last)
        assert fleet.project.run("unlock", "--host", two).status == 0
    assert done.status == 5
    assert {failure["host"]: failure["exit_code"] for failure in done.of("failure")} == {two: 4, last: 5}


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (("--host", "web"), (0, 1)),
        (("--host", "{last}"), (2,)),
        (("--host", "*{last_letter}"), (2,)),
        (("--host", "{last}", "--host", "{first}"), (0, 2)),
        (("--host", "{first},{last}"), (0, 2)),
        ((), (0, 1, 2)),
    ],
    ids=["group", "name", "glob", "two names", "a list", "default"],
)
def test_hosts_are_meant_by_name_group_glob_or_default(
    three: Fleet, wanted: tuple[str, ...], meant: tuple[int, ...]
) -> None:
    first, _, last = three.names
    words = [word.format(first=first, last=last, last_letter=last[-1]) for word in wanted]
    done = three.project.run("status", *words)
    assert done.status == 0, done.text
    assert [row["host"] for row in done.of("status")] == [three.names[number] for number in meant]


def test_a_rollback_of_all_hosts_takes_each_back(fleet: Fleet) -> None:
    assert fleet.deploy("2.7.0", "--parallel", "2").status == 0
    done = fleet.project.run("rollback", "--parallel", "2")
    assert (done.status, fleet.versions) == (0, ("1.0.0",) * 3), done.text


def test_the_plain_summary_tells_which_host_is_on_what(fleet: Fleet, tmp_path: Path) -> None:
    fleet.break_on(1)
    tarball = fleet.tarball("2.8.0")
    argv = [word if word != "json" else "plain" for word in fleet.project.argv("deploy", "--artifact", str(tarball))]
    done = subprocess.run(
        argv, cwd=tmp_path, env=fleet.project.environ(None), capture_output=True, text=True, timeout=120, check=False
    )
    one, two, last = fleet.names
    assert done.returncode == 1
    lines = [line.split() for line in done.stderr.splitlines()]
    assert [one, "changed"] in [line[:2] for line in lines]
    assert [two, "went", "back"] in [line[:3] for line in lines]
    assert [last, "skipped"] in [line[:2] for line in lines]
    assert f"is back on {fleet.hosts[1].current}" in done.stderr
