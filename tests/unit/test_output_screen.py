from __future__ import annotations

import io
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

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
)
from deployer.output import clean, open_output
from deployer.output.live_area import LiveArea
from deployer.output.screen import Screen
from deployer.output.tables import listing_table
from tests.unit.play_events import scene

NOON = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
CURSOR_OR_ERASE = re.compile(r"\x1b\[(\?25[hl]|\d*[ABCDGHJK])")


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True, scope="module")
def utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def drawn(*events: Event, width: int = 80, colour: bool = False, verbose: int = 0) -> str:
    """Return what scrolls by, results included."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        height=24,
        force_terminal=colour,
        color_system="256" if colour else None,
        _environ={},
    )
    with Screen(progress=console, results=console, live=False, verbose=verbose, clock=lambda: NOON) as screen:
        for event in events:
            screen.emit(event)
    return file.getvalue()


def shown(*events: Event, environ: dict[str, str], terminal: bool = True) -> str:
    """Return everything that a terminal for both streams gets, the live area and its redraws too."""
    file = Tty() if terminal else io.StringIO()
    with open_output("rich", stdout=file, stderr=file, environ=environ) as output:
        for event in events:
            output.emit(event)
        with output.paused():  # what came so far is drawn
            pass
    return file.getvalue()


def line(message: str, host: str = "prod1", priority: int = 6, *, old: bool = False) -> JournalLine:
    return JournalLine(host=host, identifier="hello", pid=42, priority=priority, message=message, at=NOON, old=old)


def played(name: str, hosts: int) -> list[Event]:
    return [event for _, event in scene(name, hosts)]


def test_a_deploy_that_goes_back_reads_well_at_80_columns() -> None:
    ended = HostEnded(
        host="prod1", verdict="rolled-back", release="1.4.1-5b0e77d2", before="1.4.1-5b0e77d2",
        text="1.4.2-9f3ac01b answered 500", took_s=67.0,
    )  # fmt: skip
    text = drawn(
        Note(level="info", text="hello 1.4.2 to prod1"),
        CommandLine(host="", command="make", text="cc hello.c"),
        PhaseStarted(host="prod1", phase="start"),
        line("shutting down", old=True),
        line("the asset manifest that this release carries is three days older than the release", priority=4),
        PhaseEnded(host="prod1", phase="start", ok=True, text="main process 42", took_s=0.6),
        PhaseEnded(host="prod1", phase="health", ok=False, text="answered 500", took_s=60.0),
        Failure(
            host="prod1",
            message="1.4.2-9f3ac01b did not prove itself: http://127.0.0.1:4000/health answered 500 for 60 s",
            details=('body: {"db": "down"}',),
            evidence=("12:00:00 hello[42]: could not resolve db1.internal",),
            hint="deployer logs --host prod1",
        ),
        ended,
        Summary(title="deploy of hello 1.4.2", hosts=(ended,), exit_code=1, took_s=94.0),
    )
    assert (
        text
        == """\
• hello 1.4.2 to prod1
$ make
│ cc hello.c
│ 12:00:00 hello[42]: shutting down
│ 12:00:00 hello[42]: the asset manifest that this release carries is three
│          days older than the release
✓ prod1 start      0.6 s  main process 42
✗ prod1 health    1 min 00 s  answered 500

✗ prod1: 1.4.2-9f3ac01b did not prove itself: http://127.0.0.1:4000/health
    answered 500 for 60 s
  now: back on 1.4.1-5b0e77d2; 1.4.2-9f3ac01b answered 500
  │ body: {"db": "down"}
  the end of its journal:
  │ 12:00:00 hello[42]: could not resolve db1.internal
  next: deployer logs --host prod1

✗ deploy of hello 1.4.2 (1 min 34 s, exit status 1)
   host   result     release         took        text
