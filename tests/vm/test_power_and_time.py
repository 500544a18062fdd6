"""What a container cannot show. In one module, so that all tests have the same machine: a boot of it is a quarter minute.

Short: a few boundaries of the commit, by lot (DEPLOYER_SEED repeats it). Long, with DEPLOYER_STRIKES set: each one.
"""

from __future__ import annotations

import os
import random
import time
from itertools import count

import pytest

from tests.host.faults.record import SEED_VARIABLE, STRIKES_VARIABLE, Strike, record
from tests.host.project import Done, OnHost, Project, wait_for
from tests.host.striking import Client
from tests.vm.conftest import patient
from tests.vm.machine import NAME, Machine

IS_LONG = STRIKES_VARIABLE in os.environ
RECOVERY_S = 60.0
VERSIONS = count(1)

HUNGRY = b"""#!/usr/bin/perl
print "wants memory\\n"; sleep 1; my @held; while (1) { push @held, 'x' x 1_000_000; select undef, undef, undef, 0.01 }
"""


def new_version() -> str:
    return f"{next(VERSIONS)}.0.0"


def deploy(project: Project, version: str, **files: bytes) -> Done:
    artifact = str(project.tarball(version, files={"bin/server": files["server"]} if files else None))
    return project.run("deploy", "--artifact", artifact, "--host", NAME, timeout_s=240)


def stands(inside: OnHost, history: list[dict[str, object]]) -> str:
    """Hold the machine to the promises, by itself; return the version that it has come to stand on."""
    wait_for(lambda: inside.version, timeout_s=RECOVERY_S)
    wait_for(inside.is_over, timeout_s=RECOVERY_S)
    ledger = inside.ledger
    assert ledger[: len(history)] == history
    good = [entry for entry in ledger if entry["event"] == "good"]
    assert good[-1]["id"] == inside.current
    assert inside.current.startswith(f"{inside.version}-")
    assert inside.is_consistent()
    assert inside.sh("systemctl is-enabled shop.service") == "enabled"
    assert inside.unit("NRestarts") == "0"
    return inside.version


def strike(machine: Machine, project: Project, inside: OnHost, stop: int, call: str) -> tuple[str, str, str]:
    """Cut the power before call number `stop` of a commit; return the versions of before, of the commit, and what stands."""
    before, version, history = inside.version, new_version(), inside.ledger
    machine.arm(stop)
    with Client(project, "deploy", "--artifact", str(project.tarball(version)), "--host", NAME):
        wait_for(lambda: machine.is_struck, timeout_s=120)
        machine.cut_power()
    begun = time.monotonic()
    machine.boot()
    now = stands(inside, history)
    fault = f"machine's power cut before {call.split(maxsplit=1)[0]} {call.rsplit(maxsplit=1)[-1].rpartition('/')[2]}"
    outcome = "new" if now == version else "old"
    record(Strike(fault=fault, step="commit", outcome=outcome, recovery_s=time.monotonic() - begun))
    return before, version, now


def boundaries(calls: list[str], seed: str) -> list[int]:
    """The numbers of the calls to strike before: from right behind the record's rename to behind its removal.

    By lot three of them, one right behind the record and one between two renames among them.
    """
    placed = [
        next(n for n, call in enumerate(calls, 1) if call.startswith("mv ") and call.endswith(name))
        for name in ("/shop.env", "/shop.service", "/current")
    ]
    removed = next(n for n, call in enumerate(calls, 1) if call.startswith("rm ") and call.endswith("/committing"))
    everything = range(2, removed + 2)
    if IS_LONG:
        return list(everything)
    lot = random.Random(seed)  # noqa: S311 - to be repeatable is the point
    chosen = {3, lot.choice(range(placed[0] + 1, placed[2] + 1))}
    chosen.add(lot.choice([number for number in everything if number not in chosen]))
    return sorted(chosen)


