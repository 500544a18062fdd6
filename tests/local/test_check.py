"""`check` on this machine alone: what can be said before any host is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
APP = '[app]\nname = "shop"\nuser = "app"\n'
TEMPLATE = "[Service]\nExecStart={{release}}/x\nEnvironmentFile={{env_file}}\n[Install]\nWantedBy=multi-user.target\n"


def check(directory: Path, text: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status and the events of `check` with a config, which has none of our hosts in it."""
    (directory / "deploy.toml").write_text(APP + text)
    done = subprocess.run(
        [sys.executable, "-m", "deployer", "check", "--config", "deploy.toml", "--output", "json", *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(directory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def rows(events: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    return [(row["host"], row["check"], row["ok"]) for row in events if row["type"] == "check"]


def test_without_hosts_what_is_here_is_looked_at_all_the_same(tmp_path: Path) -> None:
    status, events = check(tmp_path, '[service]\nexec_start = "bin/server"\n')
    assert status == 2
    assert rows(events) == [
        ("here", "config", True),
        ("here", "artifact", True),
        ("here", "hosts", False),
        ("here", "environment", True),
    ]


def test_a_missing_environment_is_told_without_hosts_too(tmp_path: Path) -> None:
    _, events = check(tmp_path, '[env]\nfile = "prod.env"\n')
    assert ("here", "environment", False) in rows(events)


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_template_that_cannot_be_read_is_a_fault_of_the_config(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "my.service").write_bytes(content)
    status, events = check(tmp_path, '[service]\ntemplate = "my.service"\n')
    (failure,) = [event for event in events if event["type"] == "failure"]
    assert status == 2
    assert "deploy.toml:5: service.template: the unit template" in json.dumps(failure)


@pytest.mark.parametrize(
    "text",
    [
        '[service]\ntemplate = "my.service"\n',
        "[service.directives]\nRemainAfterExit = true\nRestart = false\nType = false\n",
    ],
)
def test_rendered_units_and_templates_are_remarked_alike(tmp_path: Path, text: str) -> None:
    (tmp_path / "my.service").write_text(TEMPLATE.replace("[Install]", "RemainAfterExit=yes\n[Install]"))
    _, events = check(tmp_path, text)
    told = [row for row in events if row["type"] == "check" and row["check"] == "unit text"]
    assert len(told) >= 3
    assert "warning: RemainAfterExit=yes hides crashes" in json.dumps(events)
    # Advice alone is no reason for a pipeline to stop.
    assert {(row["ok"], row["warning"]) for row in told} == {(True, True)}


def test_a_faulty_config_that_was_named_is_named_in_what_is_next(tmp_path: Path) -> None:
    status, (failure,) = check(tmp_path, "prot = 1\n")
    assert (status, failure["hint"]) == (2, "mend it and look again with: deployer check --config deploy.toml")
