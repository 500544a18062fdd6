"""Queueing behind an activation that is under way: `--wait`, its end, and everything that ends it early."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.project import Done, OnHost, Project
from tests.host.striking import Client, wait_for

# An activation is under way for as long as the test wants: its migration waits for a file.
GATE = "/srv/go"
MIGRATION = {"bin/migrate": f"#!/bin/bash\nuntil [[ -e {GATE} ]]; do sleep .1; done\n".encode()}


@pytest.fixture(scope="module")
def serving(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> OnHost:
    """The module's host, with a release that serves."""
    project = Project(directory=tmp_path_factory.mktemp("serving"), hosts=(host,)).write()
    done = project.deploy("1.1.0")
    assert done.status == 0, done.text
    return OnHost(lab=lab, host=host, project=project)


@pytest.fixture
def steady(project: Project, serving: OnHost) -> Iterator[OnHost]:
    """The host; at the end of the test nothing is under way, and it stands by itself on one release."""
    project.service = 'exec_start = "bin/server"\nmigrate = "bin/migrate"'
    project.health = project.health.replace('settle = "1s"', 'settle = "0.3s"')
    project.write()
    serving.sh(f"rm -f {GATE}")
    yield serving
    serving.sh(f"touch {GATE}")
    wait_for(serving.is_settled)
    assert serving.is_consistent()
    assert serving.sh("pgrep -f '[d]eployer-queue' || true") == ""


def words(project: Project, version: str, brk: str = "") -> tuple[str, ...]:
    return "deploy", "--artifact", str(project.tarball(version, brk, files=MIGRATION))


@contextmanager
def under_way(project: Project, version: str, brk: str = "") -> Iterator[Client]:
    """A deploy of alice's that is under way until the gate is opened."""
    with Client(project, *words(project, version, brk), environ={"DEPLOYER_WHO": "alice"}) as client:
        client.reaches("phase_started", phase="migrate")
        yield client


def queued(client: Client) -> None:
    """Wait until the client has said what it waits for."""
    wait_for(lambda: queue_texts(client.so_far) or client.is_over)
    assert not client.is_over, client.so_far.text


def queue_texts(done: Done) -> list[str]:
    return [event["text"] for event in done.of("phase_started") if event["phase"] == "queue" and event["text"]]


def ends(on_host: OnHost, count: int) -> list[tuple[str, str, str]]:
    """The last activations of the ledger: who began or how it ended, why, and the version."""
    found = [entry for entry in on_host.ledger if entry["event"] in ("activating", "good", "bad")]
    return [(entry["event"], entry["why"], entry["id"].partition("-")[0]) for entry in found[-count:]]


def failure(done: Done) -> tuple[str, str]:
    (event,) = done.of("failure")
    return event["message"], event["hint"]


def test_a_deploy_goes_on_once_the_one_before_it_is_over(project: Project, steady: OnHost) -> None:
    with under_way(project, "2.0.0") as first:
        with Client(project, *words(project, "2.1.0"), "--wait", "5m") as second:
            queued(second)
            (text,) = queue_texts(second.so_far)
            assert text.startswith(
                f"behind the activation of {steady.sh('ls /opt/shop/releases | grep ^2.0.0')} by alice"
            )
            assert text.endswith("for 5m at most")
            # It is staged already, and nothing more.
            assert steady.sh("ls -d /opt/shop/releases/2.1.0-*")
            assert steady.version == "1.1.0"
            steady.sh(f"touch {GATE}")
            done = second.ended()
        assert first.ended().status == 0
    assert (done.status, done.verdicts) == (0, {steady.host.name: "changed"}), done.text
    (row,) = done.summary["hosts"]
    assert row["before"].startswith("2.0.0-")
    assert len(queue_texts(done)) == 1
    assert ends(steady, 4) == [
        ("activating", "deploy", "2.0.0"),
        ("good", "deploy", "2.0.0"),
        ("activating", "deploy", "2.1.0"),
        ("good", "deploy", "2.1.0"),
    ]
    assert steady.version == "2.1.0"


def test_a_rollback_behind_a_good_deploy_takes_that_one_back(project: Project, steady: OnHost) -> None:
    before = steady.current
    with under_way(project, "3.0.0"), Client(project, "rollback", "--wait", "5m") as second:
        queued(second)
        steady.sh(f"touch {GATE}")
        done = second.ended()
    assert (done.status, steady.current) == (0, before), done.text
    plans = [event["text"] for event in done.of("phase_ended") if event["phase"] == "plan" and event["text"]]
    assert [text.partition("-")[0] for text in plans] == ["3.0.0"]
    assert plans[0].endswith(f" -> {steady.current}")


