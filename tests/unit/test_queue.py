"""Waiting behind others: how long, how often, what ends it, and what becomes of the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from deployer.config import loads
from deployer.engine import Engine
from deployer.errors import BusyError, DeployerError, LinkLostError, LockedError, StaleError, UsageError
from deployer.events import Event, HostEnded, Note, PhaseStarted, Summary
from deployer.model import Host
from deployer.plan import Rollback
from deployer.queue import Queue, behind_text
from deployer.remote import Launched, Remote
from deployer.switch import Switch
from deployer.verbs.deploying import LONGEST_WAIT_S, _wait_s

CONFIG = loads(
    """
    [app]
    name = "shop"
    user = "app"
    [service]
    kind = "exec"
    exec_start = "bin/server"
    [hosts.web1]
    address = "192.0.2.1"
    [hosts.web2]
    address = "192.0.2.2"
    """,
    path=Path("/project/config/deploy.toml"),
)
HOST = CONFIG.hosts[0]
LINE = {"event": "activating", "id": "1.0-x", "who": "alice", "at": "2026-11-24T08:00:00Z", "why": "deploy"}
BEHIND = "the activation of 1.0-x by alice since 2026-11-24T08:00:00Z"


class Link:
    alive = True

    def close(self) -> None:
        self.alive = False


class Clock:
    """Seconds, which pass when somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Pause:
    """Stands in for the event that an interrupt sets: to wait for it takes time, and nothing else."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        self._clock.now_s += timeout
        return False


class Far:
    """Stands in for a `Remote` whose waits end as a list says: (seconds, last word), or with an error."""

    def __init__(self, host: Host, clock: Clock, waits: list[tuple[float, str | DeployerError]]) -> None:
        self.host, self.link = host, Link()
        self._clock, self._waits = clock, waits
        self.limits: list[float] = []

    def queue(self, limit_s: float, *, on_behind: Callable[[Any], None], in_vain: Callable[[], bool]) -> str:
        self.limits.append(limit_s)
        took_s, word = self._waits.pop(0)
        if took_s:
            on_behind(LINE)
        self._clock.now_s += took_s
        if isinstance(word, DeployerError):
            raise word
        return "vain" if in_vain() else word


class Field:
    """An engine with made-up hosts and a made-up clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[Event] = []
        self.waits: list[tuple[float, str | DeployerError]] = []
        self.hosts = {host.name: Far(host, self.clock, self.waits) for host in CONFIG.hosts}
        self.engine = Engine(
            config=CONFIG,
            connect=lambda host: cast("Remote", self.hosts[host.name]),
            emit=self.told.append,
            token=lambda: "t",
            clock=self.clock,
            stopped=cast("Any", Pause(self.clock)),
        )

    def queue(self, wait_s: float | None, *, in_vain: bool = False) -> Queue:
        return Queue(engine=self.engine, wait_s=wait_s, in_vain=lambda: in_vain)

    @property
    def said(self) -> list[str]:
        return [
            event.text
            for event in self.told
            if isinstance(event, PhaseStarted) and event.phase == "queue" and event.text
        ]


@pytest.fixture
def field() -> Field:
    return Field()


def refused(*errors: LockedError) -> tuple[Callable[[Remote], str], list[str]]:
    """Work that is refused so often, and then done; with the list of its attempts."""
    left, attempts = list(errors), []

    def work(remote: Remote) -> str:
        attempts.append(remote.host.name)
        if left:
            raise left.pop(0)
        return "done"

    return work, attempts


def test_without_a_time_nobody_waits(field: Field) -> None:
    work, attempts = refused(BusyError("busy"))
    with pytest.raises(BusyError, match="busy"):
        field.queue(None).through(HOST, work)
    assert (attempts, field.hosts["web1"].limits) == (["web1"], [])


def test_work_is_done_again_after_the_wait(field: Field) -> None:
    field.waits.append((30, "good"))
    work, attempts = refused(BusyError("busy"))
    queue = field.queue(90)
    assert queue.through(HOST, work) == "done"
    assert (attempts, field.hosts["web1"].limits, queue.behind) == (["web1", "web1"], [90], {})
    assert field.said == [f"behind {BEHIND}; for 1m30s at most"]


def test_all_waits_of_a_host_share_one_time(field: Field) -> None:
    field.waits += [(30, "good"), (40, "good"), (20, "busy")]
    work, attempts = refused(BusyError("busy"), BusyError("again"), BusyError("and again"))
    with pytest.raises(BusyError) as caught:
        field.queue(90).through(HOST, work)
    assert field.hosts["web1"].limits == [90, 60, 20]
    assert len(attempts) == 3
    assert caught.value.exit_code == 4
    assert f"{BEHIND} is still under way on web1 after a wait of 1m30s" in caught.value.message
    assert "deployer attach --host web1" in caught.value.hint
    assert "--wait" in caught.value.hint


def test_another_host_has_a_time_of_its_own(field: Field) -> None:
    field.waits += [(30, "good"), (40, "good")]
    queue = field.queue(90)
    for host in CONFIG.hosts:
        assert queue.through(host, refused(BusyError("busy"))[0]) == "done"
    assert [far.limits for far in field.hosts.values()] == [[90], [90]]


def test_a_human_lock_is_not_waited_for(field: Field) -> None:
    work, _ = refused(LockedError("the sale is on"))
    with pytest.raises(LockedError, match="sale"):
        field.queue(90).through(HOST, work)
    assert field.hosts["web1"].limits == []


