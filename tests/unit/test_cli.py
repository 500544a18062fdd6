"""The command line before any task runs: what is not understood ends with status 2 and the next step, no traceback."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import pytest

from deployer import __version__
from deployer.cli import Deployer
from deployer.tasks import GROUPS, namespace


def program(*words: str) -> int:
    """Run the program with these words; return its status."""
    # Invoke takes the help out of a task as it reads it.
    made = Deployer(name="deployer", binary="deployer", namespace=copy.deepcopy(namespace), version=__version__)
    with pytest.raises(SystemExit) as ended:
        made.run(["deployer", *words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (("deplyo",), 'there is no task "deplyo" (did you mean "deploy"?)', "deployer --help deploy"),
        (("zzz",), 'there is no task "zzz"', "deployer --list"),
        (("help",), 'there is no task "help"', "deployer --help"),
        (("help", "deploy"), 'there is no task "help"', "deployer --help TASK"),
        (("--help", "deplyo"), 'there is no task "deplyo" (did you mean "deploy"?)', "deployer --help deploy"),
        (("--config", "a.toml", "status"), "--config stands behind the task", "deployer TASK --config a.toml"),
        (("--host", "prod1", "status"), "--host stands behind the task", "deployer status --host prod1"),
        (("--lst",), "there is no option --lst before a task (did you mean --list?)", "deployer --help"),
        (("--dry", "deploy"), "there is no option --dry before a task", "deployer plan"),
        (("-w", "deploy"), "there is no option --warn-only before a task", "deployer --help"),
        (("--prompt-for-sudo-password", "deploy"), "there is no option --prompt-for-sudo-password before", "--help"),
        (("--list-format", "jsn"), "--list-format jsn is not known", "json"),
        (("--list-depth", "many"), "'many' is not a whole number", "deployer --help"),
        (("--list", "deploy"), "--list takes no word", "deployer --list"),
        (("deploy", "--dry-run"), "there is no option --dry-run", "deployer plan"),
        (("deploy", "--hots", "x"), "deploy has no option --hots (did you mean --host?)", "deployer --help deploy"),
        (("deploy", "--no_activate"), "deploy has no option --no_activate (did you mean --no-activate?)", "--help"),
        (("deploy", "--list"), "deploy has no option --list", "deployer --help deploy"),
        (("deploy", "--plan=yes"), "--plan takes no value", "deployer deploy --plan"),
        (("deploy", "--host"), "--host stands there without a value", "deployer deploy --host NAME"),
        (("deploy", "--host", "a", "--host"), "--host stands there without a value", "deploy --host NAME"),
        (("deploy", "--host", "--plan"), "--host stands there without a value, and --plan follows", "--host NAME"),
        (("status", "--config"), "--config stands there without a value", "deployer status --config FILE"),
        (("status", "--config", "a", "--config", "b"), "--config is given twice", "deployer status --config FILE"),
        (("deploy", "status"), "one task at a time, and here are deploy and status", "deployer deploy, then: deployer"),
        (("status", "prod1"), 'status takes no further word, and "prod1" is one', "deployer status --host prod1"),
        (("sandbox", "up", "web1"), 'sandbox takes no further word, and "web1"', "deployer sandbox up --name web1"),
        (("status", "--", "x"), "nothing can stand behind --", "deployer run"),
        (("run",), "run needs a command: ", 'deployer run "COMMAND"'),
        (("run", "uptime", "restart"), "the command is one word", 'quote it: deployer run "uptime restart"'),
        (("run", "ls", "-la", "--host", "a"), "the command is one word", 'quote it: deployer run "ls -la"'),
        (("run", "echo", "$HOME"), "the command is one word", "quote it: deployer run 'echo $HOME'"),
        (("run", "uptime", "--hots", "a"), "run has no option --hots (did you mean --host?)", "deployer --help run"),
        (("pin",), "pin needs a release: ", "deployer pin RELEASE"),
        (("sandbox",), "sandbox needs an action: up, list, ssh, reboot, powercut, boot or down", "sandbox ACTION"),
        (("status", "--output", "loud"), "--output loud is not known", "one of auto, rich, plain, json"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_a_faulty_command_line_is_told_with_the_next_step(
    words: tuple[str, ...], said: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    error, following = err.splitlines()
    assert error.startswith(f"error: {said}")
    assert following.startswith("next: ")
    assert hint in following


@pytest.mark.parametrize("output", [("--output", "json"), ("--output=json",)], ids=" ".join)
@pytest.mark.parametrize(
    "words", [("deplyo",), ("deploy", "--host"), ("run", "a", "b"), ("pin",), ("--dry", "deploy")], ids=" ".join
)
def test_a_program_is_told_of_a_faulty_line_in_json(
    words: tuple[str, ...], output: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for line in ((*words, *output), (*output, *words)):
        assert program(*line) == 2
        out, err = capsys.readouterr()
        (event,) = map(json.loads, out.splitlines())
        assert (event["type"], event["exit_code"], err) == ("failure", 2, "")
        assert event["hint"]


@pytest.mark.parametrize(
    "words", [("--help", "run"), ("run", "--help"), ("run", "-h"), ("run", "ls", "--help")], ids=" ".join
)
def test_the_help_of_a_task_shows_what_stands_bare(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert program(*words) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: deployer run COMMAND [OPTIONS]\n\nRun a command as the service would")
    own, common = out.split("Options of every task:")
    assert "  --command COMMAND " in own
    assert [line.split()[:2] for line in common.splitlines() if line.startswith("  --")] == [
        ["--config", "FILE"],
        ["--host", "NAME"],
        ["--output", "KIND"],
    ]


def test_a_pin_asks_for_no_more_of_an_id_than_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert program("pin") == 2
    assert "or the beginning that only one has" in capsys.readouterr().err


def contents(text: str) -> dict[str, list[str]]:
    """Return the tasks of a list below their headings; every line that is a task's has its help."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith((" ", "Options")):
            found[line[:-1].lower()] = []
        elif line.startswith("  ") and found:
            name, help_text = line.split(maxsplit=1)
            assert help_text.endswith(".")
            found[list(found)[-1]].append(name)
    return found


@pytest.mark.parametrize("words", [("--list",), ("--help",), ()], ids=["--list", "--help", "nothing"])
def test_the_list_is_a_table_of_contents(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert program(*words) == 0
    out = capsys.readouterr().out
    assert contents(out) == {group: list(names) for group, names in GROUPS.items()}
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", sorted(namespace.tasks))
def test_the_help_of_a_task_is_plain_and_fits(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program("--help", name) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: deployer {name} ")
    assert out.isascii()
    assert max(map(len, out.splitlines())) <= 80


def test_every_task_is_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(namespace.tasks)


def test_the_list_for_programs_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert program("--list-format", "json", "--list") == 0
    assert {each["name"] for each in json.loads(capsys.readouterr().out)["tasks"]} == set(namespace.tasks)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "--host"), "--host stands there without a value"),
        (("deploy", "--host", "--output", "json"), "--host stands there without a value"),
    ],
)
def test_an_empty_variable_does_not_mean_the_default_hosts(words: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployer", *words],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert said in done.stdout + done.stderr


def test_a_closed_terminal_does_not_end_what_was_started_with_nohup() -> None:
    program = """
import contextlib, os, signal, sys
from deployer.cli import main
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.argv[1:] = ["--version"]
with contextlib.suppress(SystemExit):
    main()
os.kill(os.getpid(), signal.SIGHUP)
print("still here")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "still here" in done.stdout, done


def test_a_reader_that_goes_away_ends_the_help_quietly() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{sys.executable}' -m deployer --help deploy | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("Usage: ")
