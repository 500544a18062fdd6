from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from deployer.events import Listing, Note
from deployer.output import Kind, open_output
from deployer.output.sink import Sink

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Latin(Terminal):
    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "iso-8859-1"


@pytest.mark.parametrize(
    ("kind", "stderr", "environ", "chosen"),
    [
        ("auto", Terminal(), {"TERM": "xterm"}, "Screen"),
        ("auto", Terminal(), {"TERM": "dumb"}, "Plain"),
        ("auto", Terminal(), {}, "Plain"),
        ("auto", Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, "Screen"),
        ("auto", Latin(), {"TERM": "xterm"}, "Plain"),
        ("auto", io.StringIO(), {"TERM": "xterm"}, "Plain"),
        ("auto", io.StringIO(), {"TERM": "xterm", "CI": "true"}, "Plain"),
        ("auto", io.StringIO(), {"FORCE_COLOR": "1"}, "Screen"),
        ("auto", io.StringIO(), {"FORCE_COLOR": "0"}, "Plain"),
        ("auto", io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, "Plain"),
        ("rich", io.StringIO(), {}, "Screen"),
        ("rich", Latin(), {"TERM": "xterm"}, "Plain"),
        ("plain", Terminal(), {"TERM": "xterm"}, "Plain"),
        ("json", Terminal(), {"TERM": "xterm"}, "JsonLines"),
    ],
)
def test_the_output_fits_the_streams(kind: Kind, stderr: io.StringIO, environ: dict[str, str], chosen: str) -> None:
    output = open_output(kind, stdout=io.StringIO(), stderr=stderr, environ=environ)
    assert type(output).__name__ == chosen


@pytest.mark.parametrize("kind", ["plain", "json"])
def test_rich_is_not_loaded_without_need(kind: str) -> None:
    program = f"""
import io, sys
from deployer.events import Note
from deployer.output import open_output
with open_output({kind!r}, stdout=io.StringIO(), stderr=io.StringIO(), environ={{}}) as output:
    output.emit(Note(level="info", text="x"))
sys.exit("rich" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("kind", ["rich", "plain", "json"])
def test_a_reader_that_goes_away_ends_nothing(kind: str) -> None:
    program = f"""
import os, sys, time
from deployer.events import Listing, Note
from deployer.output import open_output
with open_output({kind!r}, stdout=sys.stdout, stderr=sys.stdout, environ=os.environ) as output:
    for number in range(5000):
        output.emit(Note(level="info", text="x" * 100))
        output.emit(Listing(name="row", columns=("a",), rows=({{"a": number}},)))
print("the rest of the run", file=sys.stderr)
sys.exit(7)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(timeout=30), said) == (7, b"the rest of the run\n")


def test_a_full_disk_silences_a_stream_and_is_remembered() -> None:
    told: list[str] = []
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        sink = Sink(full, on_gone=lambda: told.append("gone"))
        for _ in range(2):
            sink.write("x")
            sink.flush()
    assert (sink.fault, sink.is_unread, told) == ("No space left on device", False, ["gone"])


def test_a_stream_without_the_characters_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    sink = Sink(stream)
    sink.write("naïve 漢 \U0001f600\n")
    sink.flush()
    assert raw.getvalue() == b"na\\xefve \\u6f22 \\U0001f600\n"


@pytest.mark.parametrize("kind", ["rich", "plain", "json"])
def test_nothing_is_written_while_a_question_is_asked(kind: Any) -> None:
    stdout, stderr = Terminal(), Terminal()
    environ = {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    after = Listing(name="row", columns=("a",), rows=({"a": "after"},))
    with open_output(kind, stdout=stdout, stderr=stderr, environ=environ) as output:
        output.emit(Note(level="info", text="before"))
        with output.paused():
            shown = stdout.getvalue() + stderr.getvalue()
            assert "before" in shown
            other = threading.Thread(target=output.emit, args=(after,))
            other.start()
            other.join(timeout=0.3)  # longer than a screen waits between two drawings
            assert stdout.getvalue() + stderr.getvalue() == shown
        other.join()
    assert "after" in stdout.getvalue()


def test_the_environment_of_the_tests_does_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "FORCE_COLOR" in os.environ
    output = open_output("auto", stdout=io.StringIO(), stderr=io.StringIO(), environ={})
    assert type(output).__name__ == "Plain"
