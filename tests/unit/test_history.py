"""What the ledger tells: how each release ended, which one a name means, and when it was at work."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.host.facts import Facts, LedgerEntry, StagedRelease
from deployer.verbs.history import Span, cut_off, named, release_rows, since, span

ONE, TEN, NEW = "1.1.0-4d35b823", "1.10.0-aa35b823", "2.0.0-684b998e"


def entry(event: str, release: str, minute: int, token: str = "", **more: str) -> LedgerEntry:
    return LedgerEntry(at=f"2026-11-24T08:{minute:02}:00Z", event=event, id=release, token=token, **more)


def tried(release: str, minute: int, token: str, end: str = "good", **more: str) -> tuple[LedgerEntry, ...]:
    ledger = (
        entry("staged", release, minute, version=release.split("-", maxsplit=1)[0]),
        entry("activating", release, minute, token),
    )
    return (*ledger, entry(end, release, minute + 1, token, **more)) if end else ledger


def on_host(*ids: str) -> tuple[StagedRelease, ...]:
    return tuple(StagedRelease(id=each, identity="", digest="", pinned=False, size_bytes=1) for each in ids)


HISTORY = (*tried(ONE, 0, "a"), *tried(TEN, 10, "b"), *tried(NEW, 20, "c", "bad", cause="it exited"))


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        (ONE, (ONE,)),
        ("1.1.0", (ONE,)),
        ("1.10.0", (TEN,)),
        ("1.1", (ONE,)),
        ("1.1.0-4d3", (ONE,)),
        ("1", (ONE, TEN)),
        ("1.10", (TEN,)),
        ("2", (NEW,)),
        ("3", ()),
        ("", ()),
    ],
)
def test_a_name_means_an_id_a_version_or_a_beginning(name: str, ids: tuple[str, ...]) -> None:
    assert named(Facts(ledger=HISTORY), name) == ids


def test_a_version_means_all_its_releases() -> None:
    ledger = (*tried(ONE, 0, "a"), *tried(f"{ONE}.2", 5, "b"))
    assert named(Facts(ledger=ledger), "1.1.0") == (ONE, f"{ONE}.2")
    assert named(Facts(ledger=ledger), ONE) == (ONE,)


def test_the_span_of_a_good_release_ends_with_the_next_activation() -> None:
    facts = Facts(ledger=HISTORY)
    assert span(facts, [ONE]) == Span(since="2026-11-24T08:00:00Z", until="2026-11-24T08:10:00Z")
    assert span(Facts(ledger=HISTORY[:6]), [TEN]) == Span(since="2026-11-24T08:10:00Z")


def test_the_span_of_a_bad_release_ends_with_its_verdict() -> None:
    assert span(Facts(ledger=HISTORY), [NEW]) == Span(since="2026-11-24T08:20:00Z", until="2026-11-24T08:21:01Z")


def verdicts(**facts: Any) -> dict[str, str]:
    return {row["release"]: row["verdict"] for row in release_rows(Facts(**facts))}


def test_an_activation_without_a_verdict_was_interrupted() -> None:
    ledger = (*tried(ONE, 0, "a"), *tried(NEW, 20, "c", ""))
    here = on_host(ONE, NEW)
    assert verdicts(ledger=ledger, releases=here) == {NEW: "interrupted", ONE: "good"}
    assert cut_off(Facts(ledger=ledger, releases=here)) == ledger[-1]
    assert verdicts(ledger=ledger, releases=here, under_way=True) == {NEW: "under way", ONE: "good"}
    assert cut_off(Facts(ledger=ledger, releases=here, under_way=True)) is None


def test_the_word_of_the_ledger_itself_is_as_good() -> None:
    ledger = (*tried(ONE, 0, "a"), *tried(NEW, 20, "c", "interrupted"))
    assert cut_off(Facts(ledger=ledger)) == ledger[-2]  # how it began
    assert cut_off(Facts(ledger=(*ledger, *tried(TEN, 30, "d")))) is None
    assert cut_off(Facts()) is None


def test_a_release_that_was_never_tried_is_staged() -> None:
    assert verdicts(ledger=tried(ONE, 0, "a")[:1], releases=on_host(ONE)) == {ONE: "staged"}


def test_what_was_pruned_is_told_apart() -> None:
    rows = release_rows(Facts(ledger=HISTORY, releases=on_host(TEN), committed=TEN))
    assert [(row["release"], row["here"], row["cause"]) for row in rows] == [
        (NEW, False, "it exited"),
        (TEN, True, None),
        (ONE, False, None),
    ]


def test_a_time_of_systemd_becomes_iso() -> None:
    assert since("Tue 2026-11-24 20:13:10 UTC") == "2026-11-24T20:13:10Z"
    assert since("") is None
    assert since("Tue 2026-11-24 20:13:10 CET") == "Tue 2026-11-24 20:13:10 CET"
