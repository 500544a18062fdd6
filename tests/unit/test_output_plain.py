from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator

import pytest

from deployer.events import (
    CommandLine,
    Event,
    Failure,
    HostEnded,
    JournalLine,
    Listing,
    Note,
    PhaseEnded,
    PhaseStarted,
    Progress,
    Summary,
    Text,
    Verdict,
)
from deployer.output.plain import Plain

NOON = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def written(*events: Event | float, verbose: int = 0, lines_are_results: bool = False) -> tuple[str, str]:
    """Return what goes to standard output and standard error; a number lets that many seconds pass."""
    clock, stdout, stderr = Clock(), io.StringIO(), io.StringIO()
    with Plain(
        stdout=stdout,
        stderr=stderr,
        verbose=verbose,
        lines_are_results=lines_are_results,
        clock=clock,
        monotonic=clock,
    ) as output:
        for event in events:
            if isinstance(event, float):
                clock.now += event
            else:
                output.emit(event)
    return stdout.getvalue(), stderr.getvalue()


def line(message: str, host: str = "prod1", priority: int = 6, *, at: float = NOON, old: bool = False) -> JournalLine:
    return JournalLine(host=host, identifier="hello", pid=42, priority=priority, message=message, at=at, old=old)


def progress(done: int, resumed: int = 0) -> Progress:
    return Progress(host="prod1", phase="upload", done_bytes=done, total_bytes=58_000_000, resumed_bytes=resumed)


def test_a_good_deploy_reads_line_by_line() -> None:
    stdout, stderr = written(
        Note(level="info", text="hello 1.4.2 to prod1"),
        PhaseStarted(host="", phase="build", text="make"),
        CommandLine(host="", command="make", text="cc hello.c"),
        CommandLine(host="", command="make", text="ld hello"),
        PhaseEnded(host="", phase="build", ok=True, text="hello.tar.gz", took_s=18.2),
        PhaseStarted(host="prod1", phase="start", text="hello.service"),
        7.0,
        line("shutting down", old=True),
        line("listening on 4000", at=NOON + 7),
        line("disk is slow", priority=4, at=NOON - 86400),
        PhaseEnded(host="prod1", phase="start", ok=True, took_s=0.4),
        Note(level="warning", host="prod1", text="env was edited", hint="deployer env"),
        HostEnded(host="prod1", verdict="changed", release="1.4.2", before="1.4.1", took_s=12.3),
        Summary(
            title="deploy of hello 1.4.2",
            hosts=(HostEnded(host="prod1", verdict="changed", release="1.4.2", before="1.4.1", took_s=12.3),),
            exit_code=0,
            took_s=31.0,
        ),
    )
    assert stdout == ""
    assert (
        stderr
        == """\
12:00:00 hello 1.4.2 to prod1
12:00:00 here build: make
here | cc hello.c
here | ld hello
12:00:00 here build: ok after 18 s: hello.tar.gz
12:00:00 prod1 start: hello.service
prod1 | 12:00:00 hello[42] (before): shutting down
prod1 | 12:00:07 hello[42]: listening on 4000
prod1 | 2026-11-22 12:00:00 hello[42] warning: disk is slow
12:00:07 prod1 start: ok after 0.4 s
12:00:07 prod1 warning: env was edited
  next: deployer env

deploy of hello 1.4.2 (31 s)
HOST   RESULT   RELEASE  BEFORE  TOOK
prod1  changed  1.4.2    1.4.1   12 s
"""
    )


def test_a_failure_among_several_hosts_is_told_once_and_in_full_at_the_end() -> None:
    failure = Failure(
        host="prod2",
        message="1.4.2 answered 500",
        details=("body: down",),
        evidence=tuple(f"line {number}" for number in range(30)),
        hint="deployer logs --host prod2",
    )
    good = HostEnded(host="prod1", verdict="changed", release="1.4.2", before="1.4.1", took_s=9.0)
    bad = HostEnded(
        host="prod2", verdict="rolled-back", release="1.4.1", before="1.4.1", text="answered 500", took_s=60.0
    )
    _, stderr = written(good, failure, bad, Summary(title="deploy", hosts=(good, bad), exit_code=1, took_s=70.0))
    evidence = "".join(f"  | line {number}\n" for number in range(20, 30))
    assert (
        stderr
        == f"""\
12:00:00 prod2 went back, release 1.4.1, after 1 min 00 s: answered 500

FAILED on prod2: 1.4.2 answered 500
  now: back on 1.4.1
  | body: down
  the end of its journal:
{evidence}  next: deployer logs --host prod2

deploy (1 min 10 s, exit status 1)
HOST   RESULT     RELEASE  BEFORE  TOOK        TEXT
prod1  changed    1.4.2    1.4.1   9.0 s       -
prod2  went back  1.4.1    -       1 min 00 s  answered 500
"""
    )


