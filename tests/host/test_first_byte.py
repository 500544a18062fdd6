"""No secret lies in a file that others may read, not for an instant: each file is looked at while it is written.

After that: where on the whole host, and on this machine, are the secrets?
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deployer.sandbox import Lab, SandboxHost
from deployer.sandbox.commands import as_root
from deployer.sandbox.machine import init_of
from tests.host.project import OnHost, Project

PLACES = ("/", "/run", "/tmp", "/dev/shm")


@dataclass(kw_only=True)
class Watched:
    """What a watcher saw; complete when its context is left."""

    wide: list[tuple[str, str, str]] = field(default_factory=list)
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def paths(self) -> set[str]:
        return {path.removesuffix(" (deleted)") for path, _, _ in self.seen}


@contextmanager
def watching(host: SandboxHost, marks: list[str]) -> Iterator[Watched]:
    """Look at each file of the host, in every moment in which it is opened or written."""
    argv = (sys.executable, str(Path(__file__).with_name("watcher.py")), f"/proc/{init_of(host.machine)}/root", *PLACES)
    found = Watched()
    with subprocess.Popen(as_root(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        try:
            watcher.stdin.write("".join(f"{mark}\n" for mark in marks) + "\n")
            watcher.stdin.flush()
            assert watcher.stdout.readline() == "ready\n"
            yield found
        finally:
            watcher.stdin.close()
            told: dict[str, Any] = json.loads(watcher.stdout.readline() or "{}")
    found.wide = [(path, mode, owner) for path, mode, owner in told["wide"]]
    found.seen = [(path, mode, owner) for path, mode, owner in told["seen"]]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    on_host: OnHost
    marks: list[str]
    watched: Watched
    output: str

    def having(self, *places: str) -> list[str]:
        """The files below some places of the host that hold a mark."""
        return self.on_host.sh(
            f"grep -rslaF -e {' -e '.join(self.marks)} -- {' '.join(places)} || true", timeout_s=60
        ).splitlines()


@pytest.fixture(scope="module")
def deployed(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A first deploy, one with another secret, one that fails and goes back, and a rollback: watched from start to end."""
    project = Project(directory=tmp_path_factory.mktemp("first-byte"), hosts=(host,))
    marks = [f"mark-{number}-{secrets.token_hex(8)}" for number in range(2)]
    project.env = 'file = "prod.env"\nset = { GREETING = "hello" }'
    project.service = 'exec_start = "bin/server"\nmigrate = ["true"]'
    project.health = project.health.replace('"8s"', '"4s"') + '\ncommand = "true"'
    project.write()
    file = project.config.parent / "prod.env"
    file.touch(mode=0o600)
    on_host = OnHost(lab=lab, host=host, project=project)
    environ = {"DEPLOYER_VERBOSE": "1"}
    output = []
    with watching(host, marks) as watched:
        for number, version, brk, status in ((0, "1.0.0", "", 0), (1, "1.1.0", "", 0), (1, "1.2.0", "500", 1)):
            file.write_text(f'KEY={marks[number]}\nLONG="{marks[number]}{"x" * 20_000}"\n')
            tarball = str(project.tarball(version, brk))
            done = project.run("deploy", "--artifact", tarball, environ=environ)
            assert done.status == status, done.text
            output.append(done.text)
        for words in (
            ("rollback",),
            ("run", "true"),
            ("check",),
            ("plan", "--artifact", tarball),
            ("status",),
            ("env",),
        ):
            done = project.run(*words, environ=environ)
            assert done.status == 0, done.text
            output.append(done.text)
    return Deployed(on_host=on_host, marks=marks, watched=watched, output="".join(output))


def test_no_file_with_a_secret_was_ever_open_to_others(deployed: Deployed) -> None:
    assert deployed.watched.wide == []


def test_the_watcher_saw_the_files_that_have_them(deployed: Deployed) -> None:
    """Twin: it did look."""
    paths = deployed.watched.paths
    assert any(path.endswith("/etc/default/shop.env.deployer-new") for path in paths), paths
    assert any(path.endswith("/.deployer/env") for path in paths), paths


@pytest.mark.parametrize(
    "written",
    [
        "umask 022; echo {mark} >{file}; chmod 0600 {file}; rm {file}",
        "umask 022; : >{file}; chmod 0600 {file}; echo {mark} >>{file}; rm {file}",
        "umask 077; echo {mark} >{file}; chown daemon {file}; cat {file}; rm {file}",
        "umask 077; echo {mark} >{file}; chmod 0644 {file}; cat {file}; rm {file}",
    ],
    ids=["wide until chmod", "wide while empty", "somebody else's", "opened up"],
)
@pytest.mark.parametrize("place", ["/etc/default", "/run", "/tmp"])
def test_a_file_that_is_open_to_others_for_an_instant_is_seen(deployed: Deployed, place: str, written: str) -> None:
    """Twin."""
    mark = f"mark-{secrets.token_hex(8)}"
    host = deployed.on_host.host
    with watching(host, [mark]) as watched:
        deployed.on_host.sh(written.format(mark=mark, file=f"{place}/twin"))
    assert any("twin" in path for path, _, _ in watched.wide), watched


def test_without_our_umask_it_would_have_been_seen(deployed: Deployed, tmp_path: Path) -> None:
    """Twin: the same program with umask 022 in place of 077."""
    mark = f"mark-{secrets.token_hex(8)}"
    host = deployed.on_host.host
    project = Project(directory=tmp_path, hosts=(host,), name="twin", health='settle = "0.2s"').write()
    project.env = f'set = {{ KEY = "{mark}" }}'
    project.write()
    (tmp_path / "sitecustomize.py").write_text(
        "import deployer.host.scripts as s\n"
        "real = s.part\n"
        "s.part = lambda name: real(name).replace('umask 077', 'umask 022')\n"
    )
    tarball = str(project.tarball("1.0.0", "noport"))
    with watching(host, [mark]) as watched:
        done = project.run("deploy", "--artifact", tarball, environ={"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"})
    assert done.status == 0, done.text
    assert any("twin.env" in path and mode == "0644" for path, mode, _ in watched.wide), watched


def test_only_two_places_of_the_host_have_them(deployed: Deployed) -> None:
    """Whatever was written: histories of shells, cores, temporary files, journals, caches."""
    having = deployed.having("/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr/local", "/var")
    ours = [path for path in having if path.startswith("/opt/shop/releases/") and path.endswith("/.deployer/env")]
    assert sorted(set(having) - set(ours)) == ["/etc/default/shop.env"]
    assert len(ours) >= 3


def test_nothing_of_this_machine_has_them_but_the_file_they_come_from(deployed: Deployed) -> None:
    directory = deployed.on_host.project.directory  # the program's home, cache and working directory
    files = [path for path in directory.rglob("*") if path.is_file()]
    having = [path for path in files if any(mark.encode() in path.read_bytes() for mark in deployed.marks)]
    assert having == [directory / "config/prod.env"]
    assert len(files) > 3


def test_nothing_that_was_shown_has_them(deployed: Deployed) -> None:
    assert [mark for mark in deployed.marks if mark in deployed.output] == []
    assert "GREETING" in deployed.output, "twin: names are shown"
