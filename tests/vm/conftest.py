"""A virtual machine for tests of what a container cannot show: a real power cut, another clock, a limit of memory.

A machine that cannot run one skips these tests and says why; with DEPLOYER_REQUIRE_HOSTS=1 they fail instead.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from deployer.sandbox import Lab, cache_directory
from tests.host.project import OnHost, Project
from tests.vm.image import built_image, missing
from tests.vm.machine import NAME, Machine, accelerator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.host)
            # An emulated processor is slow, and shares a busy machine.
            if not any(item.iter_markers("timeout")):
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """The session's machine, up. Who cuts its power boots it again."""
    if lacks := missing():
        reason = f"no virtual machine here, this machine lacks: {'; '.join(lacks)}"
        if os.environ.get("DEPLOYER_REQUIRE_HOSTS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    image = built_image(cache=cache_directory(), on_line=print)
    # A short path: it is that of a socket as well.
    directory = Path(tempfile.mkdtemp(prefix="deployer-vm-"))
    made = Machine(image=image, directory=directory, accel=accelerator(image, directory))
    try:
        made.boot()
        yield made
    finally:
        made.cut_power()
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def project(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The made-up app, for the machine: with time limits for an emulated processor."""
    made = Project(directory=tmp_path_factory.mktemp("project"), hosts=(machine.host,))
    made.host_lines = {NAME: f"port = {machine.port}"}
    made.health = made.health.replace('timeout = "8s"', 'timeout = "60s"')
    return patient(made)


def patient(project: Project) -> Project:
    """Write the config, with time limits of the connection that fit as well."""
    project.write()
    text = project.config.read_text()
    text = text.replace('connect_timeout = "3s"', 'connect_timeout = "20s"').replace(
        'dead_after = "4s"', 'dead_after = "30s"'
    )
    project.config.write_text(text)
    return project


@pytest.fixture
def inside(machine: Machine, project: Project) -> OnHost:
    """The machine, looked at from inside."""
    return OnHost(lab=cast("Lab", machine), host=machine.host, project=project)
