"""Activations that are cut off on the host: their process killed, their unit stopped, the host's power gone.

Afterwards the host stands by itself on a release that proved itself: nothing of ours is asked to mend it.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from deployer.sandbox import SUITES, Lab, SandboxHost
from tests.host.project import OnHost, Project

DEADLINE_S = 30


def wait_for(what: Callable[[], object], *, deadline_s: float = DEADLINE_S) -> None:
    until = time.monotonic() + deadline_s
    while not what():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.05)


@contextlib.contextmanager
def client_of(project: Project, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A client that is killed at the end, so that a failed test does not wait for it."""
    client = project.start(*words)
    try:
        yield client
    finally:
        client.kill()
        client.communicate()


@pytest.fixture
def running(project: Project, on_host: OnHost) -> Iterator[OnHost]:
    """A host on which 1.0.0 serves."""
    project.health = project.health.replace('settle = "1s"', 'settle = "4s"')
    project.write()
    project.tarball("1.0.0")
    assert project.deploy("1.0.0").status == 0
    yield on_host
    on_host.sh(
        "systemctl disable --now shop.service; rm -rf /opt/shop /etc/systemd/system/shop.service /etc/default/shop.env; "
        "systemctl daemon-reload"
    )


def on_trial(host: OnHost, release: str) -> bool:
    """Does the new release answer already, uncommitted?"""
    return host.sh("systemctl is-active shop.service || true") == "active" and host.version == release


STRIKES = {
    "its process is killed": "systemctl kill --kill-who=main --signal=KILL deployer-shop.service",
    "everything of it is killed": "systemctl kill --kill-who=all --signal=KILL deployer-shop.service",
    "its unit is stopped": "systemctl stop deployer-shop.service",
}


@pytest.mark.parametrize("strike", STRIKES.values(), ids=STRIKES.keys())
def test_a_trial_that_is_cut_off_goes_back_by_itself(project: Project, running: OnHost, strike: str) -> None:
    before = running.current
    with client_of(
        project, "deploy", "--artifact", str(project.tarball("2.0.0")), "--host", running.host.name
    ) as client:
        wait_for(lambda: on_trial(running, "2.0.0"))
        running.sh(strike)
        output = client.communicate(timeout=60)[0]
    assert client.returncode == 1
    assert '"verdict": "rolled-back"' in output or '"verdict":"rolled-back"' in output
    wait_for(running.is_settled)
    assert (running.version, running.current) == ("1.0.0", before)
    assert running.is_consistent()
    assert running.ledger[-1]["event"] == "bad"
    assert "cut off" in running.ledger[-1]["cause"]
    assert project.deploy("2.0.0").status == 0
    assert running.version == "2.0.0"


@pytest.mark.parametrize("suite", SUITES, indirect=True)
def test_a_power_cut_in_the_trial_boots_the_release_of_before(lab: Lab, project: Project, running: OnHost) -> None:
    before = running.current
    with client_of(project, "deploy", "--artifact", str(project.tarball("2.0.0")), "--host", running.host.name):
        wait_for(lambda: on_trial(running, "2.0.0"))
        lab.powercut(running.host.name)
    lab.boot(running.host.name)
    wait_for(lambda: running.version == "1.0.0")
    assert running.current == before
    assert running.is_settled()
    assert running.is_consistent()
    attached = project.run("attach")
    assert (attached.status, attached.summary["hosts"][0]["release"]) == (2, before), attached.text
    assert "; the last one, of 2.0.0-" in attached.of("failure")[0]["message"]
    done = project.deploy("2.0.0")
    assert done.status == 0, done.text
    assert running.version == "2.0.0"
    assert [entry["event"] for entry in running.ledger[-3:]] == ["interrupted", "activating", "good"]


