"""The first activation of an app on a host, struck before each single change: there is no release to go back to.

A short form draws some of the changes by lot; `script/test --soak` takes them all.
"""

from __future__ import annotations

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.faults.conftest import Lot
from tests.host.faults.promises import Watch
from tests.host.faults.test_every_step import launch_other, prepared, strike
from tests.host.faults.tripwire import Tripwire

SHARE = 3
"""How many of the changes a short run strikes at, for each fault."""


@pytest.fixture(scope="module")
def wired(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Tripwire:
    return prepared(lab, host, tmp_path_factory.mktemp("first"))


def stage(wire: Tripwire) -> Watch:
    """Have nothing of the app on the host but a release that is staged."""
    wire.on_host.clear()
    project = wire.on_host.project
    done = project.run("deploy", "--no-activate", "--artifact", str(project.tarball("1.0.0")))
    assert done.status == 0, done.text
    return Watch(wire.on_host)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", ["power cut", "activation killed", "activation killed, all of it"])
def test_a_strike_before_any_change_of_a_first_activation_ends_well(
    lab: Lab, wired: Tripwire, lot: Lot, fault: str
) -> None:
    on_host = wired.on_host
    wired.arm(0)
    watch = stage(wired)
    launch_other(on_host)
    watch.stands()
    changes = wired.changes()
    assert len(changes) > 40, changes
    for number in lot.some(range(1, len(changes) + 1), SHARE, f"changes of a first one, {fault}"):
        wired.arm(0)
        watch = stage(wired)
        print(f"{fault} before change {number}, {changes[number - 1]}")
        strike(lab, wired, watch, number, fault, of=", first deploy")
        # The next contact: it begins with what was left, and nothing stands in its way.
        wired.arm(0)
        done = on_host.project.deploy("2.0.0")
        assert done.status == 0, done.text
        watch.stands()
        watch.is_whole()
