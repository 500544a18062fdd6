"""A commit that cannot be finished behind its record, for a while or at all: the host sees to it by itself."""

from __future__ import annotations

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.faults.promises import Watch
from tests.host.faults.test_every_step import launch_other, prepared, undisturbed
from tests.host.faults.tripwire import Tripwire
from tests.host.project import wait_for


@pytest.fixture(scope="module")
def wired(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Tripwire:
    return prepared(lab, host, tmp_path_factory.mktemp("unfinished"))


@pytest.fixture(scope="module")
def first(wired: Tripwire) -> int:
    """The number of the change behind the record: the first rename of what was made ready."""
    changes = undisturbed(wired)
    (number,) = [
        number
        for number, line in enumerate(changes, 1)
        if " mv " in line and line.split()[-1] == "/etc/default/shop.env"
    ]
    return number


def test_the_guard_finishes_what_the_activation_could_not(wired: Tripwire, first: int) -> None:
    on_host = wired.on_host
    watch = Watch(on_host)
    wired.arm(first)
    new, _ = launch_other(on_host)
    wired.await_stop()
    # The activation starts the guard when it ends; should the guard be quicker, it has to come again.
    guard = "deployer-recover@shop.service"
    on_host.sh(f"systemctl start --no-block {guard}")
    wait_for(lambda: on_host.sh(f"systemctl show -P ExecMainExitTimestampMonotonic {guard}") not in ("", "0"))
    wait_for(lambda: on_host.sh(f"systemctl show -P SubState {guard}") == "auto-restart", timeout_s=5)
    on_host.sh("mount --bind /etc /etc && mount -o remount,bind,ro /etc")
    try:
        wired.go_on()
        wait_for(lambda: '"verdict":"unfinished"' in on_host.sh("cat /run/deployer/shop/*.events"))
        wait_for(lambda: on_host.sh("systemctl show -P ActiveState deployer-shop.service") == "inactive")
        assert on_host.version == new.partition("-")[0]
        assert on_host.sh("test -e /opt/shop/committing && echo there") == "there"
    finally:
        on_host.sh("mount -o remount,bind,rw /etc")
    # Nobody asks for anything from here on.
    watch.stands(within_s=75)
    assert on_host.current == new
    assert [entry["event"] for entry in on_host.ledger if entry.get("id") == new][-1] == "good"


def test_a_release_that_is_removed_while_it_is_committed_is_never_good(wired: Tripwire, first: int) -> None:
    on_host = wired.on_host
    watch = Watch(on_host)
    wired.arm(first + 1)
    new, old = launch_other(on_host)
    wired.await_stop()
    on_host.sh(f"mv /opt/shop/releases/{new} /root/{new}")
    try:
        wired.go_on()
        watch.stands()
    finally:
        on_host.sh(f"mv /root/{new} /opt/shop/releases/{new}")
    assert on_host.current == old
    assert [entry["event"] for entry in on_host.ledger if entry.get("id") == new][-1] == "bad"