# Each makes the commit stop right there, as a power cut would: the program waits for the plug to be pulled.
BOUNDARIES = {
    "before the record": "begin_commit() { sleep 1000; }",
    "after the record": "finish_commit() { sleep 1000; }",
    "after the environment": 'rename() { [[ $1 != /etc/systemd/system/shop.service ]] || sleep 1000; command_rename "$@"; }',
    "after the unit": 'rename() { [[ $1 != */current ]] || sleep 1000; command_rename "$@"; }',
    "after the link": 'systemctl() { [[ $1 != enable ]] || sleep 1000; command systemctl "$@"; }',
    "after enabling": "ledger() { [[ $* != *good* ]] || sleep 1000; }",
    "after the ledger": "remove() { sleep 1000; }",
}
FORWARD = [name for name in BOUNDARIES if name != "before the record"]


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_power_cut_in_the_commit_is_finished_at_boot(
    lab: Lab, project: Project, running: OnHost, boundary: str
) -> None:
    staged = project.deploy("2.0.0", "", "--no-activate")
    assert staged.status == 0, staged.text
    release = next(line for line in running.sh("ls /opt/shop/releases").splitlines() if line.startswith("2.0.0"))
    program = f"/opt/shop/releases/{release}/.deployer/activate"
    # The program gets a stop; what runs at boot is the program as it was.
    running.sh(
        f"cp {program} {program}.whole && cat > /root/stop <<'X'\n"
        f'eval "command_$(declare -f rename)"\n{BOUNDARIES[boundary]}\nX\n'
        f"sed -i '/^load_release \"\\$ID\"$/r /root/stop' {program}"
    )
    with client_of(project, "deploy", "--artifact", str(project.tarball("2.0.0")), "--host", running.host.name):
        wait_for(lambda: "commit" in running.sh("tail -n 1 /run/deployer/shop/*.events 2>/dev/null || true"))
        wait_for(lambda: running.sh("pgrep -xf 'sleep 1000' || true"))
        running.sh(f"mv {program}.whole {program}; sync")
        lab.powercut(running.host.name)
    lab.boot(running.host.name)
    expected = "2.0.0" if boundary in FORWARD else "1.0.0"
    wait_for(lambda: running.version == expected)
    wait_for(running.is_settled)
    assert running.is_consistent()
    assert running.sh("systemctl is-enabled shop.service") == "enabled"
    goods = [entry for entry in running.ledger if entry["event"] == "good" and entry["id"] == release]
    assert len(goods) == (1 if boundary in FORWARD else 0)
    assert running.sh("systemctl show -P NRestarts shop.service") == "0"


def test_a_power_cut_in_the_first_commit_ends_on_the_first_release(
    lab: Lab, make_host: Callable[..., SandboxHost], tmp_path: object
) -> None:
    from pathlib import Path

    host = make_host()
    project = Project(directory=Path(str(tmp_path)), hosts=(host,)).write()
    on_host = OnHost(lab=lab, host=host, project=project)
    assert project.deploy("1.0.0", "", "--no-activate").status == 0
    release = on_host.sh("ls /opt/shop/releases")
    program = f"/opt/shop/releases/{release}/.deployer/activate"
    on_host.sh(
        f"cp {program} {program}.whole && echo 'finish_commit() {{ sleep 1000; }}' > /root/stop && "
        f"sed -i '/^load_release \"\\$ID\"$/r /root/stop' {program}"
    )
    with client_of(project, "deploy", "--artifact", str(project.tarball("1.0.0")), "--host", host.name):
        wait_for(lambda: on_host.sh("test -e /opt/shop/committing && pgrep -xf 'sleep 1000' || true"))
        on_host.sh(f"mv {program}.whole {program}; sync")
        lab.powercut(host.name)
    lab.boot(host.name)
    wait_for(lambda: on_host.version == "1.0.0")
    wait_for(on_host.is_settled)
    assert on_host.is_consistent()
    assert on_host.sh("systemctl is-enabled shop.service") == "enabled"
    lab.down(host.name)
