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
        (("deploy", "--parallel", "many"), "next: deployer --list"),
        (("deplyo",), "next: deployer --list"),
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


def test_a_reader_that_goes_away_ends_the_help_quietly() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{sys.executable}' -m deployer --help deploy | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("Usage: ")
