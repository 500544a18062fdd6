"""Hostile tarballs against a real host, as root: refused before anything is sent; and, with that judgement taken away, tar
on the host still writes nothing outside of the staging directory.

What counts is the host's file system: every path outside of the app's own directory, with its times, mode and size,
before and after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from deployer import config, kinds, plan
from deployer.artifact import load
from deployer.env import Environment
from deployer.errors import HostError
from deployer.host import scripts
from deployer.remote import Remote
from deployer.sandbox import Lab, SandboxHost
from deployer.transport import Connection, connect
from tests.host.project import OnHost, Project
from tests.twins import without
from tests.unit import archives
from tests.unit.hostile import EVIL, HOSTILE, START, hostile


@pytest.fixture(scope="module")
def settled(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> OnHost:
    """The module's host with its app set up, and no release."""
    project = Project(directory=tmp_path_factory.mktemp("hostile"), hosts=(host,)).write()
    assert project.run("setup").status == 0
    return OnHost(lab=lab, host=host, project=project)


# Paths that change by themselves on a host that runs.
MOVING = "/proc /sys /dev /run /tmp /var/tmp /var/log /var/lib/systemd /opt/shop/incoming /opt/shop/releases"


def outside(on_host: OnHost) -> dict[str, str]:
    """All of the host's files but the app's releases: path to type, mode, owner, size, inode and time of change."""
    pruned = " -o ".join(f"-path {path}" for path in MOVING.split())
    text = on_host.sh(f"find / \\( {pruned} \\) -prune -o -printf '%y %m %U:%G %s %i %T@ %C@ %l\\t%p\\0'")
    rows = (entry.split("\t", 1) for entry in text.split("\0") if entry)
    found = {path: what for what, path in rows}
    # Directories above those change their times with them; our ledger grows.
    for path in ("/", "/var", "/opt/shop", "/opt/shop/ledger.jsonl"):
        found.pop(path, None)
    assert len(found) > 3000
    assert "/etc/hostname" in found
    return found


@contextmanager
def nothing_outside_changes(on_host: OnHost) -> Iterator[None]:
    before = outside(on_host)
    yield
    after = outside(on_host)
    changed = {path: (before.get(path), after.get(path)) for path in before.keys() ^ after.keys()}
    changed |= {
        path: (before[path], after[path]) for path in before.keys() & after.keys() if before[path] != after[path]
    }
    assert changed == {}
    strays = f"find / -xdev -name '*{EVIL}*' ! -path '/proc/*' ! -path '/opt/shop/releases/*'; find /run /tmp -name '*{EVIL}*'"
    assert on_host.sh(strays) == ""


def test_one_is_refused_before_the_host_is_even_connected_to(settled: OnHost) -> None:
    project = settled.project
    path = hostile(project.directory / "hostile-1.0.0.tar.gz", "symlink chain")
    with nothing_outside_changes(settled):
        done = project.run("deploy", "--artifact", str(path))
    assert done.status == 2, done.text
    assert "would be written through the link" in done.of("failure")[0]["message"]
    assert not any(event["host"] for event in done.of("phase_started"))
    assert settled.sh("ls -A /opt/shop/releases").split() == []


@pytest.fixture(scope="module")
def link(settled: OnHost) -> Iterator[Connection]:
    loaded = config.load(settled.project.config)
    (host,) = loaded.hosts
    connection = connect(host, loaded.ssh, prompt=lambda _: None, environ={}, note=lambda _: None)
    yield connection
    connection.close()


def stage_unjudged(link: Connection, settled: OnHost, path: Path) -> str:
    """Stage a tarball as if it had been judged to be a harmless one, and return its release's path."""
    loaded = config.load(settled.project.config)
    harmless = load(archives.write(path.with_name("harmless-1.0.0.tar.gz"), START), exec_start="bin/server")
    forged = replace(
        harmless, path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size_bytes=path.stat().st_size
    )
    candidate = plan.Candidate(
        config=loaded, artifact=forged, launch=kinds.launch_of(forged.release, loaded), who="tester"
    )
    remote = Remote(link, host=loaded.hosts[0], app=loaded.app, step_timeout_s=30)
    decided = plan.deploy(
        candidate,
        host=loaded.hosts[0],
        facts=remote.probe(),
        environment=Environment(),
    )
    remote.stage(decided, candidate, on_phase=lambda _: None, on_bytes=lambda _done, _start: None)
    return str(PurePosixPath("/opt/shop/releases") / decided.release)