←  prod1  went back  1.4.1-5b0e77d2  1 min 07 s  1.4.2-9f3ac01b answered 500
"""
    )


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("name", ["deploy", "bad", "hostile", "listing"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    lines = drawn(*played(name, 3), width=width).split("\n")
    assert len(lines) > 5
    # Texts of their own (`Text`) keep their tabs; the terminal folds them.
    assert [text for text in lines if clean.cells(text) > width and "\t" not in text] == []


@given(st.text(st.characters()), st.integers(30, 120))
@settings(max_examples=60, deadline=None)
def test_a_hostile_message_stays_behind_its_gutter(message: str, width: int) -> None:
    # Line separators other than the line feed are escaped, so str.splitlines would find no more lines than split.
    lines = drawn(line(message), width=width).removesuffix("\n").split("\n")
    assert all(text.startswith("│ ") for text in lines)
    assert all(clean.cells(text) <= width for text in lines)
    assert lines == drawn(line(message), width=width).splitlines()


HOSTILE = st.text(st.sampled_from("ab\n\r\x1b[]0;m\x07\x9b\u202e\u2028漢")) | st.sampled_from(
    ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "[bold]b[/bold]", ":smile:", "\x1b[2J\x1b[H", "\r✓ prod1 commit"]
)


@given(HOSTILE)
@settings(max_examples=60, deadline=None)
def test_no_text_of_an_event_adds_an_escape_sequence(hostile: str) -> None:
    def every_place(text: str) -> str:
        ended = HostEnded(host="prod1", verdict="failed", release=text, before=text, text=text, hint=text)
        return drawn(
            line(text),
            JournalLine(host="prod1", identifier=text, priority=3, message="m", at=NOON),
            CommandLine(host="prod1", command=text, text=text),
            PhaseStarted(host="prod1", phase="start", text=text),
            PhaseEnded(host="prod1", phase=text, ok=False, text=text),
            Note(level="warning", text=text, hint=text),
            Failure(host="prod1", message=text, details=(text,), evidence=(text,), hint=text),
            Listing(name="x", columns=("a", text), rows=({"a": text, text: [text]},), empty=text),
            Listing(name="x", columns=("a",), rows=(), empty=text),
            Text(name="t", text=text),
            Summary(title=text, hosts=(ended,), exit_code=1),
            colour=True,
            width=120,
        )

    # The same texts, cleaned before: not one byte more may reach the terminal.
    assert every_place(hostile) == every_place("\n".join(map(clean.one_line, hostile.split("\n"))))


def test_markup_emoji_codes_and_numbers_are_shown_as_they_are() -> None:
    text = drawn(line("[red]a[/red] :smile: 42 'x' http://h [/]"), colour=True)
    assert "[red]a[/red] :smile: 42 'x' http://h [/]" in text


def test_a_message_of_48_kilobytes_is_cut_and_says_so() -> None:
    text = drawn(line("x" * 48_000))
    assert text.count("\n") < 20
    assert "(47,000 more characters)" in " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize(
    ("priority", "codes"), [(0, "1;31"), (3, "31"), (4, "33"), (5, "1"), (6, ""), (7, "2"), (99, "2")]
)
def test_priorities_have_their_colours(priority: int, codes: str) -> None:
    text = drawn(line("the message", priority=priority), colour=True)
    assert text.endswith(f"\x1b[{codes}mthe message\x1b[0m\n" if codes else "the message\n")


def test_lines_from_before_the_activation_are_dim() -> None:
    assert drawn(line("m", priority=3, old=True), colour=True).endswith("\x1b[2mm\x1b[0m\n")


def test_lines_name_their_host_where_there_are_several() -> None:
    text = drawn(line("a"), PhaseStarted(host="prod2", phase="connect"), line("b"))
    assert text == "│ 12:00:00 hello[42]: a\n│ 12:00:00 prod1 hello[42]: b\n"


def test_many_hosts_scroll_only_what_fails() -> None:
    ends = [PhaseEnded(host=f"prod{number}", phase="upload", ok=number != 7, took_s=1.0) for number in range(1, 9)]
    starts = [PhaseStarted(host=end.host, phase="upload") for end in ends]
    assert drawn(*starts, *ends) == "✗ prod7 upload     1.0 s\n"
    assert drawn(*starts, *ends, verbose=1).count("✓") == 7


def sgr(text: str) -> set[int]:
    return {int(code) for codes in re.findall(r"\x1b\[([\d;]*)m", text) for code in codes.split(";") if code}


def test_no_color_takes_the_colours_and_leaves_the_rest() -> None:
    events = [*played("bad", 2), *played("listing", 1)]
    with_colours = sgr(shown(*events, environ=TERMINAL))
    without = sgr(shown(*events, environ={**TERMINAL, "NO_COLOR": "1"}))
    assert {31, 32, 36} <= with_colours
    assert without <= {0, 1, 2}


def test_force_color_colours_a_log_and_moves_no_cursor() -> None:
    text = shown(*played("bad", 2), environ={"FORCE_COLOR": "1"}, terminal=False)
    assert {31, 32} <= sgr(text)
    assert not CURSOR_OR_ERASE.search(text)


@pytest.mark.parametrize("environ", [{**TERMINAL, "CI": "true"}, {**TERMINAL, "TERM": "dumb"}])
def test_there_is_no_live_area_in_ci_or_on_a_dumb_terminal(environ: dict[str, str]) -> None:
    text = shown(PhaseStarted(host="prod1", phase="start", text="hello.service"), environ=environ)
    assert not CURSOR_OR_ERASE.search(text)
    assert "· prod1 start     hello.service" in re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_log_without_colours_has_no_escape_at_all() -> None:
    assert "\x1b" not in shown(*played("bad", 2), environ={"TERM": "xterm"}, terminal=False)


def test_the_live_area_gives_the_cursor_back() -> None:
    text = shown(PhaseStarted(host="prod1", phase="start"), Note(level="info", text="x"), environ=TERMINAL)
    assert "⠋ prod1 start" in re.sub(r"\x1b\[[\d;]*m", "", re.sub("[⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "⠋", text))
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l")


def test_results_are_written_when_the_live_area_is_away() -> None:
    text = shown(
        PhaseStarted(host="prod1", phase="read"),
        Listing(name="status", columns=("host",), rows=({"host": "the result"},)),
        environ=TERMINAL,
    )
    before = text[: text.index("the result")]
    assert before.count("\x1b[?25h") == before.count("\x1b[?25l")


def test_results_for_a_pipe_are_plain_while_progress_is_drawn() -> None:
    stdout, stderr = io.StringIO(), Tty()
    with open_output("auto", stdout=stdout, stderr=stderr, environ=TERMINAL) as output:
        output.emit(PhaseStarted(host="prod1", phase="read"))
        output.emit(Listing(name="status", columns=("host", "size_bytes"), rows=({"host": "a", "size_bytes": 1000},)))
        output.emit(Text(name="unit", text="[Unit]"))
    assert stdout.getvalue() == "HOST  SIZE\na     1.0 kB\n[Unit]\n"
    assert "HOST" not in stderr.getvalue()


PLAN = """\
prod1: notes 1.0.0-cb400293 → 1.1.0-9f550e61
  replaces     /etc/default/notes.env was edited on the host; it will be replaced, and a copy kept in /opt/notes/replaced
      +ExecStart=/opt/notes/releases/1.1.0-9f550e61/bin/server --with many words --and options
  brings back  its tree
