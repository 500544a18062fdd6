"""What starts often starts light: no heavy module is loaded before a task needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Not among them: ssl and asyncio, which Invoke itself loads.
HEAVY = ("rich", "paramiko", "fabric", "cryptography", "tomli", "tarfile")

RUN = """
import sys
sys.argv = sys.argv[1:]
from invoke.main import program
from deployer.cli import main
status = 0
try:
    main() if sys.argv[0] == "deployer" else program.run()
except SystemExit as end:
    status = end.code
print("loaded:", *(name for name in sys.modules if "." not in name))
sys.exit(status)
"""


def loaded(*words: str) -> set[str]:
    """Return the top modules that a command line has loaded when it ends."""
    argv = (sys.executable, "-c", RUN, *words)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "words",
    [
        ("deployer", "--version"),
        ("deployer", "--list"),
        ("deployer", "--help", "deploy"),
        ("deployer", "--complete", "--", "deployer de"),
        ("inv", "--list"),
    ],
    ids=" ".join,
)
def test_a_look_at_the_commands_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    modules = loaded(*words)
    assert "invoke" in modules
    assert modules.isdisjoint(HEAVY)


def test_the_output_that_is_wanted_is_the_one_that_is_loaded() -> None:
    # The twin of the test above, too: a module that is loaded is seen.
    assert "rich" not in loaded("deployer", "sandbox", "list", "--output", "plain")
    assert "rich" in loaded("deployer", "sandbox", "list", "--output", "rich")