def test_a_host_that_fails_before_its_activation_is_told_once() -> None:
    skipped = HostEnded(
        host="prod1", verdict="skipped", text="nothing was switched: another host could not be prepared"
    )
    failed = HostEnded(host="prod2", verdict="failed", text="there is no user 'app' on prod2")
    failure = Failure(host="prod2", message=failed.text, hint="deployer setup --host prod2")
    _, stderr = written(
        PhaseStarted(host="prod1", phase="plan"),
        failure,
        Summary(title="deploy", hosts=(skipped, failed), exit_code=1),
    )
    assert stderr.count("there is no user") == 1


def test_verbose_tells_all_the_evidence() -> None:
    failure = Failure(message="bad", host="prod1", evidence=tuple(f"line {number}" for number in range(30)))
    assert "line 9\n" not in written(failure)[1]
    assert "line 9\n" in written(failure, verbose=1)[1]


def test_a_fault_of_the_config_is_told_at_once() -> None:
    _, stderr = written(
        Failure(message="config/deploy.toml has 2 faults", details=("line 3: no", "line 4: no"), hint="deployer check"),
        Note(level="info", text="bye"),
    )
    assert (
        stderr
        == """\

FAILED: config/deploy.toml has 2 faults
  | line 3: no
  | line 4: no
  next: deployer check
12:00:00 bye
"""
    )


def test_what_was_held_for_a_summary_is_told_when_the_run_breaks_off() -> None:
    _, stderr = written(
        HostEnded(host="prod1", verdict="needs-person", release="1.4.1", text="two units", hint="deployer status"),
        Failure(host="prod1", message="cannot mend", exit_code=3),
    )
    assert (
        stderr
        == """\

FAILED on prod1: cannot mend
  now: needs a person, on 1.4.1; two units
12:00:00 prod1 needs a person, release 1.4.1, after 0.0 s: two units
  next: deployer status
"""
    )


def test_progress_is_told_by_tenths_but_not_all_the_time() -> None:
    steps: list[Event | float] = [progress(0)]
    for done in range(1, 47):  # 10 MB/s, told eight times a second
        steps += [0.125, progress(done * 1_250_000)]
    _, stderr = written(*steps)
    assert (
        stderr
        == """\
12:00:02 prod1 upload: 20.0 MB of 58.0 MB (34 %), 10.0 MB/s
12:00:04 prod1 upload: 40.0 MB of 58.0 MB (69 %), 10.0 MB/s
"""
    )


def test_slow_progress_is_told_every_five_seconds() -> None:
    steps: list[Event | float] = [progress(12_000_000, resumed=12_000_000)]
    for second in range(1, 13):
        steps += [1.0, progress(12_000_000 + second * 10_000)]
    _, stderr = written(*steps)
    assert (
        stderr
        == """\
12:00:00 prod1 upload: goes on after 12.0 MB of 58.0 MB
12:00:05 prod1 upload: 12.1 MB of 58.0 MB (21 %), 10.0 kB/s
12:00:10 prod1 upload: 12.1 MB of 58.0 MB (21 %), 10.0 kB/s
"""
    )


def test_a_wait_that_is_told_again_and_again_is_written_once() -> None:
    waits = [PhaseStarted(host="prod1", phase="health", text=text) for text in ("no answer", "no answer", "502", "502")]
    assert (
        written(*waits, PhaseEnded(host="prod1", phase="health", ok=False), waits[0])[1]
        == """\
12:00:00 prod1 health: no answer
12:00:00 prod1 health: 502
12:00:00 prod1 health: FAILED after 0.0 s
12:00:00 prod1 health: no answer
"""
    )


