"""The command line before any task runs: what is not understood ends with status 2 and no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deployer import __version__
from deployer.cli import Deployer
from deployer.tasks import namespace


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--config", "config/deploy.toml", "status"), "deployer TASK --config config/deploy.toml"),
        (("--host", "prod1", "status"), "next: deployer --list"),
        (("deploy", "--parallel", "many"), "--parallel many is not a whole number"),
        (("deplyo",), "next: deployer --list"),
        (("--dry", "deploy"), "there is no option --dry before a task"),
        (("--prompt-for-sudo-password", "deploy"), "there is no option --prompt-for-sudo-password before a task"),
        (("run", "uptime", "status"), 'next: quote the command: deployer run "… status …"'),
        (("status", "restart"), "one task at a time, and here are status and restart"),
        (("status", "--output", "loud"), "next: one of auto, rich, plain, json"),
    ],
)
def test_a_faulty_command_line_is_told_with_the_next_step(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        Deployer(name="deployer", binary="deployer", namespace=namespace, version=__version__).run(["deployer", *words])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "--host"), "--host stands there without a name"),
        (("deploy", "--host", "--output", "json"), "--host stands there without a name"),
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
