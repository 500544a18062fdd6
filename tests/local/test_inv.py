"""`inv` with our tasks: it lists and complains as `deployer` does, and leaves a project's own tasks alone."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.tasks import GROUPS

TASKS = """
from invoke import task
from deployer.{room} import namespace
@task
def mine(_context):
    "Do what this project needs."
    print("mine ran")
namespace.add_task(mine)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(TASKS.format(room="inv"))
    return tmp_path


def inv(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "invoke", *words), cwd=project, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_list_is_that_of_deployer_with_the_projects_own_behind(project: Path) -> None:
    ours = subprocess.run(
        (sys.executable, "-m", "deployer", "--list"), capture_output=True, text=True, check=True, timeout=60
    ).stdout
    body, end = ours.rsplit("What a task takes: ", 1)
    assert end == "deployer --help TASK\n"
    own = "Of this project:\n  mine       Do what this project needs.\n\nWhat a task takes: inv --help TASK\n"
    done = inv(project, "--list")
    assert (done.returncode, done.stdout, done.stderr) == (0, body + own, "")
    assert {each["name"] for each in json.loads(inv(project, "--list", "-F", "json").stdout)["tasks"]} > {"mine"}


def test_the_help_of_a_task_is_that_of_deployer(project: Path) -> None:
    assert inv(project, "--help", "run").stdout.startswith("Usage: inv run COMMAND [OPTIONS]\n\nRun a command as")
    assert "Do what this project needs." in inv(project, "--help", "mine").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deplyo",), 'there is no task "deplyo" (did you mean "deploy"?)'),
        (("--help", "deplyo"), 'there is no task "deplyo" (did you mean "deploy"?)'),
        (("mnie",), 'there is no task "mnie" (did you mean "mine"?)'),
        (("deploy", "--hots", "x"), "deploy has no option --hots (did you mean --host?)"),
        (("mine", "deploy", "--hots", "x"), "deploy has no option --hots (did you mean --host?)"),
        (("run",), "run needs a command"),
        (("status", "--config"), "--config stands there without a value"),
        (("status", "prod1"), 'status takes no further word, and "prod1" is one'),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_is_not_known_is_told_with_what_was_meant(project: Path, words: tuple[str, ...], said: str) -> None:
    done = inv(project, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}")
    assert "\nnext: " in done.stderr
    if words[0] != "--help" and words[-1] != "--config":
        done = inv(project, *words, "--output", "json")
        (event,) = map(json.loads, done.stdout.splitlines())
        assert (done.returncode, done.stderr, event["message"].startswith(said)) == (2, "", True), event


def test_a_task_of_the_project_runs_and_may_be_one_of_several(project: Path) -> None:
    done = inv(project, "mine", "sandbox", "list", "--output", "json")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "mine ran")


def test_the_tasks_alone_leave_inv_as_it_is_and_say_their_groups(project: Path) -> None:
    (project / "tasks.py").write_text(TASKS.format(room="tasks"))
    done = inv(project, "--list")
    found = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {name: text.partition(": ")[0] for name, text in found if name != "mine"} == {
        name: group for group, names in GROUPS.items() for name in names
    }
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert inv(project, "deplyo").stderr == "No idea what 'deplyo' is!\n"


def test_only_an_inv_that_runs_is_changed() -> None:
    code = "import deployer.inv; from invoke.main import program; print(type(program).__name__)"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "Program\n"


@pytest.mark.parametrize("words", [("--list",), ("--help", "deploy")], ids=" ".join)
@pytest.mark.parametrize(("is_full", "status"), [(False, 141), (True, 1)], ids=["closed", "full"])
def test_a_list_that_nobody_reads_is_no_bug(
    project: Path, words: tuple[str, ...], *, is_full: bool, status: int
) -> None:
    line = f"exec {shlex.quote(sys.executable)} -m invoke {' '.join(words)}"
    command = f"({line}) >/dev/full" if is_full else f"set -o pipefail; (sleep 0.5; {line}) | true"
    done = subprocess.run(("bash", "-c", command), cwd=project, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
