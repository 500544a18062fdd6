"""What Invoke would take for something else is refused by the task itself: so under `inv` as under `deployer`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.shop import PROGRAMS, built_by

ROOT = Path(__file__).parents[2]
CONFIG = built_by("touch begun; exit 1")


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A project; the file that its build writes."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").write_text(CONFIG)
    return tmp_path / "config/begun"


def run(begun: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=begun.parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deploy", "--parallel", "many"), "--parallel many is not a whole number"),
        (("deploy", "--parallel", "0"), "--parallel 0 is not possible"),
        (("rollback", "--parallel", "-1"), "--parallel -1 is not possible"),
        (("prune", "--keep", "1.5"), "--keep 1.5 is not a whole number"),
        (("prune", "--keep", "0"), "--keep 0 is not possible"),
        (("deploy", "--artifact="), "--artifact is empty"),
        (("deploy", "--config", "", "--host", "web1"), "--config is empty"),
        (("deploy", "--host="), "--host is empty"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_a_value_that_cannot_be_meant_is_refused_before_anything_is_done(
    begun: Path, program: str, words: tuple[str, ...], said: str
) -> None:
    done = run(begun, *PROGRAMS[program], *words, "--output", "json")
    (event,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr, begun.exists()) == (2, "", False)
    assert (event["type"], event["exit_code"], event["message"].startswith(said)) == ("failure", 2, True), event


def test_without_it_the_build_would_have_begun(begun: Path) -> None:
    assert run(begun, *PROGRAMS["deployer"], "deploy", "--parallel", "1").returncode == 2
    assert begun.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--dry", "deploy"), "there is no --dry"),
        (("deploy", "--host"), "--host stands there without a value"),
        (("deploy", "--host", "--plan"), "--host stands there without a value"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_inv_lets_pass_is_refused(begun: Path, words: tuple[str, ...], said: str) -> None:
    done = run(begun, *PROGRAMS["inv"], *words)
    assert (done.returncode, begun.exists(), said in done.stderr) == (2, False, True), done