def test_an_empty_transfer_is_whole() -> None:
    empty = Progress(host="prod1", phase="upload", done_bytes=0, total_bytes=0)
    assert written(empty, 6.0, empty)[1] == "12:00:06 prod1 upload: 0 B of 0 B (100 %), 0 B/s\n"


def test_results_go_to_standard_output_in_aligned_columns() -> None:
    stdout, stderr = written(
        Listing(
            name="releases",
            columns=("release", "size_bytes", "marks", "enabled", "health"),
            rows=(
                {
                    "release": "1.4.2-9f3ac01b",
                    "size_bytes": 58_000_000,
                    "marks": ["pinned", "good"],
                    "enabled": True,
                    "x": 1,
                },
                {"release": "漢字", "size_bytes": 0, "marks": [], "enabled": False, "health": "\x1b[2J"},
            ),
        ),
        Listing(name="releases", columns=("release",), rows=(), empty="no release yet"),
        Text(name="unit", text="[Unit]\n\tA=1\x1b\n", host="prod1"),
        Text(name="plan", text="nothing"),
    )
    assert stderr == ""
    assert (
        stdout
        == """\
RELEASE         SIZE     MARKS         ENABLED  HEALTH
1.4.2-9f3ac01b  58.0 MB  pinned, good  yes      -
漢字            0 B      -             no       \\x1b[2J
no release yet
# prod1
[Unit]
	A=1\\x1b
nothing
"""
    )


def test_lines_as_results_go_to_standard_output_without_a_frame() -> None:
    stdout, stderr = written(
        CommandLine(host="prod1", command="bin/hello eval 1", text="1"),
        line("up"),
        lines_are_results=True,
    )
    assert (stdout, stderr) == ("1\nprod1 | 12:00:00 hello[42]: up\n", "")


def test_lines_as_results_name_their_host_where_there_are_several() -> None:
    stdout, _ = written(
        PhaseStarted(host="prod1", phase="connect"),
        PhaseStarted(host="prod2", phase="connect"),
        CommandLine(host="prod1", command="id", text="a\nb"),
        lines_are_results=True,
    )
    assert stdout == "prod1 | a\nprod1 | b\n"


def test_a_hostile_message_cannot_begin_a_line() -> None:
    forged = "ok\n12:00:00 prod1 commit: ok\r12:00:00 prod1 commit: ok\u2028x\x1b[2J"
    _, stderr = written(
        line(forged),
        CommandLine(host="prod1", command="c\nd", text=forged),
        Note(level="info", text=forged, hint=forged),
        PhaseEnded(host="prod1", phase="health", ok=False, text=forged),
        Failure(host="prod1", message=forged, details=(forged,), evidence=(forged,)),
    )
    commits = [text for text in stderr.split("\n") if text.startswith("12:00:00 prod1 commit")]
    assert commits == []
    assert "\x1b" not in stderr
    assert "\r" not in stderr
    assert "\u2028" not in stderr


