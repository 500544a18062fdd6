"""Which commit goes into the ledger: that of the source that was built here, and of no other tarball."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deployer.verbs import deploying
from deployer.verbs.run import Run

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
TEXT = '[app]\nname = "shop"\nuser = "app"\n[service]\nexec_start = "/usr/bin/true"\n[artifact]\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy.toml").write_text(TEXT)
    for words in (("init", "-q"), ("add", "deploy.toml"), ("commit", "-q", "-m", "first")):
        subprocess.run((*GIT, *words), check=True, cwd=tmp_path)
    (tmp_path / "a").write_text("a")
    subprocess.run(("tar", "-czf", "shop-1.0.tar.gz", "a"), check=True, cwd=tmp_path)
    return tmp_path


def revision(project: Path, line: str, artifact: str = "") -> str:
    (project / "deploy.toml").write_text(TEXT + line)
    run = Run(config=str(project / "deploy.toml"), wanted=(), output="plain", environ={"DEPLOYER_WHO": "ana"})
    return deploying._candidate(run, artifact).revision


def test_the_commit_is_that_of_what_was_built_here_alone(project: Path) -> None:
    head = subprocess.run((*GIT, "rev-parse", "HEAD"), check=True, cwd=project, capture_output=True, text=True).stdout
    assert revision(project, 'path = "shop-*.tar.gz"\n') == f"{head[:12]}+"
    assert revision(project, 'path = "shop-*.tar.gz"\n', "shop-1.0.tar.gz") == ""
    assert revision(project, f'url = "{(project / "shop-1.0.tar.gz").as_uri()}"\n') == ""