def test_what_others_committed_meanwhile_is_planned_again_and_told(field: Field) -> None:
    work, attempts = refused(StaleError("the committed release is now 'b'"))
    assert field.queue(90).through(HOST, work) == "done"
    assert len(attempts) == 2
    assert [note.text for note in field.told if isinstance(note, Note)] == [
        "the committed release is now 'b'; this is planned again"
    ]


def test_somebody_who_is_at_it_without_an_activation_is_asked_for_as_long_as_the_time_lasts(field: Field) -> None:
    field.waits += [(0, "-")] * 100
    work, attempts = refused(*(BusyError("the same tarball is being uploaded") for _ in range(100)))
    with pytest.raises(BusyError, match="uploaded"):
        field.queue(5).through(HOST, work)
    assert 3 <= len(attempts) <= 8


def test_a_lost_link_is_made_again_and_waited_on_with_what_is_left(field: Field) -> None:
    field.waits += [(30, LinkLostError("gone")), (10, "good")]
    assert field.queue(90).through(HOST, refused(BusyError("busy"))[0]) == "done"
    assert field.hosts["web1"].limits == [90, 59]
    assert any("the link is gone (gone)" in note.text for note in field.told if isinstance(note, Note))


def test_a_link_that_stays_away_ends_the_wait_when_its_time_is_up(field: Field) -> None:
    field.waits += [(30, LinkLostError("gone"))] * 10
    with pytest.raises(LinkLostError):
        field.queue(90).through(HOST, refused(BusyError("busy"))[0])
    assert field.clock.now_s < 130


def test_a_wait_in_vain_ends_without_the_work(field: Field) -> None:
    field.waits.append((1, "good"))
    work, attempts = refused(BusyError("busy"))
    queue = field.queue(90, in_vain=True)
    assert queue.through(HOST, work) is None
    assert (len(attempts), queue.behind) == (1, {})


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (LINE, BEHIND),
        ({**LINE, "why": "rollback"}, BEHIND.replace("activation of", "rollback to")),
        ({"id": "1.0-x"}, "the activation of 1.0-x"),
        ({}, "an activation"),
    ],
)
def test_what_is_waited_for_is_named(line: dict[str, Any], text: str) -> None:
    assert behind_text(line) == text


# -- in a rollback of hosts -----------------------------------------------------------------------------------------


class Serving(Far):
    """One whose activation can be started, unless somebody else's is under way `busy` times."""

    def __init__(self, *args: Any, busy: int = 0) -> None:
        super().__init__(*args)
        self.busy = busy
        self.expected: list[str] = []

    def launch(self, _release: str, *, expect: str, **_: Any) -> Launched:
        if self.busy:
            self.busy -= 1
            raise BusyError("another activation of shop is under way", host=self.host.name)
        self.expected.append(expect)
        return Launched()


def switched(field: Field, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Remote], Rollback]) -> Summary:
    monkeypatch.setattr("deployer.switch.watched", _watched)
    switch = Switch(
        engine=field.engine, title="t", hosts=CONFIG.hosts, prepare=prepare, why="rollback", who="me", wait_s=90
    )
    switch.run()
    (summary,) = [event for event in field.told if isinstance(event, Summary)]
    return summary


def _watched(_engine: Engine, host: Host, _watcher: object, **_: Any) -> Any:
    from deployer.engine import Ended

    return Ended(row=HostEnded(host=host.name, verdict="changed"))


def test_who_is_beaten_to_the_start_plans_again_and_starts_on_what_is_committed_then(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = field.hosts["web1"] = Serving(HOST, field.clock, [(30, "good")], busy=1)
    field.hosts["web2"] = Serving(CONFIG.hosts[1], field.clock, [])
    seen: list[str] = []

    def prepare(remote: Remote) -> Rollback:
        seen.append(remote.host.name)
        return Rollback(host=remote.host, release="a", expect="b" if seen.count(remote.host.name) == 1 else "c")

    summary = switched(field, monkeypatch, prepare)
    assert (summary.exit_code, {row.verdict for row in summary.hosts}) == (0, {"changed"})
    assert (seen.count("web1"), far.expected) == (2, ["c"])


def test_a_host_that_cannot_be_prepared_ends_the_waits_for_all(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    class Patient(Serving):
        def queue(self, limit_s: float, *, on_behind: Callable[[Any], None], in_vain: Callable[[], bool]) -> str:
            del limit_s, on_behind
            while not in_vain():
                pass
            return "vain"

    field.hosts["web1"] = Patient(HOST, field.clock, [])
    field.hosts["web2"] = Serving(CONFIG.hosts[1], field.clock, [])

    def prepare(remote: Remote) -> Rollback:
        if remote.host is HOST:
            raise BusyError("busy", host="web1")
        raise UsageError("no such release", host="web2")

    summary = switched(field, monkeypatch, prepare)
    assert summary.exit_code == 2
    assert {row.host: row.verdict for row in summary.hosts} == {"web1": "skipped", "web2": "failed"}


# -- the option -----------------------------------------------------------------------------------------------------


def test_the_time_is_a_span_as_in_the_config() -> None:
    assert [_wait_s(text, "") for text in (None, "30s", "15m", "1h30m", "90")] == [None, 30, 900, 5400, 90]


@pytest.mark.parametrize("text", ["", "soon", "-5s", "0s", "25h", "9" * 400 + "h", "15 m"])
def test_a_bad_span_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--wait") as caught:
        _wait_s(text, "")
    assert (caught.value.exit_code, caught.value.hint) == (2, "--wait 15m")
    assert LONGEST_WAIT_S == 86400


def test_where_nothing_is_switched_there_is_nothing_to_wait_for() -> None:
    with pytest.raises(UsageError, match="--plan switches nothing"):
        _wait_s("15m", "--plan")
