from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.output import clean, words

ANY = st.text(st.characters()) | st.text(
    st.sampled_from(
        "a b\t\n\r\x1b[m\x07\x7f\x80\x9b\xad\u200b\u200d\u202e\u2028\u2066\ufeff\ufe0f漢é\u0301😀\ud800\U000e0041"
    )
)


def harmful(char: str) -> bool:
    """Tell by the character's category, where the code under test goes by ranges."""
    if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
        return True
    kept = "\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
    hieroglyphs = 0x13430 <= ord(char) <= 0x1343F
    return unicodedata.category(char) == "Cf" and char not in kept and not hieroglyphs


def test_every_code_point_that_controls_or_hides_is_escaped() -> None:
    wrong = [hex(code) for code in range(0x110000) if harmful(chr(code)) and chr(code) in clean.one_line(chr(code))]
    assert wrong == []


def test_printable_text_stays_as_it_is() -> None:
    text = "naïve 漢字 👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e [red]:smile:[/red]"
    assert clean.one_line(text) == text


@given(ANY)
def test_a_cleaned_line_holds_nothing_harmful(text: str) -> None:
    line = clean.one_line(text)
    assert not any(map(harmful, line))
    line.encode("utf-8")  # a surrogate would raise


@given(ANY)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean.one_line(clean.one_line(text)) == clean.one_line(text)


@given(ANY)
def test_only_line_feeds_make_lines(text: str) -> None:
    lines = clean.lines(text)
    assert len(lines) == text.removesuffix("\n").count("\n") + 1
    assert not any(harmful(char) for line in lines for char in line)


@given(ANY)
def test_a_document_keeps_its_line_feeds_and_tabs_alone(text: str) -> None:
    document = clean.document(text)
    assert document.count("\n") == text.count("\n")
    assert not any(harmful(char) for char in document if char not in "\n\t")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb\nc", "a\\rb\\nc"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202eevil\u2028", "\\u202eevil\\u2028"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("ab\tc", "ab      c"),
        ("漢\tc", "漢      c"),
        ("\x1b\tc", "\\x1b    c"),
        ("", ""),
    ],
)
def test_escapes_are_those_a_programmer_types(text: str, shown: str) -> None:
    assert clean.one_line(text) == shown


@given(ANY, st.integers(1, 30), st.integers(2, 30))
def test_folded_pieces_fit_and_lose_nothing(text: str, first: int, rest: int) -> None:
    line = clean.one_line(text)
    pieces = clean.folded(line, first, rest)
    assert "".join(pieces) == line
    # A first piece of one column may hold one wide character: it cannot be cut.
    assert clean.cells(pieces[0]) <= max(first, 2)
    assert all(clean.cells(piece) <= rest for piece in pieces[1:])


def test_folding_prefers_a_space() -> None:
    assert clean.folded("one two three four", 12, 12) == ["one two ", "three four"]


@given(ANY, st.integers(0, 30))
def test_a_cut_text_fits(text: str, room: int) -> None:
    line = clean.one_line(text)
    shown = clean.cut(line, room)
    assert clean.cells(shown) <= max(room, 0)
    assert shown == line or not shown or shown.endswith("…")


def test_joined_characters_count_as_if_they_stood_apart() -> None:
    # rich counts what follows a joiner as nothing, so such a line would be wrapped by the terminal, without a gutter.
    assert clean.cells("x" + "\u200dA" * 50) >= 51


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (34_100_000, "34.1 MB"),
        (5_000_000_000, "5.0 GB"),
    ],
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert words.size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3720, "1 h 02 min"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert words.took_text(seconds) == text


def test_any_number_a_host_sends_as_time_is_shown() -> None:
    assert words.time_text(1e300, 0.0) == "--:--:--"
    assert words.time_text(-1e18, 0.0) == "--:--:--"


def test_cells_of_a_listing_are_words() -> None:
    values = {
        "a": None,
        "b": True,
        "c": False,
        "d": ["x", "y\x1b"],
        "e": [],
        "size_bytes": 1500,
        "took_s": 2,
        "f": 0,
        "g": "",
    }
    assert [words.cell_text(column, value) for column, value in values.items()] == [
        "-", "yes", "no", "x, y\\x1b", "-", "1.5 kB", "2.0 s", "0", "-",
    ]  # fmt: skip
    assert words.header_text("size_bytes") == "size"
    assert words.header_text("started_at") == "started at"


def test_a_point_in_time_is_shown_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert words.cell_text("when", "2026-11-23T22:24:28Z") == "2026-11-24 03:54:28"
    time.tzset()
    assert words.cell_text("when", "2026-11-23") == "2026-11-23"
