"""An activation as its watcher tells it: old lines from new ones, and the time of what is told after the fact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

from deployer.activation import Follower, Watcher
from deployer.errors import DeployerError
from deployer.events import Event, HostEnded, JournalLine, PhaseEnded, PhaseStarted
from deployer.model import Host
from deployer.remote import Over, Remote

if TYPE_CHECKING:
    from deployer.transport import Session

OLD, NEW = "0" * 32, "1" * 32


class Lines:
    """A session that has said all."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def lines(self) -> Iterator[str]:
        yield from self._texts

    def close(self) -> None:
        pass


class Played:
    """A host that has these events and lines to tell."""

    def __init__(self, events: list[dict[str, Any]], journal: list[str], over: Over) -> None:
        self._events, self._journal, self._over = events, journal, over

    def journal(self, _args: tuple[str, ...]) -> Lines:
        return Lines(self._journal)

    def follow(self, _token: str, *, seen: int, on_event: Callable[[dict[str, Any]], None]) -> Over:
        for event in self._events[seen:]:
            on_event(event)
        return self._over


def line(message: str, pid: int, invocation: str, *, of: str = "_SYSTEMD_INVOCATION_ID") -> str:
    sender = "systemd" if pid == 1 else "shop"
    return json.dumps({"MESSAGE": message, "SYSLOG_IDENTIFIER": sender, "_PID": str(pid), of: invocation})


def watched(
    events: list[dict[str, Any]], journal: list[str], over: Over, *, was: str = "", before: str = ""
) -> tuple[HostEnded, DeployerError | None, list[Event]]:
    told: list[Event] = []
    watcher = Watcher(
        host=Host(name="prod1", address="127.0.0.1"),
        unit="shop.service",
        emit=told.append,
        mask=lambda text: text.replace("secret", "***"),
        clock=lambda: 100.0,
        release="2",
        before=before,
    )
    watcher.was = was
    row, error = watcher.watch(cast("Remote", Played(events, journal, over)), token="t", cursor="c")
    return row, error, told


def test_lines_of_the_process_of_before_are_old_and_no_evidence() -> None:
    journal = [
        line("Stopping shop.service", 1, OLD, of="INVOCATION_ID"),
        line("bye, secret\nfor ever", 7, OLD),
        line("Started shop.service", 1, NEW, of="INVOCATION_ID"),
        line("cannot boot", 8, NEW),
    ]
    kept = (
        "2026-11-24T08:00:00+0000 prod1 systemd[1]: Stopping shop.service",
        "2026-11-24T08:00:00+0000 prod1 shop[7]: bye, ***",
        "                                        for ever",
        "2026-11-24T08:00:00+0000 prod1 systemd[1]: Started shop.service",
        "2026-11-24T08:00:00+0000 prod1 shop[8]: cannot boot",
    )
    end = {"event": "end", "verdict": "rolled-back", "release": "1", "before": "1", "text": "it exited"}
    over = Over(committed="1", verdict="bad", evidence=kept)
    _, error, told = watched([end], journal, over, was=OLD)
    assert [(each.message, each.old) for each in told if isinstance(each, JournalLine)] == [
        ("Stopping shop.service", True),
        ("bye, ***\nfor ever", True),
        ("Started shop.service", False),
        ("cannot boot", False),
    ]
    assert error is not None
    assert [text.partition(" ")[2] for text in error.evidence] == [
        "systemd[1]: Started shop.service",
        "shop[8]: cannot boot",
    ]


def test_without_word_of_the_process_of_before_nothing_is_called_old() -> None:
    over = Over(committed="1", verdict="bad", evidence=())
    _, error, told = watched([], [line("bye", 7, OLD)], over)
    assert [each.old for each in told if isinstance(each, JournalLine)] == [False]
    assert error is not None
    assert error.evidence == ("shop[7]: bye",)


def test_what_is_told_after_the_fact_has_the_times_of_the_host() -> None:
    events: list[dict[str, Any]] = [
        {"event": "phase", "phase": "health", "at": "2026-11-24T08:00:00Z"},
        {"event": "waiting", "at": "2026-11-24T08:00:02Z", "text": "connection refused"},
        {"event": "phase_ended", "phase": "health", "ok": True, "at": "2026-11-24T08:00:06Z"},
        {"event": "end", "verdict": "changed", "release": "2", "before": "1", "at": "2026-11-24T08:00:07Z"},
    ]
    over = Over(committed="2", verdict="good", evidence=())
    # The committed release is the new one by now; what was before, the host knows.
    row, error, told = watched(events, [], over, before="")
    eight = 1_795_507_200.0
    assert (row.release, row.before, row.took_s, error) == ("2", "1", 7.0, None)
    assert told == [
        PhaseStarted(host="prod1", phase="health", at=eight),
        PhaseStarted(host="prod1", phase="health", text="connection refused", at=eight + 2),
        PhaseEnded(host="prod1", phase="health", ok=True, took_s=6.0, at=eight + 6),
    ]


def test_a_first_activation_that_was_cut_off_is_not_called_a_way_back() -> None:
    begun = [{"event": "phase", "phase": "start", "text": "", "at": "2026-11-24T08:00:00Z"}]
    row, error, _ = watched(begun, [], Over(committed="", verdict="activating", evidence=()))
    assert (row.verdict, row.release) == ("stopped", "")
    assert error is not None
    assert error.message.endswith("; nothing is committed on prod1")
    row, error, _ = watched(begun, [], Over(committed="1", verdict="activating", evidence=()), before="1")
    assert row.verdict == "rolled-back"
    assert error is not None
    assert error.message.endswith("prod1 is on 1")


def test_a_rollback_that_was_cut_off_is_not_to_be_followed_by_a_deploy() -> None:
    begun = [{"event": "phase", "phase": "start", "text": "", "at": "2026-11-24T08:00:00Z"}]
    row, error, _ = watched(begun, [], Over(committed="3", verdict="activating", evidence=()), before="3")
    assert error is not None
    assert error.hint == row.hint == "deployer status --host prod1, then run the same deploy or rollback again"


@pytest.mark.timeout(20)
def test_a_journal_that_has_said_all_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.activation.DRAIN_S", 1000.0)
    for texts in ([], ["one", "two"]):
        told: list[str] = []
        Follower(cast("Session", Lines(texts)), told.append).close(quiet_s=1000.0)
        assert told == texts
