"""Tables are made for their width: ids and dates stay whole, remarks are broken at words, one row is one line in a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from deployer.events import Listing
from deployer.output.texts import listing_text

CAUSE = "not healthy within 30 s: http://127.0.0.1:4000/health answered 500, not 200"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


RELEASES = Listing(
    name="releases",
    columns=("release", "revision", "when", "who", "verdict", "size_bytes", "marks", "cause"),
    rows=(
        {
            "release": "1.2.0-684b998e", "revision": "3f0c6e8a1b2c", "when": "2026-11-23T22:40:42Z", "who": "anna@laptop",
            "verdict": "bad", "size_bytes": 16400, "cause": CAUSE, "here": True,
        },
        {"release": "1.0.0-b61cd6ba", "verdict": "good", "here": False},
        {
            "release": "1.1.0-4d35b823", "revision": "9d1c6e8a1b2c", "when": "2026-11-23T22:40:00Z", "who": "anna@laptop",
            "verdict": "good", "size_bytes": 16400, "marks": ["current"], "here": True,
        },
    ),
    only="here",
    optional=("size_bytes", "revision", "who"),
)  # fmt: skip

CHECK = Listing(
    name="check",
    columns=("host", "check", "ok", "text", "next"),
    rows=(
        {"host": "here", "check": "config", "ok": True, "text": "~/shop/config/deploy.toml", "next": None},
        {
            "host": "prod1", "check": "environment", "ok": False, "next": "cp config/env/prod.env.example config/env/prod.env",
            "text": "there is no file config/env/prod.env, which [env] file names; SECRET_KEY_BASE is required and missing",
        },
        {"host": "prod1", "check": "unit", "ok": False, "text": "Unknown key 'Foo'.\nUnknown key 'Bar'.", "next": "edit it"},
    ),
)  # fmt: skip


def test_a_narrow_terminal_shows_ids_and_dates_whole_and_the_cause_below() -> None:
    assert (
        listing_text(RELEASES, width=80)
        == """\
RELEASE         REVISION      WHEN                 WHO          VERDICT  MARKS
1.2.0-684b998e  3f0c6e8a1b2c  2026-11-23 22:40:42  anna@laptop  bad      -
    CAUSE: not healthy within 30 s: http://127.0.0.1:4000/health answered 500,
        not 200
1.1.0-4d35b823  9d1c6e8a1b2c  2026-11-23 22:40:00  anna@laptop  good     current
"""
    )


def test_a_very_narrow_terminal_shows_records() -> None:
    assert listing_text(RELEASES, width=30).startswith(
        """\
RELEASE   1.2.0-684b998e
REVISION  3f0c6e8a1b2c
WHEN      2026-11-23 22:40:42
WHO       anna@laptop
VERDICT   bad
SIZE      16.4 kB
MARKS     -
CAUSE     not healthy within
          30 s: http://127.0.0
          .1:4000/health
          answered 500, not
          200

RELEASE   1.1.0-4d35b823
"""
    )


def test_a_wide_terminal_shows_every_column() -> None:
    first, second, *_ = listing_text(RELEASES, width=170).splitlines()
    assert first.split() == ["RELEASE", "REVISION", "WHEN", "WHO", "VERDICT", "SIZE", "MARKS", "CAUSE"]
    assert second.endswith(CAUSE)


def test_remarks_are_broken_at_words_and_what_to_type_stands_on_a_line_of_its_own() -> None:
    assert (
        listing_text(CHECK, width=80)
        == """\
HOST   CHECK        OK   TEXT
here   config       yes  ~/shop/config/deploy.toml
prod1  environment  no   there is no file config/env/prod.env, which [env] file
                         names; SECRET_KEY_BASE is required and missing
    NEXT: cp config/env/prod.env.example config/env/prod.env
prod1  unit         no   Unknown key 'Foo'.; Unknown key 'Bar'.
    NEXT: edit it
"""
    )


def test_in_a_pipe_a_row_is_a_line_and_a_long_remark_moves_only_its_own() -> None:
    lines = listing_text(CHECK).splitlines()
    assert len(lines) == 4
    assert lines[0] == "HOST   CHECK        OK   TEXT                                    NEXT"
    assert lines[1] == "here   config       yes  ~/shop/config/deploy.toml               -"
    assert lines[2].endswith("is required and missing  cp config/env/prod.env.example config/env/prod.env")


def test_a_column_that_says_nothing_goes_first() -> None:
    row = {"host": "prod1", "text": "a remark of some length, that needs all the room there is", "next": None}
    listing = Listing(name="x", columns=("host", "text", "next"), rows=(row,))
    assert listing_text(listing, width=80).splitlines()[0].split() == ["HOST", "TEXT", "NEXT"]
    assert listing_text(listing, width=66).splitlines()[0].split() == ["HOST", "TEXT"]


@pytest.mark.parametrize("width", range(20, 200, 7))
@pytest.mark.parametrize("listing", [RELEASES, CHECK])
def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(listing: Listing, width: int) -> None:
    lines = listing_text(listing, width=width).splitlines()
    assert [line for line in lines if len(line) > width or line != line.rstrip()] == []
