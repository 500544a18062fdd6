"""What strikes by lot have in common, whichever tests make them: the seed of the run, and the table at its end."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest

from tests.host.faults.record import FILE_VARIABLE, SEED_VARIABLE, STRIKES_VARIABLE, read_strikes, table

_kept = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Before any worker of the run starts."""
    if hasattr(config, "workerinput"):
        return
    # A short run draws the same each time, so that a change of ours is what a failure comes from; a long one looks further.
    drawn = random.randrange(10**6) if STRIKES_VARIABLE in os.environ else 1  # noqa: S311 - a lot, not a secret
    os.environ.setdefault(SEED_VARIABLE, str(drawn))
    config.stash[_kept] = tempfile.TemporaryDirectory(prefix="deployer-strikes-")
    os.environ[FILE_VARIABLE] = str(Path(config.stash[_kept].name) / "strikes.jsonl")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    strikes = read_strikes(Path(os.environ[FILE_VARIABLE]))
    if strikes:
        terminalreporter.section(f"{len(strikes)} strikes, {SEED_VARIABLE}={os.environ[SEED_VARIABLE]}")
        terminalreporter.write_line(table(strikes))


def pytest_unconfigure(config: pytest.Config) -> None:
    if kept := config.stash.get(_kept, None):
        kept.cleanup()
