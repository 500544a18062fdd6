"""Clients that are interrupted, killed or cut off, and hosts that go down: nothing is lost, and what is said is true.

An activation goes on without its client and ends by itself; whoever comes later can attach to it.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.sandbox import Lab
from tests.host.conftest import MakeHost
from tests.host.project import SERVER, Done, OnHost, Project
from tests.host.striking import Client, wait_for

MANY_BYTES = 40_000_000
# Counts aloud, five times a second, so that a hole in its journal is seen.
TICKING = SERVER.replace(
    "while (1) {",
    "if (my $parent = $$, !fork) { for (my $n = 1; getppid == $parent; $n++) { print qq(tick $n\\n); select undef, undef, undef, .2 } exit }\nwhile (1) {",
    1,
)


@pytest.fixture
def slow(project: Project) -> Project:
    """A project whose releases are watched for four seconds before they are committed."""
    project.health = project.health.replace('settle = "1s"', 'settle = "4s"')
    return project.write()


@pytest.fixture
def steady(serving: OnHost) -> Iterator[OnHost]:
    """The host; at the end of the test it stands by itself on one release, and nothing is under way."""
    yield serving
    wait_for(serving.is_settled)
    assert serving.is_consistent()


def row(done: Done) -> tuple[str, str, str]:
    """How the one host ended: verdict, text, hint."""
    (found,) = done.summary["hosts"]
    return found["verdict"], found["text"], found["hint"]


def deploy_words(project: Project, version: str, brk: str = "") -> tuple[str, ...]:
    return "deploy", "--artifact", str(project.tarball(version, brk))


def ticking(project: Project, version: str) -> tuple[str, ...]:
    server = TICKING.replace("@BREAK@", "").replace("@VERSION@", version)
    return "deploy", "--artifact", str(project.tarball(version, files={"bin/server": server.encode()}))


def ticks(done: Done) -> list[int]:
    """What the new process counted, as far as it was shown."""
    lines = [line for line in done.of("journal") if re.fullmatch(r"tick \d+", line["message"])]
    new = lines[-1]["pid"]
    return [int(line["message"].removeprefix("tick ")) for line in lines if line["pid"] == new]


def last_verdict(on_host: OnHost) -> str:
    return [str(entry["event"]) for entry in on_host.ledger if entry["event"] in ("good", "bad", "interrupted")][-1]


# -- before anything is switched ------------------------------------------------------------------------------------


def test_an_interrupt_in_the_build_ends_the_build(project: Project, steady: OnHost) -> None:
    before = steady.current
    started = project.directory / "config/started"
    project.more = '[artifact]\nbuild = "echo $$ >started; sleep 60 & wait"\npath = "shop-*.tar.gz"'
    project.write()
    with Client(project, "deploy") as client:
        wait_for(lambda: started.exists() and started.read_text())
        begun = time.monotonic()
        client.strike(signal.SIGINT)
        done = client.ended()
    assert done.status == 130
    assert time.monotonic() - begun < 3
    (failure,) = done.of("failure")
    assert failure["message"] == "interrupted; no host was touched"
    assert failure["hint"] == "run the same command again"
    assert not Path(f"/proc/{started.read_text().strip()}").exists()
    assert steady.current == before


def test_an_interrupt_while_connecting_ends_in_time(lab: Lab, project: Project, steady: OnHost) -> None:
    lab.cut_link(steady.host.name)
    try:
        with Client(project, *deploy_words(project, "1.1.0")) as client:
            client.reaches("phase_started", phase="connect")
            client.strike(signal.SIGINT)
            done = client.ended(deadline_s=8)
    finally:
        lab.restore_link(steady.host.name)
    assert done.status == 130
    assert row(done)[:2] == ("skipped", "interrupted before anything was switched")


@pytest.mark.parametrize("words", [("restart",), ("logs", "--follow")], ids=" ".join)
def test_an_interrupt_while_connecting_asks_nothing_of_the_host(
    project: Project, steady: OnHost, words: tuple[str, ...]
) -> None:
    before = steady.unit("InvocationID")
    way = project.directory / "way"
    # The way to the host takes two seconds, so that the interrupt comes before the connection.
    way.write_text(
        f"#!/bin/bash\ntouch {way}.begun; for _ in {{1..20}}; do sleep .1; done\n"
        "exec 3<>/dev/tcp/$1/$2; cat <&3 & cat >&3\n"
    )
    way.chmod(0o755)
    ssh_config = project.directory / "ssh_config"
    ssh_config.write_text(f"Host *\n  ProxyCommand {way} %h %p\n")
    project.config.write_text(project.config.read_text().replace("[ssh]", f'[ssh]\nconfig = "{ssh_config}"', 1))
    with Client(project, *words) as client:
        wait_for(Path(f"{way}.begun").exists)
        client.strike(signal.SIGINT)
        done = client.ended(deadline_s=10)
    assert done.status == 130, done.text
    assert steady.unit("InvocationID") == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_an_interrupt_in_the_upload_is_resumed_by_the_next_deploy(
    project: Project, steady: OnHost, number: signal.Signals
) -> None:
    before = steady.current, steady.unit("InvocationID")
    version = f"1.2.{int(number)}"
    words = ("deploy", "--artifact", str(project.tarball(version, files={"data": os.urandom(MANY_BYTES)})))
    with Client(project, *words) as client:
        # Some of it is on its way: the first event of all tells of nothing yet.
        wait_for(lambda: any(event["done_bytes"] for event in client.so_far.of("progress")))
        client.strike(number)
        done = client.ended(deadline_s=10)
    assert done.status == 130
    (failure,) = done.of("failure")
    assert failure["message"] == "interrupted; nothing was switched"
    assert failure["hint"] == "the same command goes on where this one stopped"
    assert row(done)[0] == "skipped"
    assert (steady.current, steady.unit("InvocationID")) == before
    again = project.run(*words, "--no-activate")
    assert again.status == 0, again.text
    assert max(event["resumed_bytes"] for event in again.of("progress")) > 0


def test_an_interrupt_while_unpacking_leaves_nothing_half(project: Project, steady: OnHost) -> None:
    before = steady.current, steady.unit("InvocationID")
    files = {f"lib/{number}": b"x" * 100 for number in range(5000)}
    words = ("deploy", "--artifact", str(project.tarball("1.3.0", files=files)))
    with Client(project, *words) as client:
        client.reaches("phase_started", phase="unpack")
        client.strike(signal.SIGINT)
        done = client.ended(deadline_s=10)
    assert done.status == 130
    assert "nothing was switched" in done.of("failure")[0]["message"]
    assert (steady.current, steady.unit("InvocationID")) == before
    again = project.run(*words)
    assert (again.status, steady.version) == (0, "1.3.0"), again.text
    assert steady.sh(f"ls {project.root}/releases/{steady.current}/lib | wc -l") == "5000"


# -- while it is tried ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_an_interrupted_client_leaves_an_activation_that_commits_by_itself(
    slow: Project, steady: OnHost, number: signal.Signals
) -> None:
    before, version = steady.current, f"2.0.{int(number)}"
    with Client(slow, *deploy_words(slow, version)) as client:
        client.reaches("phase_started", phase="health")
        client.strike(number)
        done = client.ended(deadline_s=10)
    assert done.status == 130
    (failure,) = done.of("failure")
    assert re.fullmatch(
        rf"interrupted; the activation of {version}-\w+ goes on by itself on {steady.host.name}", failure["message"]
    )
    assert slow.typed("attach", steady.host.name) in failure["hint"]
    assert row(done)[0] == "unknown"
    assert steady.current == before
    attached = slow.run("attach")
    assert (attached.status, row(attached)[0]) == (0, "changed"), attached.text
    assert (steady.version, last_verdict(steady)) == (version, "good")


def test_a_killed_client_leaves_an_activation_that_goes_back_by_itself(slow: Project, steady: OnHost) -> None:
    before, version = steady.current, steady.version
    with Client(slow, *deploy_words(slow, "2.1.0", "500")) as client:
        client.reaches("phase_started", phase="health")
        client.strike(signal.SIGKILL)
        client.ended()
    attached = slow.run("attach")
    assert (attached.status, row(attached)[0]) == (1, "rolled-back"), attached.text
    (failure,) = attached.of("failure")
    assert "answered 500" in failure["message"]
    assert failure["evidence"]
    assert (steady.current, steady.version) == (before, version)


def test_a_detached_deploy_is_attached_to(slow: Project, steady: OnHost) -> None:
    done = slow.run(*ticking(slow, "2.2.0"), "--detach")
    assert done.status == 0
    verdict, text, hint = row(done)
    assert (verdict, hint) == ("started", slow.typed("attach", steady.host.name))
    assert re.fullmatch(r"2\.2\.0-\w+ is on trial; its activation goes on by itself", text)
    attached = slow.run("attach")
    assert (attached.status, row(attached)[0]) == (0, "changed"), attached.text
    assert ticks(attached)
    assert steady.version == "2.2.0"


def test_status_tells_a_way_back_from_a_trial(slow: Project, steady: OnHost) -> None:
    # What is gone back to is watched as long as its own settings say.
    assert slow.deploy("2.4.0").status == 0
    with Client(slow, *deploy_words(slow, "2.5.0", "boot")) as client:
        client.reaches("phase_started", phase="go back")
        states = [row["state"] for row in slow.run("status").of("status")]
        ended = client.ended()
    assert (ended.status, row(ended)[0]) == (1, "rolled-back"), ended.text
    assert re.search(r", going back from 2\.5\.0-\w+$", states[0]), states


def test_an_attach_after_the_end_tells_how_it_ended(slow: Project, steady: OnHost) -> None:
    assert slow.run(*deploy_words(slow, "2.3.0", "boot"), "--detach").status == 0
    wait_for(lambda: steady.is_settled() and last_verdict(steady) == "bad")
    attached = slow.run("attach")
    assert (attached.status, row(attached)[0]) == (1, "rolled-back"), attached.text
    assert any("no activation of shop is under way" in note["text"] for note in attached.of("note"))


def test_an_attach_where_nothing_ever_happened_says_so(lab: Lab, make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host()
    project = Project(directory=tmp_path, hosts=(host,)).write()
    done = project.run("attach")
    lab.down(host.name)
    assert done.status == 2
    (failure,) = done.of("failure")
    assert failure["message"] == "no activation of shop is under way"
    assert "deployer status" in failure["hint"]


# -- lost links -----------------------------------------------------------------------------------------------------


def test_a_short_cut_of_the_link_is_sat_out(lab: Lab, slow: Project, steady: OnHost) -> None:
    with Client(slow, *ticking(slow, "3.0.0")) as client:
        client.reaches("phase_started", phase="health")
        cut_at = time.monotonic()
        lab.cut_link(steady.host.name)
        wait_for(lambda: time.monotonic() - cut_at > 3)  # the length of the cut is what this test is about
        lab.restore_link(steady.host.name)
        done = client.ended()
    assert (done.status, row(done)[0]) == (0, "changed"), done.text
    seen = ticks(done)
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) >= 15


def test_after_a_lost_link_the_client_comes_back_and_shows_the_rest(lab: Lab, slow: Project, steady: OnHost) -> None:
    with Client(slow, *ticking(slow, "3.1.0")) as client:
        client.reaches("phase_started", phase="health")
        lab.cut_link(steady.host.name)
        try:
            wait_for(lambda: any("the link is gone" in note["text"] for note in client.so_far.of("note")))
        finally:
            lab.restore_link(steady.host.name)
        done = client.ended()
    assert (done.status, row(done)[0]) == (0, "changed"), done.text
    assert steady.version == "3.1.0"
    seen = ticks(done)
    assert seen == list(range(1, len(seen) + 1)), "a hole in the journal, or a line twice"
    assert len(seen) >= 15
    starts = [event["phase"] for event in done.of("phase_started") if event["phase"] in ("start", "commit")]
    assert starts == ["start", "commit"]


@pytest.mark.parametrize("arrives", [True, False], ids=["heard", "not heard"])
def test_a_link_that_is_lost_while_the_activation_is_asked_for(
    lab: Lab, project: Project, steady: OnHost, *, arrives: bool
) -> None:
    version = "3.4.1" if arrives else "3.4.0"
    before = steady.current
    words = deploy_words(project, version)
    assert project.run(*words, "--no-activate").status == 0
    release = steady.sh(f"ls /opt/shop/releases | grep '^{version}'")
    program = f"/opt/shop/releases/{release}/.deployer/activate"
    # The host takes its time to start it, so that the link can be cut meanwhile.
    steady.sh(
        f'cp {program} {program}.whole; rm -f /root/asked /root/go; sed -i \'/^load_release "\\$ID"$/a '
        f"if [[ $1 == launch ]]; then touch /root/asked; until [[ -e /root/go ]]; do sleep .1; done; fi' {program}"
    )
    with Client(project, *words) as client:
        wait_for(lambda: steady.sh("ls /root/asked 2>/dev/null || true"))
        lab.cut_link(steady.host.name)
        try:
            wait_for(lambda: [event["phase"] for event in client.so_far.of("phase_started")].count("connect") == 2)
        finally:
            lab.restore_link(steady.host.name)
        if arrives:
            wait_for(lambda: steady.sh("pgrep -f [d]eployer-follow || true"))
        else:
            steady.sh("pkill -KILL -f '[a]ctivate launch'")
        steady.sh(f"mv {program}.whole {program}; touch /root/go")  # not over the file that bash still reads
        done = client.ended()
    if arrives:
        assert (done.status, row(done)[0], steady.version) == (0, "changed", version), done.text
    else:
        assert (done.status, row(done)[0], steady.current) == (1, "failed", before), done.text
        (failure,) = done.of("failure")
        assert "did not begin" in failure["message"]
        assert failure["hint"] == "run the same command again"


def test_a_link_that_stays_away_ends_the_client_but_not_the_activation(
    lab: Lab, project: Project, steady: OnHost
) -> None:
    project.health = project.health.replace('timeout = "8s"', 'timeout = "3s"')
    project.service = 'exec_start = "bin/server"\nstop_timeout = "1s"'
    project.write()
    with Client(project, *deploy_words(project, "3.2.0")) as client:
        client.reaches("phase_started", phase="start")
        lab.cut_link(steady.host.name)
        try:
            done = client.ended(deadline_s=90)
        finally:
            lab.restore_link(steady.host.name)
    assert done.status == 5
    verdict, text, hint = row(done)
    assert verdict == "unknown"
    assert "its end was not seen" in text
    assert "deployer attach" in hint
    wait_for(lambda: steady.version == "3.2.0")


def test_a_restarted_sshd_does_not_disturb_an_activation(slow: Project, steady: OnHost) -> None:
    with Client(slow, *ticking(slow, "3.3.0")) as client:
        client.reaches("phase_started", phase="health")
        steady.sh("systemctl restart ssh; pkill -KILL -f '^sshd.*root'")
        done = client.ended()
    assert (done.status, row(done)[0]) == (0, "changed"), done.text
    assert any("the link is gone" in note["text"] for note in done.of("note"))
    seen = ticks(done)
    assert seen == list(range(1, len(seen) + 1))


# -- hosts that go down ---------------------------------------------------------------------------------------------


def test_a_power_cut_in_the_upload_is_resumed(lab: Lab, project: Project, steady: OnHost) -> None:
    version = steady.version
    words = ("deploy", "--artifact", str(project.tarball("4.0.0", files={"data": os.urandom(MANY_BYTES)})))
    with Client(project, *words) as client:
        client.reaches("progress")
        lab.powercut(steady.host.name)
        done = client.ended()
    assert (done.status, row(done)[0]) == (5, "failed"), done.text
    lab.boot(steady.host.name)
    wait_for(lambda: steady.version == version)
    again = project.run(*words)
    assert (again.status, steady.version) == (0, "4.0.0"), again.text
    assert max(event["resumed_bytes"] for event in again.of("progress")) > 0


def test_a_client_that_watches_a_power_cut_tells_what_became_of_the_host(
    lab: Lab, slow: Project, steady: OnHost
) -> None:
    before, version = steady.current, steady.version
    with Client(slow, *deploy_words(slow, "4.1.0")) as client:
        client.reaches("phase_started", phase="health")
        wait_for(lambda: steady.version == "4.1.0")
        lab.powercut(steady.host.name)
        lab.boot(steady.host.name)
        done = client.ended()
    assert (done.status, row(done)[0]) == (1, "rolled-back"), done.text
    (failure,) = done.of("failure")
    assert f"was cut off, most likely by a power cut or reboot; {steady.host.name} is on {before}" in failure["message"]
    assert "deployer status" in failure["hint"]
    wait_for(lambda: steady.version == version)
    assert steady.current == before
    again = slow.run(*deploy_words(slow, "4.1.0"))
    assert (again.status, steady.version) == (0, "4.1.0"), again.text


def test_a_reboot_in_the_trial_comes_up_with_the_release_of_before(lab: Lab, slow: Project, steady: OnHost) -> None:
    before, version = steady.current, steady.version
    with Client(slow, *deploy_words(slow, "4.2.0")) as client:
        client.reaches("phase_started", phase="health")
        wait_for(lambda: steady.version == "4.2.0")
        lab.reboot(steady.host.name)
        done = client.ended()
    assert done.status == 1, done.text
    assert row(done)[0] == "rolled-back"
    wait_for(lambda: steady.version == version)
    assert steady.current == before
    again = slow.run(*deploy_words(slow, "4.2.0"))
    assert (again.status, steady.version) == (0, "4.2.0"), again.text
    # Not "bad": a host that goes down restarts nothing, which says nothing about a release.
    assert [entry["event"] for entry in steady.ledger if entry.get("token")][-4:] == [
        "activating",
        "interrupted",
        "activating",
        "good",
    ]
