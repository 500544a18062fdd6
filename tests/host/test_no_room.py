"""A host with no room at the worst moment: nothing untried is committed, and the way back needs no room."""

from __future__ import annotations

import pytest

from tests.host.project import OnHost, Project, wait_for


@pytest.fixture
def running(project: Project, bare: OnHost) -> OnHost:
    """A host on which 1.0.0 serves."""
    done = project.deploy("1.0.0")
    assert done.status == 0, done.text
    return bare


def test_a_trial_that_systemd_did_not_take_is_never_committed(project: Project, running: OnHost) -> None:
    before, process = running.current, running.unit("MainPID")
    running.sh(
        "mkdir -p /run/systemd/system.control; mount -t tmpfs -o size=4k,nr_inodes=1 none /run/systemd/system.control"
    )
    try:
        done = project.deploy("2.0.0")
    finally:
        running.sh("umount /run/systemd/system.control")
    assert done.status == 1, done.text
    assert "the trial could not be set up" in done.of("failure")[0]["message"]
    assert (running.current, running.unit("MainPID"), running.version) == (before, process, "1.0.0")
    assert running.is_settled()
    again = project.deploy("2.0.0")
    assert (again.status, running.version) == (0, "2.0.0"), again.text


def test_a_full_disk_does_not_stand_in_the_way_back(project: Project, running: OnHost) -> None:
    running.sh("cp -a /opt /opt.kept && mount -t tmpfs -o size=20m,nr_inodes=400 none /opt && cp -a /opt.kept/. /opt/")
    try:
        client = project.start(
            "deploy", "--artifact", str(project.tarball("2.0.0", "crash")), "--host", running.host.name
        )
        try:
            wait_for(lambda: running.sh("test -e /run/deployer/shop/trial && echo yes || true"))
            running.sh(
                "cat /dev/zero > /opt/full 2>/dev/null; i=0; while : > /opt/full.$((i += 1)); do :; done 2>/dev/null; true"
            )
            output = client.communicate(timeout=60)[0]
        finally:
            client.kill()
            client.communicate()
        assert client.returncode == 1, output
        assert running.version == "1.0.0"
        assert running.sh("test -e /run/systemd/system.control/shop.service || echo gone") == "gone"
        running.sh("rm -f /opt/full /opt/full.*")
        done = project.deploy("3.0.0")
        assert (done.status, running.version) == (0, "3.0.0"), done.text
    finally:
        running.sh("systemctl stop shop.service; umount -l /opt && rm -rf /opt.kept")