def test_what_is_synced_outlives_a_power_cut_and_what_is_not_does_not(machine: Machine, inside: OnHost) -> None:
    inside.sh("echo kept > /root/kept; sync /root/kept /root; echo lost > /root/lost; cat /root/lost")
    machine.cut_power()
    machine.boot()
    assert inside.sh("cat /root/kept; ls /root/lost 2>/dev/null || echo gone") == "kept\ngone"


@pytest.mark.timeout(7200 if IS_LONG else 900)
def test_a_power_cut_in_the_commit_ends_on_a_release_that_proved_itself(
    machine: Machine, project: Project, inside: OnHost
) -> None:
    seed = os.environ[SEED_VARIABLE]
    machine.arm(0)
    first = deploy(project, new_version())
    assert first.status == 0, first.text
    calls = machine.calls()
    for stop in boundaries(calls, seed):
        call = calls[stop - 1]
        before, version, now = strike(machine, project, inside, stop, call)
        print(f"DEPLOYER_SEED={seed}: power cut before {stop}, {call}: {version} over {before}: {now} stands")
        # As soon as the record's name is on the disk, the way is forward only.
        assert now in (before, version) if stop == 2 else now == version
    # The next one works with no cleaning up, and what a client was told is so holds from that moment on.
    version, history = new_version(), inside.ledger
    done = deploy(project, version)
    machine.cut_power()
    assert done.status == 0, done.text
    machine.boot()
    assert stands(inside, history) == version
    # Temporary files may stay until the next contact, which that was.
    assert inside.is_settled()


def test_a_clock_that_jumps_breaks_nothing_and_moves_no_release(
    machine: Machine, project: Project, inside: OnHost
) -> None:
    if not inside.sh("ls /opt"):
        assert deploy(project, new_version()).status == 0
    history, future, later = inside.ledger, new_version(), new_version()
    # A year ahead in the middle of one, and back in the middle of the next.
    for version, jump in ((future, "1 year"), (later, "-1 year")):
        with Client(project, "deploy", "--artifact", str(project.tarball(version)), "--host", NAME) as client:
            client.reaches("phase_started", phase="health")
            inside.sh(f'date -s "{jump}"')
            done = client.ended(deadline_s=120)
        assert done.status == 0, done.text
        assert stands(inside, history) == version
    goods = [entry for entry in inside.ledger if entry["event"] == "good"][-2:]
    assert goods[0]["at"] > goods[1]["at"]
    assert [entry["id"].split("-")[0] for entry in goods] == [future, later]
    # By the ledger's order, whatever its clock says.
    done = project.run("rollback", "--host", NAME, timeout_s=240)
    assert done.status == 0, done.text
    assert stands(inside, history) == future


def test_a_release_that_outgrows_its_memory_goes_back_and_says_why(
    machine: Machine, project: Project, inside: OnHost
) -> None:
    if not inside.sh("ls /opt"):
        assert deploy(project, new_version()).status == 0
    before, history = inside.version, inside.ledger
    roomy = project.service
    project.service += '\ndirectives = { MemoryMax = "80M" }'
    patient(project)
    done = deploy(project, new_version(), server=HUNGRY)
    project.service = roomy
    patient(project)
    assert (done.status, done.verdicts) == (1, {NAME: "rolled-back"}), done.text
    assert stands(inside, history) == before
    [bad] = [entry for entry in inside.ledger[len(history) :] if entry["event"] == "bad"]
    assert "want of memory" in bad["cause"]


def test_without_syncs_what_the_client_was_told_does_not_hold(
    machine: Machine, project: Project, inside: OnHost
) -> None:
    """Twin, and last, as what is on the disk then is no promise any more."""
    version = new_version()
    machine.arm(0, forget=True)
    done = deploy(project, version)
    assert done.status == 0, done.text
    machine.cut_power()
    machine.boot()
    with pytest.raises(AssertionError):
        wait_for(lambda: inside.version == version, timeout_s=10)
