"""script/demo, as a user runs it: all its steps, and nothing left of it, also when it is cut off."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.sandbox import Lab
from deployer.sandbox.network import has_link
from deployer.sandbox.processes import name_of
from deployer.sandbox.state import State

ROOT = Path(__file__).parents[2]
STEPS = (
    "$ deployer sandbox up --suite",
    "$ deployer setup --host sandbox1",
    "$ HELLO_VSN=1.0.0 deployer deploy --host sandbox1",
    "answers: Hello, world (1.0.0)",
    "$ HELLO_VSN=1.1.0 deployer deploy --host sandbox1",
    "answers: Hello, world (1.1.0)",
    "$ HELLO_VSN=1.2.0 deployer deploy --host sandbox1",
    "1.2.0-",
    "did not prove itself",
    "answered 500, not 200",
    "==> Exit status 1, as expected",
    "answers: Hello, world (1.1.0)",
    "$ deployer status --host sandbox1",
    "$ deployer releases --host sandbox1",
    "$ deployer rollback --host sandbox1",
    "answers: Hello, world (1.0.0)",
    "$ deployer sandbox powercut",
    "$ deployer sandbox boot",
    "answers: Hello, world (1.0.0)",
    "==> That was all of it",
    "Read next: README.md",
    "==> Clearing up",
)


@pytest.fixture
def temporary(can_run_hosts: None, tmp_path: Path) -> Iterator[Path]:
    """A directory with a space in its path for all that the demo puts down; a demo that fails is cleared away."""
    directory = tmp_path / "a place"
    directory.mkdir()
    yield directory
    for left in directory.glob("*/sandbox"):
        Lab(left).down()


def started(temporary: Path) -> subprocess.Popen[str]:
    """Start the demo without a terminal, as the leader of a process group of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYER_")}
    cache = {name: value for name, value in os.environ.items() if name == "DEPLOYER_CACHE"}
    return subprocess.Popen(
        (ROOT / "script/demo",),
        cwd=temporary,
        env={**kept, **cache, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_with(text: str) -> list[str]:
    """Return the processes that have a text in their command line, environment or working directory, but for us."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            told = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
            told += os.fsencode((directory / "cwd").readlink())
        except OSError:
            continue  # it ended while we looked
        if os.fsencode(text) in told and int(directory.name) != os.getpid():
            found.append(f"{directory.name} {name_of(int(directory.name))}")
    return found


def assert_nothing_is_left(temporary: Path, output: str) -> None:
    place = re.search(r"all of it is in (\S.*), and is removed", output)
    assert place, output
    assert list(temporary.iterdir()) == []
    assert processes_with(str(temporary)) == []
    assert not has_link(State(Path(place[1]) / "sandbox").bridge)


@pytest.mark.timeout(290)
def test_the_demo_shows_all_its_steps_and_leaves_nothing(temporary: Path) -> None:
    with started(temporary) as demo:
        output, _ = demo.communicate(timeout=280)
    assert demo.returncode == 0, output
    at = 0
    for step in STEPS:
        found = output.find(step, at)
        assert found >= 0, f"{step} is not in what follows:\n{output[at:]}"
        at = found + len(step)
    assert "\x1b" not in output
    assert_nothing_is_left(temporary, output)


@pytest.mark.parametrize(("cut", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_cut_off_leaves_nothing(temporary: Path, cut: signal.Signals, status: int) -> None:
    with started(temporary) as demo:
        assert demo.stdout is not None
        output = ""
        deadline = time.monotonic() + 120
        while "trial-migrate" not in output and time.monotonic() < deadline:
            line = demo.stdout.readline()
            assert line, output
            output += line
        # While a release is activated on the host. Ctrl-C and a closed terminal reach the whole group.
        assert processes_with(str(temporary))
        os.killpg(demo.pid, cut)
        rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == status, output + rest
    assert f"The demo was cut off (exit status {status})" in rest
    assert_nothing_is_left(temporary, output + rest)
