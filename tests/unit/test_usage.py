"""What a command line may hold: lines that are fine are let pass, whatever their values look like."""

from __future__ import annotations

import copy

import pytest

from deployer.tasks import namespace
from deployer.usage import judge

TASKS = {str(each.name): each for each in copy.deepcopy(namespace).to_contexts()}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("deploy",),
        ("deploy", "--host", "a", "--host=b", "--plan", "--plan"),
        ("logs", "--since", "-1h", "--until=-5min", "--grep", "--fast"),
        ("logs", "--grep", "status", "--deploy", "deploy"),
        ("run", "ls -l; status"),
        ("run", "status"),
        ("run", "--host", "a", "uptime"),
        ("run", "--command", "uptime", "--host", "a"),
        ("pin", "--release=1.0.0-0123abcd", "--remove"),
        ("sandbox", "ssh", "--command", "-"),
    ],
    ids=" ".join,
)
def test_a_line_that_is_fine_passes(words: tuple[str, ...]) -> None:
    assert judge(words, TASKS) == ""


def test_help_is_seen_before_anything_is_missing() -> None:
    assert judge(("pin", "--help"), TASKS) == "pin"
    assert judge(("deploy", "--hots", "-h"), TASKS) == "deploy"
