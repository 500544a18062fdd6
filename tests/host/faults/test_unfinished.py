"""A commit that cannot be finished for a while, behind its record: the host finishes it by itself when it can again."""

from __future__ import annotations

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.faults.promises import Watch
from tests.host.faults.test_every_step import launch_other, prepared
from tests.host.faults.tripwire import Tripwire
from tests.host.project import wait_for


@pytest.fixture(scope="module")
def wired(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Tripwire:
    return prepared(lab, host, tmp_path_factory.mktemp("unfinished"))


def test_the_guard_finishes_what_the_activation_could_not(wired: Tripwire) -> None:
    on_host = wired.on_host
    wired.arm(0)
    watch = Watch(on_host)
    launch_other(on_host)
    watch.stands()
    changes = wired.changes()
    # Behind the record: the first rename of what was made ready.
    (first,) = [
        number
        for number, line in enumerate(changes, 1)
        if " mv " in line and line.split()[-1] == "/etc/default/shop.env"
    ]
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
