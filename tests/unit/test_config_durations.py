"""Durations as they are written and read back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer import durations


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("5s", 5.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1h2m3s4ms", 3723.004),
        ("300ms", 0.3),
        ("0s", 0.0),
        ("90", 90.0),
        (90, 90.0),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_read_as_seconds(written: str | float, seconds: float) -> None:
    assert durations.parse(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    ["", " 5s", "5 s", "5s\n", "-5s", "+5s", "5S", "5d", "s", ".5s", "5.s", "1m1h", "1s1s", "1e3s", "\u0665s", "5min"],
)
def test_what_is_no_duration_is_refused_with_what_is_accepted(written: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as") as caught:
        durations.parse(written)
    assert '"1h30m"' in str(caught.value)


@pytest.mark.parametrize("number", [-1, -0.5, float("nan"), float("inf"), True])
def test_a_number_that_is_no_duration_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="a number of seconds"):
        durations.parse(number)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.3, "300ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.9996, "1m"),
        (90.5, "1m30.5s"),
        (3600, "1h"),
        (5400, "1h30m"),
    ],
)
def test_seconds_are_told_shortly(seconds: float, written: str) -> None:
    assert durations.text(seconds) == written


def test_a_negative_duration_has_no_text() -> None:
    with pytest.raises(ValueError, match="negative"):
        durations.text(-1)


@settings(deadline=None)
@given(st.floats(min_value=0, max_value=1e7))
def test_a_text_is_read_back_to_the_millisecond(seconds: float) -> None:
    assert durations.parse(durations.text(seconds)) == pytest.approx(seconds, abs=0.000501)
