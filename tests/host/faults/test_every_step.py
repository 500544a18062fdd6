"""The activation, struck before each single change that it makes to the host: its process killed, the plug pulled, a
release removed by hand.

A short form draws some of the changes by lot (seeded, the seed is printed); `script/test --soak` takes them all.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.faults.conftest import Lot
from tests.host.faults.promises import Watch
from tests.host.faults.record import Strike, record
from tests.host.faults.tripwire import Tripwire
from tests.host.project import OnHost, Project

SHARE = 12
"""How many of the changes a short run strikes at, for each fault."""
SHARES = {"other releases removed": 3, "the release under way removed": 3}
_tokens = count(1)


@pytest.fixture(scope="module")
def wired(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Tripwire:
    return prepared(lab, host, tmp_path_factory.mktemp("wired"))


def prepared(lab: Lab, host: SandboxHost, directory: Path) -> Tripwire:
    """Return a wire on a host on which 1.0.0 and 2.0.0 have proved themselves."""
    project = Project(directory=directory, hosts=(host,))
    project.health = project.health.replace('settle = "1s"', 'settle = "300ms"\ninterval = "200ms"')
    project.write()
    for version in ("1.0.0", "2.0.0"):
        done = project.deploy(version)
        assert done.status == 0, done.text
    wire = Tripwire(on_host=OnHost(lab=lab, host=host, project=project))
    wire.install()
    return wire


def launch_other(on_host: OnHost) -> tuple[str, str]:
    """Start the activation of the release that does not serve, as the client does; return both ids: new, old.

    Where nothing is committed, the old one is empty.
    """
    old = on_host.current
    (new,) = [each for each in on_host.sh("ls /opt/shop/releases").splitlines() if each != old]
    token = f"strike{next(_tokens)}"
    program = f"/opt/shop/releases/{new}/.deployer/activate"
    said = on_host.sh(f"{program} launch {token} {shlex.quote(old)} deploy 5 no tester")
    assert f"launched {token}" in said, said
    return new, old


def undisturbed(wired: Tripwire) -> list[str]:
    """Have one activation that nothing happens to; return the changes that it made."""
    wired.arm(0)
    watch = Watch(wired.on_host)
    launch_other(wired.on_host)
    watch.stands()
    changes = wired.changes()
    assert len(changes) > 50, changes  # the trial, the commit, and the clean-up
    return changes


def next_contact(wired: Tripwire, watch: Watch) -> None:
    """Activate once more: it begins with what was left, and nothing stands in its way."""
    wired.arm(0)
    launch_other(wired.on_host)
    watch.stands()
    watch.is_whole()


def step_of(on_host: OnHost) -> str:
    """The phase in which the activation stands, by its own last words."""
    events = on_host.sh("cat /run/deployer/shop/*.events 2>/dev/null || true")
    found = re.findall(r'"event":"phase","at":"[^"]*","phase":"([^"]*)"', events)
    ended = '"event":"end"' in events
    return "after its end" if ended else found[-1] if found else "before its start"


FAULTS: dict[str, Callable[[Lab, OnHost], None]] = {
    "power cut": lambda lab, on_host: lab.powercut(on_host.host.name),
    "activation killed": lambda _, on_host: _kill(on_host, "main"),
    "activation killed, all of it": lambda _, on_host: _kill(on_host, "all"),
    "other releases removed": lambda _, on_host: _remove_others(on_host),
    "the release under way removed": lambda _, on_host: _remove_under_way(on_host),
}
KEPT = "/root/kept"


def _remove_others(on_host: OnHost) -> None:
    """A person clears up: every release that is neither committed nor running."""
    on_host.sh(
        f"mkdir -p {KEPT}; cd /opt/shop/releases; for each in *; do [[ $(readlink ../current) == releases/$each ]] && continue; "
        f'readlink /proc/[0-9]*/cwd | grep -qxF "$PWD/$each" || {{ cp -a $each {KEPT}/; rm -rf $each; }}; done'
    )


def _remove_under_way(on_host: OnHost) -> None:
    """A person removes the one that is not good yet, whether it runs or not."""
    (*_, latest) = (entry for entry in on_host.ledger if entry["event"] == "activating")
    if not any(entry["event"] == "good" and entry["token"] == latest["token"] for entry in on_host.ledger):
        release = f"/opt/shop/releases/{latest['id']}"
        on_host.sh(f"mkdir -p {KEPT}; cp -a {release} {KEPT}/; rm -rf {release}")


def _put_back(on_host: OnHost) -> None:
    """What was removed is there again, as from another deploy of it."""
    on_host.sh(f"[[ ! -d {KEPT} ]] || {{ cp -a {KEPT}/. /opt/shop/releases/; rm -rf {KEPT}; }}")


def _kill(on_host: OnHost, whom: str) -> None:
    # At its very end it may have no main process any more.
    on_host.sh(f"systemctl kill --kill-who={whom} --signal=KILL deployer-shop.service || true")


def strike(lab: Lab, wired: Tripwire, watch: Watch, number: int, fault: str, *, of: str = "") -> None:
    """Strike before a change of the activation that does not serve, and wait until the host stands; keep what came of it."""
    on_host = wired.on_host
    wired.arm(number)
    new, _ = launch_other(on_host)
    wired.await_stop()
    step = step_of(on_host)
    FAULTS[fault](lab, on_host)
    if not lab.host(on_host.host.name).running:
        lab.boot(on_host.host.name)
    else:
        wired.go_on()
    took_s = watch.stands()
    outcome = "new" if on_host.current == new else "old"
    record(Strike(fault=f"{fault}{of}", step=step, outcome=outcome, recovery_s=took_s))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_strike_before_any_change_ends_well(lab: Lab, wired: Tripwire, lot: Lot, fault: str) -> None:
    on_host = wired.on_host
    changes = undisturbed(wired)
    for number in lot.some(range(1, len(changes) + 1), SHARES.get(fault, SHARE), f"changes, {fault}"):
        watch = Watch(on_host)
        print(f"{fault} before change {number}, {changes[number - 1]}")
        strike(lab, wired, watch, number, fault)
        _put_back(on_host)
        next_contact(wired, watch)