def test_threads_take_turns() -> None:
    stderr = io.StringIO()
    with Plain(stdout=io.StringIO(), stderr=stderr, clock=Clock()) as output:

        def speak(host: str) -> None:
            for number in range(200):
                output.emit(line(f"{number}\n{number}", host=host))

        threads = [threading.Thread(target=speak, args=(f"prod{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    texts = stderr.getvalue().splitlines()
    assert len(texts) == 8 * 200 * 2
    for first, second in zip(texts[::2], texts[1::2], strict=True):
        host, number = first.split(" | ")[0], first.rsplit(" ", 1)[1]
        assert second == f"{host} |          {number}"


def test_a_phase_is_told_when_it_ends_and_a_long_one_when_it_starts() -> None:
    events = (
        PhaseStarted(host="prod1", phase="connect"),
        1.0,
        PhaseEnded(host="prod1", phase="connect", ok=True, took_s=1.0),
        2.0,
        PhaseStarted(host="prod1", phase="upload"),
        PhaseEnded(host="prod1", phase="upload", ok=True),
        PhaseStarted(host="prod1", phase="unpack"),
        PhaseEnded(host="prod1", phase="unpack", ok=True),
    )
    assert (
        written(*events)[1]
        == """\
12:00:01 prod1 connect: ok after 1.0 s
12:00:03 prod1 upload: started
12:00:03 prod1 upload: ok after 0.0 s
12:00:03 prod1 unpack: ok after 0.0 s
"""
    )
    verbose = written(*events, verbose=1)[1]
    assert verbose.startswith("12:00:00 prod1 connect: started\n12:00:01 prod1 connect: ok after 1.0 s\n")
    assert verbose.count("started") == 3


def test_that_a_host_was_reached_is_not_told_where_nothing_comes_of_it() -> None:
    connect = (PhaseStarted(host="prod1", phase="connect"), PhaseEnded(host="prod1", phase="connect", ok=True))
    row = Listing(name="status", columns=("host",), rows=({"host": "prod1"},))
    assert written(*connect, row) == ("HOST\nprod1\n", "")
    assert "connect: ok" in written(*connect, row, verbose=1)[1]
    failed = PhaseEnded(host="prod1", phase="connect", ok=False)
    assert "connect: FAILED" in written(connect[0], failed)[1]
    # The link was lost meanwhile: that it is back is news.
    lost = (*connect, PhaseStarted(host="prod1", phase="start"), *connect)
    assert written(*lost)[1].count("connect: ok") == 2


def test_what_is_told_after_the_fact_bears_the_time_of_the_fact() -> None:
    _, stderr = written(
        PhaseStarted(host="prod1", phase="health", at=NOON - 60),
        PhaseEnded(host="prod1", phase="health", ok=True, took_s=5.0, at=NOON - 55),
    )
    assert stderr == "11:59:00 prod1 health: started\n11:59:05 prod1 health: ok after 5.0 s\n"


@pytest.mark.parametrize(
    ("verdict", "release", "end", "now"),
    [
        ("rolled-back", "1.4.1", "prod1 is back on 1.4.1", ""),
        ("stopped", "", "There was nothing to go back to: the service is stopped on prod1", ""),
        ("failed", "1.4.1", "prod1 still serves 1.4.1", ""),
        ("needs-person", "1.4.1", "prod1 needs a person", ""),
        ("failed", "", "Nothing was started on prod1", "  now: nothing was switched\n"),
        ("failed", "1.4.1", "Nothing was switched on prod1", "  now: still on 1.4.1\n"),
    ],
)
def test_where_a_host_stands_is_said_once(verdict: Verdict, release: str, end: str, now: str) -> None:
    ended = HostEnded(host="prod1", verdict=verdict, release=release, text="answered 500")
    failure = Failure(host="prod1", message=f"1.4.2 did not prove itself: answered 500. {end}")
    _, stderr = written(failure, Summary(title="deploy", hosts=(ended,), exit_code=1))
    assert stderr.partition("\n\ndeploy")[0] == f"\nFAILED on prod1: {failure.message}\n{now}".rstrip("\n")


@pytest.mark.parametrize(("verdict", "word"), [("staged", "staged"), ("started", "started")])
def test_what_was_asked_for_and_not_switched_has_a_word_of_its_own(verdict: Verdict, word: str) -> None:
    ended = HostEnded(host="prod1", verdict=verdict, release="1.4.1")
    assert f"prod1  {word}" in written(Summary(title="deploy", hosts=(ended,), exit_code=0))[1]


def test_of_a_detached_activation_the_release_of_until_then_is_told_as_such() -> None:
    text = "1.4.2 is on trial; its activation goes on by itself"
    ended = HostEnded(host="prod1", verdict="started", release="1.4.1", before="1.4.1", text=text)
    _, stderr = written(Summary(title="deploy", hosts=(ended,), exit_code=0))
    assert stderr.endswith(f"HOST   RESULT   BEFORE  TEXT\nprod1  started  1.4.1   {text}\n")


def test_a_message_that_is_all_there_is_to_say_is_not_repeated_in_the_table() -> None:
    ended = HostEnded(host="prod1", verdict="failed", text="no answer")
    _, stderr = written(Failure(host="prod1", message="no answer"), Summary(title="t", hosts=(ended,), exit_code=5))
    assert stderr.count("no answer") == 1
    assert stderr.endswith("HOST   RESULT\nprod1  failed\n")
