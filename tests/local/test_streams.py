"""Standard streams that are closed, full or no longer read: work goes on where it must, and the status tells."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.shop import built_by

CONFIG = built_by("seq 3000; touch built; false")
SANDBOX = f"{shlex.quote(sys.executable)} -m deployer sandbox list"
BUILD = f"{shlex.quote(sys.executable)} -m deployer build"
# A verb whose lines are its results, without an end of its own.
ENDLESS = """
import sys
from deployer.events import CommandLine
from deployer.task import execute
def work(run):
    while not run._stopped.is_set():
        run.emit(CommandLine(host="web1", command="run", text="y"))
    return 5
sys.exit(execute(work, [], "", sys.argv[1], lines_are_results=True, goes_on_unread=False))
"""


def shell(line: str, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        ("bash", "-c", f"set -o pipefail; {line}"), cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "deploy.toml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize("output", ["plain", "json", "rich"])
def test_results_that_nobody_reads_on_end_the_work(place: Path, output: str) -> None:
    begun = time.monotonic()
    status, out, err = shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(ENDLESS)} {output} | head -n 1", place)
    assert (status, len(out.splitlines()), err) == (141, 1, "")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("output", ["plain", "json", "rich"])
def test_results_that_cannot_be_written_are_told_of_and_count(place: Path, output: str) -> None:
    status, _, err = shell(f"{SANDBOX} --output {output} >/dev/full", place)
    assert "Traceback" not in err
    # JSON has no line for an empty list.
    assert status == (0 if output == "json" else 1)
    assert ("standard output could not be written: No space left on device" in err) == (output != "json")


@pytest.mark.parametrize("output", ["plain", "json", "rich"])
@pytest.mark.parametrize("streams", [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_run_goes_on_whatever_its_streams_are(place: Path, output: str, streams: str) -> None:
    status, out, err = shell(f"{BUILD} --config deploy.toml --output {output} {streams}", place)
    assert (status, (place / "built").exists()) == (2, True), out + err
    assert "Traceback" not in out + err


def test_a_closed_stream_is_no_fault(place: Path) -> None:
    assert shell(f"{SANDBOX} >&-", place) == (0, "", "")


def test_help_to_a_full_disk_says_so(place: Path) -> None:
    status, _, err = shell(f"{shlex.quote(sys.executable)} -m deployer --help >/dev/full", place)
    assert (status, err) == (1, "error: standard output could not be written: No space left on device\n")