"""


def test_a_plan_is_broken_at_words_and_goes_on_below_them() -> None:
    assert drawn(Text(name="plan", text=PLAN, host="prod1")).splitlines() == [
        "# prod1",
        "prod1: notes 1.0.0-cb400293 → 1.1.0-9f550e61",
        "  replaces     /etc/default/notes.env was edited on the host; it will be",
        "               replaced, and a copy kept in /opt/notes/replaced",
        "      +ExecStart=/opt/notes/releases/1.1.0-9f550e61/bin/server --with many words --and options",
        "  brings back  its tree",
    ]


def test_a_plan_is_whole_where_it_may_be_read_by_programs_and_a_unit_everywhere() -> None:
    stdout = io.StringIO()
    with open_output("auto", stdout=stdout, stderr=Tty(), environ=TERMINAL) as output:
        output.emit(Text(name="plan", text=PLAN))
    assert stdout.getvalue() == PLAN
    assert drawn(Text(name="unit", text=PLAN)) == PLAN


@pytest.mark.parametrize("width", range(40, 120, 7))
def test_a_broken_plan_says_the_same(width: int) -> None:
    text = drawn(Text(name="plan", text=PLAN), width=width)
    assert text.split() == PLAN.split()
    assert [line for line in text.splitlines() if len(line) > width and "ExecStart" not in line] == []


def test_lines_as_results_go_to_standard_output() -> None:
    stdout, stderr = io.StringIO(), Tty()
    with open_output("rich", stdout=stdout, stderr=stderr, environ=TERMINAL, lines_are_results=True) as output:
        output.emit(line("up"))
        output.emit(CommandLine(host="prod1", command="id", text="uid=0"))
    assert stdout.getvalue().endswith(" hello[42]: up\nuid=0\n")
    assert stderr.getvalue() == ""


def test_what_was_held_is_told_when_the_run_breaks_off() -> None:
    text = drawn(
        HostEnded(host="prod1", verdict="unknown", text="no answer", hint="deployer attach"),
        Failure(host="prod1", message="the link broke"),
    )
    assert (
        text
        == """\

