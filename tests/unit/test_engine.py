"""Many hosts at once: what an interrupt, an error of ours and a bug on one of them do to the rest."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deployer import config as configs
from deployer.engine import POOL, Ended, Engine
from deployer.errors import LinkLostError
from deployer.events import Event, Summary
from deployer.model import Host
from deployer.plan import Rollback
from deployer.remote import Launched, Remote
from deployer.switch import Switch
from tests.shop import CONFIG as ONE_HOST
from tests.shop import WEB2

CONFIG = ONE_HOST + WEB2


class Link:
    alive = True

    def close(self) -> None:
        self.alive = False


class Far:
    """Stands in for a `Remote`."""

    def __init__(self) -> None:
        self.link = Link()


class Hosts:
    """Connections as a test wants them: `gate` holds each until it is set."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[str] = []
        self.made: list[Far] = []

    def connect(self, host: Host) -> Remote:
        self.asked.append(host.name)
        assert self.gate.wait(10)
        far = Far()
        self.made.append(far)
        return cast("Remote", far)


@pytest.fixture
def hosts() -> Hosts:
    return Hosts()


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def engine(tmp_path: Path, hosts: Hosts, told: list[Event]) -> Engine:
    path = tmp_path / "deploy.toml"
    path.write_text(CONFIG)
    return Engine(config=configs.load(path), connect=hosts.connect, emit=told.append, token=lambda: "t")


def test_a_connection_that_comes_after_an_interrupt_is_closed_and_not_used(engine: Engine, hosts: Hosts) -> None:
    host, used = engine.config.hosts[0], []

    def work() -> None:
        with pytest.raises(LinkLostError, match="interrupted"):
            used.append(engine.remote(host))

    thread = threading.Thread(target=work)
    thread.start()
    while not hosts.asked:
        pass
    engine.stopped.set()
    engine.close()
    hosts.gate.set()
    thread.join(10)
    assert (used, hosts.made[0].link.alive) == ([], False)


def test_nobody_is_connected_to_after_an_interrupt(engine: Engine, hosts: Hosts) -> None:
    engine.stopped.set()
    with pytest.raises(LinkLostError):
        engine.remote(engine.config.hosts[0])
    assert hosts.asked == []


def test_an_interrupt_while_hosts_are_connecting_ends_before_any_work(
    engine: Engine, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def struck(_futures: Any) -> Any:
        while len(hosts.asked) < 2:
            pass
        threading.Timer(0.1, hosts.gate.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr("deployer.engine._as_they_end", struck)
    worked: list[Remote] = []
    with pytest.raises(KeyboardInterrupt):
        engine.each(engine.config.hosts, worked.append, lambda _host, _result: None)
    assert worked == []
    assert [far.link.alive for far in hosts.made] == [False, False]


@pytest.mark.parametrize("waits", [True, False])
def test_no_host_waits_for_another_where_the_work_is_a_wait(engine: Engine, *, waits: bool) -> None:
    hosts = [replace(engine.config.hosts[0], name=f"web{number}") for number in range(POOL + 1)]
    all_there = threading.Barrier(len(hosts))

    def work(_host: Host) -> Ended | None:
        # A pool that is too small never gets all of them here.
        all_there.wait(10 if waits else 0.2)
        return None

    ended = {}
    if waits:
        ended = engine.on_all(hosts, work, waits=True)
    else:
        ended = engine.on_all(hosts, work)
        with pytest.raises(threading.BrokenBarrierError):
            engine.raise_bug()
    assert bool(ended) is not waits


def test_a_bug_on_one_host_comes_up_after_the_others_are_told_of(engine: Engine, hosts: Hosts) -> None:
    hosts.gate.set()
    done: list[str] = []

    def work(remote: Remote) -> str:
        if cast("Any", remote) is hosts.made[0]:
            raise ZeroDivisionError("in our own code")
        return "done"

    engine.remote(engine.config.hosts[0])
    engine.remote(engine.config.hosts[1])
    with pytest.raises(ZeroDivisionError):
        engine.each(engine.config.hosts, work, lambda host, found: done.append(f"{host.name} {found}"))
    assert done == ["web2 done"]


def test_a_bug_on_one_host_keeps_the_summary_of_all(engine: Engine, hosts: Hosts, told: list[Event]) -> None:
    hosts.gate.set()

    def prepare(remote: Remote) -> Any:
        raise ZeroDivisionError("in our own code")

    switch: Switch[Any] = Switch(
        engine=engine, title="deploy", hosts=engine.config.hosts, prepare=prepare, why="deploy", who="me"
    )
    with pytest.raises(ZeroDivisionError):
        switch.run()
    (summary,) = [event for event in told if isinstance(event, Summary)]
    assert {row.verdict for row in summary.hosts} == {"failed"}
    assert "a bug of deployer: ZeroDivisionError" in summary.hosts[0].text


def switched(engine: Engine, *plans: Rollback, **options: Any) -> Summary:
    """Return the summary of a switch of as many hosts as there are plans, on hosts that start what they are asked."""
    told: list[Event] = []

    def connect(host: Host) -> Remote:
        link = SimpleNamespace(alive=True, close=lambda: None)
        return cast("Remote", SimpleNamespace(host=host, link=link, launch=lambda *_args, **_options: Launched()))

    by_host = {plan.host.name: plan for plan in plans}
    switch: Switch[Rollback] = Switch(
        engine=Engine(config=engine.config, connect=connect, emit=told.append, token=lambda: "t"),
        hosts=[plan.host for plan in plans],
        prepare=lambda remote: by_host[remote.host.name],
        why="deploy",
        who="me",
        **options,
    )
    assert switch.run() == 0
    (summary,) = [event for event in told if isinstance(event, Summary)]
    return summary


def test_a_detached_activation_is_told_with_the_release_that_serves_and_the_one_on_trial(engine: Engine) -> None:
    plan = Rollback(host=engine.config.hosts[0], release="1.0-x", expect="2.0-x")
    (row,) = switched(engine, plan, title="rollback shop", detach=True).hosts
    assert (row.verdict, row.release, row.before) == ("started", "2.0-x", "2.0-x")
    assert row.text == "1.0-x is on trial; its activation goes on by itself"


@pytest.mark.parametrize(
    ("planned", "title"),
    [
        (("1.0-x", "1.0-x"), "deploy shop 1.0-x"),
        (("1.0-x.2", "1.0-x.2"), "deploy shop 1.0-x.2"),  # the same tarball with another environment
        (("1.0-x", "1.0-x.2"), "deploy shop 1.0-x"),
    ],
)
def test_a_deploy_is_called_by_the_release_that_its_hosts_get(
    engine: Engine, planned: tuple[str, ...], title: str
) -> None:
    plans = [
        Rollback(host=host, release=release, expect=release, unchanged=True)
        for host, release in zip(engine.config.hosts, planned, strict=True)
    ]
    assert switched(engine, *plans, title="deploy shop", release="1.0-x").title == title
    assert switched(engine, *plans, title="rollback shop").title == "rollback shop"
