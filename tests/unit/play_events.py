"""Play a made-up deploy through an output, to look at the drawing: `python tests/unit/play_events.py --help`.

The tests take the same events; `--svg FILE` draws them as a picture. The pictures of docs/images are of real deploys:
what `deployer deploy --output json >FILE` has written, drawn with `--recorded FILE --svg PICTURE --title COMMAND`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from deployer.events import (
    JSON_TYPES,
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
from deployer.output import open_output

Timed: TypeAlias = tuple[float, Event]
"""A wait in seconds, and the event after it."""

NEW, OLD = "1.4.2-9f3ac01b", "1.4.1-5b0e77d2"
SIZE = 58_000_000


def built() -> Iterator[Timed]:
    """Yield a local build."""
    yield 0.0, PhaseStarted(host="", phase="build", text="MIX_ENV=prod mix release --overwrite")
    for text in ("Compiling 42 files (.ex)", "Generated hello app", "* assembling hello-1.4.2 on MIX_ENV=prod"):
        yield 0.2, CommandLine(host="", command="MIX_ENV=prod mix release --overwrite", text=text)
    yield 0.2, PhaseEnded(host="", phase="build", ok=True, text="hello-1.4.2.tar.gz, 58.0 MB", took_s=18.2)


def staged(host: str) -> Iterator[Timed]:
    """Yield a host's way to a staged release."""
    yield 0.0, PhaseStarted(host=host, phase="connect", text=f"deploy@{host}.example.com:22")
    yield 0.3, PhaseEnded(host=host, phase="connect", ok=True, text="Debian 12, systemd 252", took_s=0.3)
    yield 0.0, PhaseStarted(host=host, phase="upload")
    for step in range(0, 41, 2):
        yield 0.1, Progress(host=host, phase="upload", done_bytes=SIZE * step // 40, total_bytes=SIZE)
    yield 0.0, PhaseEnded(host=host, phase="upload", ok=True, text="58.0 MB", took_s=4.8)
    yield 0.1, PhaseStarted(host=host, phase="unpack")
    yield 0.4, PhaseEnded(host=host, phase="unpack", ok=True, text="2,113 files", took_s=0.4)


def journal(host: str, message: str, priority: int = 6, **more: int) -> JournalLine:
    """Return a line of the played service's journal."""
    return JournalLine(
        host=host, identifier="hello", pid=more.get("pid", 4242), priority=priority, message=message, at=time.time()
    )


def activated(host: str, *, good: bool) -> Iterator[Timed]:
    """Yield a host's activation, which proves itself or goes back."""
    yield 0.0, PhaseStarted(host=host, phase="start", text="hello.service")
    yield 0.1, replace(journal(host, "shutting down", 6, pid=3999), old=True)
    yield 0.1, journal(host, "Running HelloWeb.Endpoint with Bandit 1.8.0 at 0.0.0.0:4000 (http)")
    yield 0.1, journal(host, "connected to db1.internal:5432 as hello", 7)
    yield 0.1, journal(host, "the asset manifest is 3 days old", 4)
    yield 0.1, PhaseEnded(host=host, phase="start", ok=True, text="main process 4242", took_s=0.6)
    yield 0.0, PhaseStarted(host=host, phase="health", text="http://127.0.0.1:4000/health")
    yield 0.5, journal(host, "GET /health" + (" 200 in 2 ms" if good else " 500 in 31 ms"), 6 if good else 3)
    if good:
        yield 1.0, PhaseEnded(host=host, phase="health", ok=True, text="200 for 5 s, no restart", took_s=5.1)
        yield 0.1, PhaseEnded(host=host, phase="commit", ok=True, text=f"current -> releases/{NEW}", took_s=0.1)
        return
    yield (
        0.5,
        journal(host, "** (DBConnection.ConnectionError) tcp connect (db1.internal:5432): non-existing domain", 2),
    )
    yield 0.5, PhaseEnded(host=host, phase="health", ok=False, text="answered 500 until the deadline", took_s=60.0)
    yield 0.0, PhaseStarted(host=host, phase="go back", text=OLD)
    yield 0.5, PhaseEnded(host=host, phase="go back", ok=True, text=f"{OLD} is active and healthy", took_s=1.2)
    yield (
        0.0,
        Failure(
            host=host,
            message=f"{NEW} did not prove itself: http://127.0.0.1:4000/health answered 500 for 60 s",
            details=('last answer: 500 Internal Server Error, body: {"db": "down"}',),
            evidence=(
                "12:03:08 hello[4242]: Running HelloWeb.Endpoint with Bandit 1.8.0 at 0.0.0.0:4000 (http)",
                "12:03:09 hello[4242]: ** (DBConnection.ConnectionError) tcp connect (db1.internal:5432): non-existing domain",
            ),
            hint=f"deployer logs --host {host} --deploy {NEW}",
        ),
    )


def ended(host: str, *, good: bool) -> HostEnded:
    """Return how a played host ends."""
    if good:
        return HostEnded(host=host, verdict="changed", release=NEW, before=OLD, took_s=12.3)
    return HostEnded(host=host, verdict="rolled-back", release=OLD, before=OLD, text=f"{NEW} answered 500", took_s=67.0)


def deployed(hosts: int, *, good: bool = True) -> Iterator[Timed]:
    """Yield a deploy to so many hosts: staged side by side, activated one after another; the last one may go back."""
    names = [f"prod{number}" for number in range(1, hosts + 1)]
    yield 0.0, Note(level="info", text=f"hello {NEW} (sha256 9f3ac01b) to {', '.join(names)}, by ana")
    yield from built()
    yield from _side_by_side([staged(name) for name in names])
    if hosts > 1:
        yield 0.2, Note(level="warning", host="prod2", text="/etc/default/hello.env was edited on the host",
                        hint="deployer env --host prod2")  # fmt: skip
    ends = []
    for name in names:
        fine = good or name != names[-1]
        yield from activated(name, good=fine)
        ends.append(ended(name, good=fine))
        yield 0.0, ends[-1]
    title = f"deploy hello {NEW}"
    yield 0.0, Summary(title=title, hosts=tuple(ends), exit_code=0 if good else 1, took_s=94.0)


def hostile() -> Iterator[Timed]:
    """Yield texts that would like to be more than texts."""
    yield 0.0, PhaseStarted(host="prod1", phase="start", text="[red]hello[/red] :smile: \x1b[31m")
    for message in (
        "\x1b[2J\x1b[H\x1b]0;owned\x07cleared",
        "carriage\r✓ prod1 commit 0.1 s",
        "two lines\n✓ prod1 commit    0.1 s  all is well",
        "[bold red]markup[/] :boom: \u202egnihton\u202c \u200b zero",
        "tab\tand wide 漢字 and 👩\u200d👩\u200d👧",
        "\u2028x\u2029\x85\x9b31m\x7f",
        "word " * 60,
        "x" * 48_000,
    ):
        yield 0.1, journal("prod1", message)
    yield 0.1, PhaseEnded(host="prod1", phase="start", ok=True, took_s=1.0)


def listed() -> Iterator[Timed]:
    """Yield results."""
    rows = tuple(
        {"release": f"1.4.{n}-5b0e77d{n}", "commit": "9f3ac01", "when": "2026-11-23 12:03", "who": "ana@laptop",
         "verdict": "good" if n else "bad", "size_bytes": SIZE + n, "marks": ["pinned"] if n == 2 else [],
         "text": None if n else "http://127.0.0.1:4000/health answered 500 for 60 s"}
        for n in range(3)
    )  # fmt: skip
    columns = ("release", "commit", "when", "who", "verdict", "size_bytes", "marks", "text")
    yield 0.0, Listing(name="releases", columns=columns, rows=rows)
    yield 0.0, Text(name="plan", text="release  1.4.1 -> 1.4.2\n\tfiles  +12 -3 ~40\n", host="prod1")
    yield 0.0, Listing(name="releases", columns=columns, rows=(), empty="no release on prod1 yet")


def flood() -> Iterator[Timed]:
    """Yield ten thousand journal lines at once."""
    yield 0.0, PhaseStarted(host="prod1", phase="start", text="hello.service")
    for number in range(10_000):
        yield 0.0, journal("prod1", f"request {number} GET /things/{number} 200 in 2 ms", 6)


def _side_by_side(streams: list[Iterator[Timed]]) -> Iterator[Timed]:
    running = list(streams)
    while running:
        for index, stream in enumerate(list(running)):
            step = next(stream, None)
            if step is None:
                running.remove(stream)
            else:
                yield (step[0] if index == 0 else 0.0), step[1]


SCENES = ("deploy", "bad", "hostile", "listing", "flood")


def scene(name: str, hosts: int) -> Iterator[Timed]:
    """Return the events of a scene."""
    if name in ("deploy", "bad"):
        return deployed(hosts, good=name == "deploy")
    return {"hostile": hostile, "listing": listed, "flood": flood}[name]()


def recorded(path: Path) -> Iterator[Timed]:
    """Yield the events of a run with `--output json`, without their times and without results."""
    kinds = {name: kind for kind, name in JSON_TYPES.items()}
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        kind = kinds.get(values.pop("type"))
        if kind is Summary:
            values["hosts"] = tuple(HostEnded(**host) for host in values["hosts"])
        if kind is not None:
            yield 0.0, kind(**values)


def draw_svg(path: Path, events: Iterator[Timed], *, width: int, title: str) -> None:
    """Draw the lines that a terminal would show at the end as a picture."""
    from rich.console import Console

    from deployer.output.screen import Screen

    console = Console(
        file=io.StringIO(), record=True, width=width, force_terminal=True, color_system="truecolor", _environ={}
    )
    shown = [event for _, event in events]
    # Drawn as on the day itself: lines of another day would carry their date.
    now = max((event.at for event in shown if isinstance(event, JournalLine)), default=time.time())
    with Screen(progress=console, results=console, live=False, starts=False, clock=lambda: now) as screen:
        for event in shown:
            screen.emit(event)
    # Fonts of the reader's own: a picture in a page fetches nothing.
    picture = console.export_svg(title=title, unique_id=path.stem)
    path.write_text(re.sub(r"@font-face \{.*?\}\n", "", picture, flags=re.DOTALL), encoding="utf-8")


def main() -> None:
    """Play a scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", nargs="?", choices=SCENES, default="deploy")
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--output", choices=("auto", "rich", "plain", "json"), default="auto")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--verbose", type=int, default=0)
    parser.add_argument("--recorded", type=Path, help="JSON lines of a real run, in place of a scene")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--title", default="deployer deploy")
    parser.add_argument("--width", type=int, default=110)
    args = parser.parse_args()
    events = recorded(args.recorded) if args.recorded else scene(args.scene, args.hosts)
    if args.svg:
        draw_svg(args.svg, events, width=args.width, title=args.title)
        return
    with open_output(
        args.output, stdout=sys.stdout, stderr=sys.stderr, environ=os.environ, verbose=args.verbose
    ) as output:
        for wait_s, event in events:
            time.sleep(wait_s / args.speed)
            output.emit(event)


if __name__ == "__main__":
    main()