@pytest.fixture
def unjudged(settled: OnHost, link: Connection, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Stages a hostile tarball past the judge; the sentence with which the host refused it, or nothing."""

    def staged(what: str) -> str:
        try:
            stage_unjudged(link, settled, hostile(tmp_path / "hostile-1.0.0.tar.gz", what))
        except HostError as error:
            return error.message
        return ""

    yield staged
    settled.sh("rm -rf /opt/shop/releases/* /opt/shop/incoming/*")


def test_what_the_judge_would_miss_stays_in_the_staging_directory(
    settled: OnHost, unjudged: Callable[[str], str]
) -> None:
    with nothing_outside_changes(settled):
        refused = {what for what in HOSTILE if unjudged(what)}
    # The rest is unpacked, below the directory of its own: absolute names without their slash, say.
    assert refused >= {
        what for what in HOSTILE if what.startswith(("dots", "symlink chain", "our place", "hard link by"))
    }
    assert settled.sh("find /opt/shop/releases -perm /6000") == ""
    assert settled.sh("find /opt/shop/releases ! -user root") == ""
    assert settled.sh("ls -d /opt/shop/releases/.staging-* 2>/dev/null || true") == "", "what was refused is removed"
    assert int(settled.sh("du -sk /opt/shop/releases").split()[0]) < 1000 * len(HOSTILE), "bombs are holes"


@pytest.mark.parametrize(
    ("what", "got"),
    [("absolute", f"/etc/{EVIL}"), ("dots", f"/etc/{EVIL}"), ("symlink", f"/etc/{EVIL}")],
)
def test_with_other_flags_tar_would_write_elsewhere(
    settled: OnHost, unjudged: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, what: str, got: str
) -> None:
    """Twin: the look at the host's files sees it."""
    real = scripts.part
    monkeypatch.setattr(scripts, "part", lambda name: real(name).replace("--no-same-owner", "--absolute-names", 1))
    try:
        with pytest.raises(AssertionError, match=got), nothing_outside_changes(settled):
            unjudged(what)
    finally:
        settled.sh(f"rm -rf {got}")


@pytest.mark.parametrize("what", ["character device", "block device", "FIFO"])
def test_what_is_no_file_is_no_part_of_a_release_even_unjudged(
    settled: OnHost, unjudged: Callable[[str], str], what: str
) -> None:
    """A device is root's only by its mode: whoever may read the release could read the disk through it."""
    said = unjudged(what)
    assert settled.sh("find /opt/shop/releases ! -type f ! -type d ! -type l") == ""
    assert "must not be unpacked" in said or "could not unpack" in said


def test_who_is_told_of_a_refusal_finds_the_host_cleared_up(
    settled: OnHost, unjudged: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    removal = '|| rm -rf --one-file-system -- "$STAGING"'
    slow = without(scripts.part("stage"), {removal: f"|| {{ sleep 1; {removal[3:]}; }}"})
    real = scripts.part
    monkeypatch.setattr(scripts, "part", lambda name: slow if name == "stage" else real(name))
    assert "must not be unpacked" in unjudged("FIFO")
    assert settled.sh("ls -A /opt/shop/releases") == ""


def test_without_the_look_at_what_was_unpacked_a_device_would_be_in_a_release(
    settled: OnHost, unjudged: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twin, with a FIFO: not every container may make a device."""
    guard = 'odd=$(find "$STAGING" ! -type f ! -type d ! -type l -print -quit)'
    unguarded = without(scripts.part("stage"), {guard: 'odd=""'})
    real = scripts.part
    monkeypatch.setattr(scripts, "part", lambda name: unguarded if name == "stage" else real(name))
    assert unjudged("FIFO") == ""
    assert settled.sh("find /opt/shop/releases -type p") != ""
