"""`migrate` by a person: once, on the first of the hosts that are meant."""

from __future__ import annotations

import pytest

from deployer.sandbox import Lab
from tests.host.conftest import MakeHost
from tests.host.project import OnHost, Project


def test_migrate_runs_on_the_first_host_alone(
    lab: Lab, make_host: MakeHost, tmp_path_factory: pytest.TempPathFactory
) -> None:
    service = 'exec_start = "bin/server"\nmigrate = "echo once >>/var/lib/shop/migrations"'
    directory = tmp_path_factory.mktemp("migrate")
    project = Project(directory=directory, hosts=(make_host(), make_host()), service=service).write()
    first, second = (OnHost(lab=lab, host=host, project=project) for host in project.hosts)
    count = "cat /var/lib/shop/migrations 2>/dev/null | wc -l"
    try:
        done = project.deploy("1.0.0")
        assert done.status == 0, done.text
        assert [first.sh(count), second.sh(count)] == ["1", "0"]

        done = project.run("migrate", "--host", first.host.name, "--host", second.host.name)

        assert done.status == 0, done.text
        assert [first.sh(count), second.sh(count)] == ["2", "0"]
    finally:
        for host in project.hosts:
            lab.down(host.name)
