"""Deploys and rollbacks by the real client, struck at random instants by whatever can happen to them.

Each strike is drawn from the run's seed and its own number: DEPLOYER_SEED=… and the test's id repeat it. A short run
takes ten, the same each time; `script/test --soak N` strikes N times by a new seed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.faults.conftest import Lot
from tests.host.faults.faults import FAULTS, Scene
from tests.host.faults.promises import Watch
from tests.host.faults.record import STRIKES_VARIABLE, Strike, record
from tests.host.project import OnHost, Project
from tests.host.striking import Client

SHORT = 10
"""As many strikes as a short run takes; in a long one each fault comes once before any comes again."""
STRIKES = int(os.environ.get(STRIKES_VARIABLE, SHORT))
LONGEST_S = 5.0
"""A deploy of the test's app takes about as long."""


@dataclass(kw_only=True)
class Ground:
    """A host on which some release serves, strike after strike; `version` gives a new version each time."""

    on_host: OnHost
    numbers: Iterator[int]

    @property
    def project(self) -> Project:
        return self.on_host.project

    def version(self) -> str:
        return f"1.{next(self.numbers)}.0"

    def must(self, *words: str) -> None:
        done = self.project.run(*words, "--host", self.on_host.host.name)
        assert done.status == 0, done.text

    def deploy(self) -> None:
        self.must("deploy", "--artifact", str(self.project.tarball(self.version())))


@pytest.fixture(scope="module")
def ground(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    project = Project(directory=tmp_path_factory.mktemp("ground"), hosts=(host,))
    # A client that is cut off waits for as long as the switch and its way back may take, stops included.
    project.service += '\nstop_timeout = "3s"'
    project.write()
    made = Ground(on_host=OnHost(lab=lab, host=host, project=project), numbers=count(1))
    made.deploy()
    made.deploy()
    return made


OPERATIONS: dict[str, Callable[[Ground], tuple[str, ...]]] = {
    "deploy": lambda ground: ("deploy", "--artifact", str(ground.project.tarball(ground.version()))),
    "deploy of a bad one": lambda ground: (
        "deploy",
        "--artifact",
        str(ground.project.tarball(ground.version(), "500")),
    ),
    "rollback": lambda _: ("rollback",),
}
FIRST = "first "
"""What comes before a deploy's name where the host has nothing of the app before it."""
# What the client says when it has seen an end: the host is on the new release, or on one that was there.
ENDS = {0: "new", 1: "old"}


def drawn(number: int, lot: Lot) -> tuple[str, str, float]:
    """Return the fault, the operation and the instant of a strike: each fault comes once before any comes again."""
    chance = lot.random(f"strike {number}")
    order = lot.random(f"order {number // len(FAULTS)}").sample(sorted(FAULTS), len(FAULTS))
    bad = "deploy of a bad one"
    operation = chance.choice(("deploy", "deploy", "deploy", bad, "rollback", f"{FIRST}deploy", f"{FIRST}{bad}"))
    return order[number % len(FAULTS)], operation, chance.uniform(0, LONGEST_S)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", range(STRIKES))
def test_a_strike_at_any_instant_ends_well(lab: Lab, ground: Ground, lot: Lot, number: int) -> None:
    fault, operation, instant_s = drawn(number, lot)
    print(f"DEPLOYER_SEED={lot.seed}, strike {number}: {fault}, {instant_s:.2f} s into a {operation}")
    on_host, chance = ground.on_host, lot.random(f"chance {number}")
    is_first = operation.startswith(FIRST)
    if is_first:
        on_host.clear()
    watch, before = Watch(on_host), on_host.current
    words = OPERATIONS[operation.removeprefix(FIRST)](ground)
    with Client(ground.project, *words, "--host", on_host.host.name) as client:
        until = time.monotonic() + instant_s
        while time.monotonic() < until and not client.is_over:
            time.sleep(0.02)
        step = last_phase(client)
        scene = Scene(lab=lab, on_host=on_host, client=client, chance=chance)
        strike = FAULTS[fault](scene)
        next(strike)
        try:
            done = client.ended(deadline_s=150)
        finally:
            for _ in strike:  # the harm is taken away
                pass
    took_s = watch.stands()
    after = on_host.current
    outcome = "new" if after != before else "old"
    record(Strike(fault=fault, step=step, outcome=outcome, recovery_s=took_s))
    assert "Traceback" not in done.text, done.text
    if fault not in MEDDLED and done.status in ENDS:
        assert ENDS[done.status] == outcome, done.text
    assert done.status in (0, 1, 4, 5, 130, -9) or (done.status == 3 and fault in HURT), done.text
    if is_first and done.status == 1 and outcome == "old":
        assert set(done.verdicts.values()) <= {"stopped", "failed"}, done.text
    told = ground.project.run("status", "--host", on_host.host.name)
    assert told.status == 0, told.text
    assert after in told.stdout, told.text
    # The next deploy needs nobody to clear up, and leaves nothing of what was before.
    ground.deploy()
    watch.stands()
    watch.is_whole()
    if is_first:  # a rollback that is struck next has somewhere to go
        ground.deploy()
    assert Path(ground.project.directory).exists()


MEDDLED = {"a deploy at the same moment", "a rollback at the same moment", "a restart by a second client"}
"""Somebody else switches too: what one client says of its own is not all that happened."""
HURT = {"/opt read-only", "/etc read-only"}
"""While these last nobody can finish a commit: that a person is called is true then, and over when they are."""


def last_phase(client: Client) -> str:
    """How far the operation had come, as its client saw it."""
    phases = client.so_far.of("phase_started")
    return str(phases[-1]["phase"]) if phases else "start-up"