✗ prod1: the link broke
  now: not known; no answer
? prod1 not known  no answer
  next: deployer attach
"""
    )


def test_an_event_after_the_end_is_still_shown() -> None:
    stderr = Tty()
    with open_output("rich", stdout=Tty(), stderr=stderr, environ=TERMINAL) as output:
        pass
    output.emit(Note(level="error", text="too late"))
    assert "too late" in stderr.getvalue()


def test_threads_lose_nothing_and_keep_their_order() -> None:
    stderr = Tty()
    with open_output("rich", stdout=Tty(), stderr=stderr, environ=TERMINAL) as output:

        def speak(host: str) -> None:
            for number in range(300):
                output.emit(line(f"<{number}>", host=host))

        threads = [threading.Thread(target=speak, args=(f"prod{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", stderr.getvalue())
    numbers = re.findall(r"<(\d+)>", plain)
    assert Counter(numbers) == {str(number): 8 for number in range(300)}
    named = re.findall(r"prod3 hello\[42\]: <(\d+)>", plain)
    assert named == sorted(named, key=int)
    assert len(named) > 200  # lines from before a second host spoke bear no name


def test_a_flood_of_journal_lines_holds_nobody_up() -> None:
    stderr = Tty()
    lines = [line(f"request {number} GET /things/{number} 200 in 2 ms") for number in range(10_000)]
    start = time.perf_counter()
    with open_output("rich", stdout=Tty(), stderr=stderr, environ=TERMINAL) as output:
        output.emit(PhaseStarted(host="prod1", phase="start"))
        for event in lines:
            output.emit(event)
        emitted_s = time.perf_counter() - start
    took_s = time.perf_counter() - start
    assert stderr.getvalue().count("request") == 10_000
    # Measured 0.004 s and 0.25 s; the bounds leave room for a busy machine.
    assert emitted_s < 2.0
    assert took_s < 5.0
    # Redrawn eight times a second and not once a line.
    assert stderr.getvalue().count("hello.service") < 100


def rows(area: LiveArea, *, width: int = 80, height: int = 24, now: float = 0.0) -> list[str]:
    return ["".join(text for text, _ in row) for row in area.rows(width=width, height=height, now=now)]


def test_the_live_area_shows_hosts_at_work_and_names_those_that_wait() -> None:
    area = LiveArea()
    area.take(PhaseStarted(host="", phase="build", text="make"), 0.0)
    for host in ("prod1", "prod2", "prod3", "prod4"):
        area.take(PhaseStarted(host=host, phase="connect", text=f"{host}.example.com"), 1.0)
    area.take(PhaseEnded(host="", phase="build", ok=True), 2.0)
    area.take(PhaseEnded(host="prod2", phase="connect", ok=True), 2.0)
    area.take(HostEnded(host="prod3", verdict="failed"), 2.0)
    area.take(PhaseStarted(host="prod4", phase="upload"), 2.0)
    for second in range(5):
        done = 10_000_000 * second
        area.take(Progress(host="prod4", phase="upload", done_bytes=done, total_bytes=58_000_000), 2.0 + second)
    assert rows(area, now=8.0) == [
        "⠼ prod1 connect   7.0 s  prod1.example.com",
        "⠼ prod4 upload   ━━━━━━━━━━━━━━ 69 %    40.0 of 58.0 MB  10.0 MB/s  1.8 s left",
        "· waiting: prod2",
    ]
    area.take(Summary(title="", hosts=(), exit_code=0), 9.0)
    assert not area


def test_a_phase_with_more_to_tell_keeps_its_time() -> None:
    area = LiveArea()
    area.take(PhaseStarted(host="prod1", phase="health", text="no answer"), 0.0)
    area.take(PhaseStarted(host="prod1", phase="health", text="502"), 5.0)
    assert rows(area, now=10.0) == ["⠋ prod1 health     10 s  502"]


def test_the_live_area_of_many_hosts_is_bounded() -> None:
    area = LiveArea()
    for number in range(1, 41):
        area.take(PhaseStarted(host=f"prod{number}", phase="start", text="hello.service"), 0.0)
        if number > 30:
            area.take(PhaseEnded(host=f"prod{number}", phase="start", ok=True), 0.0)
    texts = rows(area, width=60)
    assert len(texts) == 13
    assert texts[-2:] == ["  and 19 more at work", "· waiting: prod31, prod32, prod33, prod34 and 6 more"]
    assert len(rows(area, height=6)) == 4


@given(
    st.lists(st.text(st.characters(), min_size=1), min_size=1, max_size=20),
    st.integers(0, 10**13),
    st.integers(0, 10**13),
    st.integers(10, 160),
)
def test_no_row_of_the_live_area_reaches_the_last_column(names: list[str], done: int, total: int, width: int) -> None:
    area = LiveArea()
    for name in names:
        area.take(PhaseStarted(host=name, phase=name, text=name), 0.0)
        area.take(Progress(host=name, phase=name, done_bytes=done // 2, total_bytes=total), 1.0)
        area.take(Progress(host=name, phase=name, done_bytes=done, total_bytes=total), 2.0)
    assert all(clean.cells(text) < width for text in rows(area, width=width, now=3.0))


@given(
    st.lists(st.lists(st.text(st.sampled_from("abc漢 -\n")), min_size=4, max_size=4), min_size=1, max_size=4),
    st.sampled_from([20, 40, 80, 160]),
)
@settings(max_examples=60, deadline=None)
def test_a_listing_never_drops_text(grid: list[list[str]], width: int) -> None:
    columns = ("one", "two", "three", "a_longer_heading")
    listing = Listing(name="x", columns=columns, rows=tuple(dict(zip(columns, values, strict=True)) for values in grid))
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, _environ={})
    console.print(listing_table(listing, width))
    # A column of nothing but "-" says nothing, and may be left out.
    wanted = Counter(char for values in grid for value in values for char in value if char not in " \n-")
    assert not wanted - Counter(file.getvalue())
    assert all(clean.cells(text) <= width for text in file.getvalue().split("\n"))


def test_the_words_of_systemd_on_a_start_that_goes_well_stand_back() -> None:
    def said(identifier: str, priority: int) -> str:
        event = JournalLine(host="h", identifier=identifier, priority=priority, message="Started", at=NOON)
        return drawn(event, colour=True)

    plain = said("shop", 6)
    assert "\x1b[2mStarted" not in plain
    assert said("systemd", 6) != plain.replace("shop", "systemd")
    assert said("systemd", 3) == said("shop", 3).replace("shop", "systemd")


def test_one_host_between_two_phases_waits_for_nobody() -> None:
    area = LiveArea()
    area.take(PhaseStarted(host="prod1", phase="verify"), 0.0)
    area.take(PhaseEnded(host="prod1", phase="verify", ok=True), 1.0)
    assert area.rows(width=80, height=24, now=1.0) == []
    area.take(PhaseStarted(host="prod2", phase="verify"), 1.0)
    assert "waiting: prod1" in "".join(text for row in area.rows(width=80, height=24, now=1.0) for text, _ in row)


def test_a_command_on_a_host_is_named_and_is_no_prompt() -> None:
    text = drawn(CommandLine(host="prod1", command="cat VERSION", text="1.0.0"))
    assert text == "▸ prod1: cat VERSION\n│ 1.0.0\n"
    build = PhaseStarted(host="", phase="build", text="make")
    assert drawn(build, CommandLine(host="", command="make", text="ok")) == "$ make\n│ ok\n"


def test_that_a_host_was_reached_is_drawn_when_more_comes() -> None:
    connected = PhaseEnded(host="prod1", phase="connect", ok=True, took_s=1.0)
    assert drawn(connected, Note(level="info", text="x")) == "• x\n"
    assert drawn(connected, PhaseStarted(host="prod1", phase="plan")) == "✓ prod1 connect    1.0 s\n"
    assert drawn(connected, verbose=1) == "✓ prod1 connect    1.0 s\n"
