"""The activation, and a staging, with a file system that is full from just before any single change until its end.

A short form draws some of the strikes by lot; `script/test --soak` takes them all.
"""

from __future__ import annotations

from itertools import count, product

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.faults.conftest import Lot
from tests.host.faults.filling import DIRECTORIES, KINDS, full, own_file_systems
from tests.host.faults.promises import Watch
from tests.host.faults.record import Strike, record
from tests.host.faults.test_every_step import launch_other, next_contact, prepared, step_of, undisturbed
from tests.host.faults.tripwire import Tripwire
from tests.host.project import OnHost, Project, wait_for
from tests.host.striking import Client

SHARE = 2
"""How many strikes a short run takes, for each file system."""


@pytest.fixture(scope="module")
def wired(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Tripwire:
    directory = tmp_path_factory.mktemp("wired")
    own_file_systems(OnHost(lab=lab, host=host, project=Project(directory=directory, hosts=(host,))))
    return prepared(lab, host, directory)


def is_over(on_host: OnHost) -> bool:
    return on_host.sh("systemctl show -P ActiveState deployer-shop.service") == "inactive"


@pytest.mark.timeout(5400)
@pytest.mark.parametrize("directory", DIRECTORIES)
def test_a_full_file_system_at_any_change_ends_well(wired: Tripwire, lot: Lot, directory: str) -> None:
    on_host = wired.on_host
    changes = undisturbed(wired)
    for number, kind in lot.some(product(range(1, len(changes) + 1), KINDS), SHARE, f"changes, {directory} full"):
        print(f"{directory} has no {kind} before change {number}, {changes[number - 1]}")
        watch = Watch(on_host)
        wired.arm(number)
        new, _ = launch_other(on_host)
        wired.await_stop()
        step = step_of(on_host)
        with full(on_host, directory, kind):
            wired.go_on()
            wait_for(lambda: is_over(on_host), timeout_s=90)
        took_s = watch.stands(within_s=75)
        outcome = "new" if on_host.current == new else "old"
        record(Strike(fault=f"{directory} has no {kind}", step=step, outcome=outcome, recovery_s=took_s))
        next_contact(wired, watch)


@pytest.mark.timeout(5400)
def test_a_full_file_system_at_any_change_of_a_staging_ends_well(wired: Tripwire, lot: Lot) -> None:
    on_host, project = wired.on_host, wired.on_host.project
    numbers = count(3)
    wired.arm(0, "staging")
    assert project.deploy(f"{next(numbers)}.0.0").status == 0
    changes = wired.changes()
    assert len(changes) > 8, changes
    for number, kind in lot.some(product(range(1, len(changes) + 1), KINDS), SHARE, "changes of a staging, /opt full"):
        print(f"/opt has no {kind} before change {number}, {changes[number - 1]}")
        watch, before, version = Watch(on_host), on_host.current, f"{next(numbers)}.0.0"
        wired.arm(number, "staging")
        with Client(project, "deploy", "--artifact", str(project.tarball(version))) as client:
            wired.await_stop()
            with full(on_host, "/opt", kind):
                wired.go_on()
                done = client.ended(deadline_s=120)
        took_s = watch.stands(within_s=75)
        outcome = "old" if on_host.current == before else "new"
        assert (done.status, outcome) in ((0, "new"), (1, "old")), done.text
        assert done.status == 0 or all(event["hint"] for event in done.of("failure")), done.text
        assert "Traceback" not in done.text, done.text
        record(Strike(fault=f"/opt has no {kind}", step="stage", outcome=outcome, recovery_s=took_s))
        wired.arm(0)
        again = project.deploy(version)
        assert (again.status, on_host.version) == (0, version), again.text
        watch.is_whole()
