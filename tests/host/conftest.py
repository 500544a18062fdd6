"""Real hosts for tests: booted in about a second from the sandbox, torn down whatever happens.

`host` is one for a test module, `fresh_host` a new one for each test, `make_host` boots more, `lab` can cut their power
and their links. Another suite than bookworm: `@pytest.mark.parametrize("suite", SUITES, indirect=True)`.

A machine that cannot run hosts skips these tests and says why; with DEPLOYER_REQUIRE_HOSTS=1 they fail instead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from deployer.sandbox import DEFAULT_SUITE, Lab, SandboxHost, install_line, missing, state_directory
from deployer.sandbox.processes import current, recorded
from tests.host.project import OnHost, Project


class MakeHost(Protocol):
    """Boots a host of the lab, under a name of its own unless one is given; it lives until the session ends."""

    def __call__(self, name: str = "", suite: str = DEFAULT_SUITE) -> SandboxHost: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.host)


@pytest.fixture(scope="session")
def can_run_hosts() -> None:
    """Skip, or fail where hosts are required, on a machine that cannot run them."""
    if lacks := missing():
        reason = f"no sandbox hosts here, this machine lacks: {'; '.join(lacks)}. {install_line()}".strip()
        if os.environ.get("DEPLOYER_REQUIRE_HOSTS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def lab(can_run_hosts: None) -> Iterator[Lab]:
    """The session's own lab. The root file systems come from the user's cache."""
    labs = state_directory().parent / "test-labs"
    _clear_up(labs)
    lab = Lab(labs / str(os.getpid()))
    lab.directory.mkdir(parents=True)
    owner = labs / f"{os.getpid()}.owner"
    owner.write_text(current().record)
    # A time limit of a CI job ends us by TERM: tear down then, too.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield lab
    finally:
        lab.down()
        owner.unlink()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def make_host(lab: Lab) -> MakeHost:
    numbers = count(1)

    def made(name: str = "", suite: str = DEFAULT_SUITE) -> SandboxHost:
        return lab.up(name or f"host{next(numbers)}", suite=suite)

    return made


@pytest.fixture(scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """The Debian of `host` and `fresh_host`."""
    return str(getattr(request, "param", DEFAULT_SUITE))


@pytest.fixture(scope="module")
def host(lab: Lab, make_host: MakeHost, suite: str) -> Iterator[SandboxHost]:
    """A host for all tests of a module. Each leaves it up and reachable."""
    made = make_host(suite=suite)
    yield made
    lab.down(made.name)


@pytest.fixture
def fresh_host(lab: Lab, make_host: MakeHost, suite: str) -> Iterator[SandboxHost]:
    """A new host that a test may break."""
    made = make_host(suite=suite)
    yield made
    lab.down(made.name)


def _clear_up(labs: Path) -> None:
    """Take down what sessions left that were killed."""
    for owner in labs.glob("*.owner"):
        process = recorded(owner)
        if process is None or not process.is_alive:
            Lab(labs / owner.stem).down()
            owner.unlink(missing_ok=True)


@pytest.fixture
def project(host: SandboxHost, tmp_path: Path) -> Project:
    """A project for the module's host, with nothing deployed by it yet; write() after changes."""
    return Project(directory=tmp_path, hosts=(host,)).write()


@pytest.fixture
def on_host(lab: Lab, project: Project) -> OnHost:
    """The first host of `project`, looked at from inside."""
    return OnHost(lab=lab, host=project.hosts[0], project=project)


@pytest.fixture
def bare(on_host: OnHost) -> OnHost:
    """The module's host, with nothing of any app on it."""
    on_host.clear()
    return on_host


@pytest.fixture(scope="module")
def serving(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> OnHost:
    """The module's host, with a release that serves."""
    project = Project(directory=tmp_path_factory.mktemp("serving"), hosts=(host,)).write()
    done = project.deploy("1.0.0")
    assert done.status == 0, done.text
    return OnHost(lab=lab, host=host, project=project)