def test_a_rollback_behind_a_bad_deploy_leaves_what_serves_again(project: Project, steady: OnHost) -> None:
    before = steady.current
    with under_way(project, "3.1.0", "boot"), Client(project, "rollback", "--wait", "5m") as second:
        queued(second)
        steady.sh(f"touch {GATE}")
        done = second.ended()
    assert (done.status, done.verdicts) == (0, {steady.host.name: "unchanged"}), done.text
    assert any("there is nothing to go back from" in note["text"] for note in done.of("note"))
    assert steady.current == before
    assert ends(steady, 1) == [("bad", "deploy", "3.1.0")]


def test_what_ends_a_wait_early_leaves_the_host_alone(project: Project, steady: OnHost) -> None:
    before = steady.current, steady.unit("InvocationID")
    host = steady.host.name
    with under_way(project, "4.0.0") as first:
        # Twin: without the option nobody waits.
        refused = project.run(*words(project, "4.1.0"))
        message, hint = failure(refused)
        assert refused.status == 4
        release = steady.sh("ls /opt/shop/releases | grep ^4.0.0")
        assert message.startswith(f"another activation of shop is under way on {host}: {release}, started by alice at ")
        assert "--wait" in hint
        assert steady.sh("ls -d /opt/shop/releases/4.1.0-* 2>/dev/null || true") == ""

        late = project.run(*words(project, "4.1.0"), "--wait", "1.5s")
        message, hint = failure(late)
        assert (late.status, late.verdicts) == (4, {host: "failed"}), late.text
        assert message.startswith(f"the activation of {release} by alice since ")
        assert f"is still under way on {host} after a wait of 1.5s" in message
        assert "what is staged stays" in message
        assert project.typed("attach", host) in hint
        assert "--wait" in hint
        assert steady.sh("ls -d /opt/shop/releases/4.1.0-*")

        for also in (words(project, "4.1.0"), ("rollback",)):
            with Client(project, *also, "--wait", "5m") as struck:
                queued(struck)
                struck.strike(signal.SIGINT)
                done = struck.ended(deadline_s=20)
            message, _ = failure(done)
            assert (done.status, done.verdicts) == (130, {host: "skipped"}), done.text
            assert message.startswith(f"interrupted while it waited for the activation of {release} by alice")
            assert message.endswith("nothing was switched")
        wait_for(lambda: steady.sh("pgrep -f '[d]eployer-queue' || true") == "")

        assert project.run("lock", "--reason", "the sale is on").status == 0
        locked = project.run(*words(project, "4.1.0"), "--wait", "5m")
        message, _ = failure(locked)
        assert locked.status == 4
        assert "the sale is on" in message
        assert queue_texts(locked) == []
        assert project.run("unlock").status == 0

        assert (steady.current, steady.unit("InvocationID")) == before
        steady.sh(f"touch {GATE}")
        assert first.ended().status == 0
    assert steady.version == "4.0.0"


def test_two_that_wait_get_their_turns_one_after_the_other(project: Project, steady: OnHost) -> None:
    with (
        under_way(project, "5.0.0"),
        Client(project, *words(project, "5.1.0"), "--wait", "5m") as one,
        Client(project, *words(project, "5.2.0"), "--wait", "5m") as other,
    ):
        queued(one)
        queued(other)
        steady.sh(f"touch {GATE}")
        both = one.ended(), other.ended()
    assert [done.status for done in both] == [0, 0], "\n".join(done.text for done in both)
    found = ends(steady, 6)
    assert found[:2] == [("activating", "deploy", "5.0.0"), ("good", "deploy", "5.0.0")]
    second, third = found[2][2], found[4][2]
    assert {second, third} == {"5.1.0", "5.2.0"}
    assert [entry[0] for entry in found[2:]] == ["activating", "good", "activating", "good"]
    assert steady.version == third


def test_a_wait_outlives_its_link_and_obeys_a_lock_that_comes_meanwhile(
    lab: Lab, project: Project, steady: OnHost
) -> None:
    with under_way(project, "6.0.0"), Client(project, *words(project, "6.1.0"), "--wait", "5m") as second:
        queued(second)
        lab.cut_link(steady.host.name)
        try:
            wait_for(lambda: any("the link is gone" in note["text"] for note in second.so_far.of("note")))
        finally:
            lab.restore_link(steady.host.name)
        wait_for(lambda: len(queue_texts(second.so_far)) == 2 or second.is_over)
        steady.sh(f'echo \'{{"who":"bob","at":"t","reason":"no more"}}\' >/opt/shop/frozen; touch {GATE}')
        done = second.ended()
    steady.sh("rm -f /opt/shop/frozen")
    message, _ = failure(done)
    assert (done.status, "no more" in message) == (4, True), done.text
    wait_for(lambda: steady.version == "6.0.0")
