"""The order in which an activation writes, syncs and renames, seen in its system calls.

A container cannot show what a power cut takes: its page cache is this machine's. What is synced when, can be seen.
The virtual machine (tests/vm) really loses what was not synced, at a few instants; here it is every instant.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from deployer.sandbox import SUITES, Lab
from tests.host.faults.order import violations
from tests.host.faults.syscalls import Event
from tests.host.faults.tracing import traced
from tests.host.project import Done, OnHost, Project

LEDGER = "/opt/shop/ledger.jsonl"
RECORD = "/opt/shop/committing"
DURABLE = (
    "/etc/default/shop.env",
    "/etc/systemd/system/shop.service",
    "/etc/systemd/system/deployer-recover@shop.service",
    RECORD,
)
LINKS = (
    "/etc/systemd/system/multi-user.target.wants/shop.service",
    "/etc/systemd/system/multi-user.target.wants/deployer-recover@shop.service",
)


@pytest.fixture
def patient(project: Project) -> Project:
    """Everything takes several times as long while it is traced."""
    project.health = project.health.replace('timeout = "8s"', 'timeout = "30s"')
    return project.write()


def deploy(project: Project, version: str, brk: str = "") -> Done:
    artifact = str(project.tarball(version, brk))
    return project.run("deploy", "--artifact", artifact, "--host", project.hosts[0].name, timeout_s=240)


def renamed_to(events: list[Event]) -> list[str]:
    return [event.to for event in events if event.kind == "rename"]


def without(events: list[Event], kind: str, path: str) -> list[Event]:
    return [event for event in events if (event.kind, event.path) != (kind, path)]


def test_a_first_deploy_is_on_the_disk_step_by_step(lab: Lab, patient: Project, bare: OnHost, tmp_path: Path) -> None:
    with traced(lab, bare.host.name, tmp_path) as trace:
        done = deploy(patient, "1.0.0")
    assert done.status == 0, done.text
    seen = trace.events
    # It has seen what it is to judge.
    assert set(DURABLE) | {"/opt/shop/current"} <= set(renamed_to(seen))
    assert set(LINKS) <= {event.path for event in seen if event.kind == "link"} | set(renamed_to(seen))
    assert violations(seen) == []

    # Twin: the same trace with one of these taken out is found out.
    files = [f"{path}.deployer-new" for path in DURABLE]
    directories = ["/etc/default", "/etc/systemd/system", "/etc/systemd/system/multi-user.target.wants", "/opt/shop"]
    for path in (*files, *directories, LEDGER):
        assert violations(without(seen, "sync", path)), path
    assert violations([event for event in seen if event.kind != "sync-all"])
    assert violations(without(seen, "remove", "/run/deployer/shop/trial"))


@pytest.mark.parametrize("suite", SUITES, indirect=True)
def test_a_second_one_and_the_way_back_from_a_bad_one_as_well(
    lab: Lab, patient: Project, bare: OnHost, tmp_path: Path
) -> None:
    assert patient.deploy("1.0.0").status == 0
    with traced(lab, bare.host.name, tmp_path) as trace:
        done = deploy(patient, "2.0.0")
    assert done.status == 0, done.text
    assert set(DURABLE) | {"/opt/shop/current"} <= set(renamed_to(trace.events))
    assert violations(trace.events, existed=(LEDGER,)) == []
    with traced(lab, bare.host.name, tmp_path) as trace:
        done = deploy(patient, "3.0.0", "boot")
    assert (done.status, set(done.verdicts.values())) == (1, {"rolled-back"}), done.text
    assert any(event.kind == "write" and '"event":"bad"' in event.text for event in trace.events)
    assert violations(trace.events, existed=(LEDGER,)) == []


# Found before the host's own; what it is to leave out it does not do.
FORGETFUL = """#!/bin/bash
[[ "${{*: -1}}" == {pattern} ]] || exec /usr/bin/sync "$@"
"""


@pytest.mark.parametrize(
    "forgets",
    [
        ("*.deployer-new", "got its name before its content was synced"),
        ("/etc/default", "the record was removed before /etc/default/shop.env was synced"),
        ("/opt/shop", "was put in place before the record's name was synced"),
        (LEDGER, "the trial began before the ledger's line of it was synced"),
    ],
)
def test_a_host_program_that_forgets_to_sync_is_found_out(
    lab: Lab, patient: Project, bare: OnHost, tmp_path: Path, forgets: tuple[str, str]
) -> None:
    pattern, found = forgets
    text = base64.b64encode(FORGETFUL.format(pattern=pattern).encode()).decode()
    bare.sh(f"echo {text} | base64 -d > /usr/local/bin/sync && chmod 755 /usr/local/bin/sync")
    try:
        with traced(lab, bare.host.name, tmp_path) as trace:
            done = deploy(patient, "1.0.0")
    finally:
        bare.sh("rm /usr/local/bin/sync")
    assert done.status == 0, done.text
    assert any(found in each for each in violations(trace.events)), violations(trace.events)
