"""Follows activations that are under way, through as many links as it takes: the end of a deploy, and all of `attach`.

An activation runs on its host by itself. When the link breaks, we connect again and go on watching.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from deployer.activation import Watcher
from deployer.engine import Ended, Engine, worst
from deployer.errors import HostKeyError, NotLetInError, UnreachableError, UsageError
from deployer.events import HostEnded, Note
from deployer.host.facts import Facts, LedgerEntry
from deployer.model import Host
from deployer.remote import Remote

GRACE_S = 30.0
"""How much longer than an activation may take we try to reach its host again."""


def watcher_of(engine: Engine, host: Host, *, release: str, before: str) -> Watcher:
    """Return the watcher of an activation of `release` on a host that `before` is committed on; empty is not known."""
    return Watcher(
        host=host,
        unit=engine.config.app.unit,
        release=release,
        before=before,
        emit=engine.emit,
        mask=engine.mask,
        clock=engine.clock,
    )


def attach(
    engine: Engine,
    hosts: Sequence[Host],
    *,
    learn: Callable[[Remote], None],
    cut_off: Callable[[Facts], LedgerEntry | None],
) -> int:
    """Follow the activations that are under way on these hosts; return the exit status.

    Args:
        learn: Takes in what must be hidden of a host, before anything of it is shown.
        cut_off: Gives how the last activation began, if it was cut off.
    """
    begun = engine.clock()

    def follow(host: Host) -> Ended:
        try:
            remote = engine.remote(host)
            learn(remote)
            facts = remote.probe()
        except UnreachableError as lost:
            row = HostEnded(host=host.name, verdict="unknown", text=lost.message, hint=lost.hint)
            return Ended(row=row, error=lost)
        watcher = watcher_of(engine, host, release=facts.trial.get("to", ""), before=facts.trial.get("from", ""))
        watcher.was = facts.trial.get("was", "")
        try:
            return watched(engine, host, watcher, token="", cursor=facts.trial.get("cursor", ""))
        except UsageError as none:
            error = none
            # A boot forgets the events; the ledger stays.
            if cut := cut_off(facts):
                text = f"{none.message}; the last one, of {cut.id}, was cut off, most likely by a power cut or reboot"
                error = UsageError(text, host=host.name, hint=f"deployer status --host {host.name}")
            row = HostEnded(host=host.name, verdict="failed", text=error.message, hint=error.hint)
            return Ended(row=replace(row, release=facts.committed), error=error)

    ended = engine.on_all(hosts, follow, waits=True)
    code = worst(each.exit_code for each in ended.values())
    engine.sum_up(f"attach {engine.config.app.name}", hosts, ended, exit_code=code, begun=begun)
    return code


def watched(engine: Engine, host: Host, watcher: Watcher, *, token: str, cursor: str) -> Ended:
    """Watch an activation to its end, through as many connections as it takes within its own time limits."""
    health, service = engine.config.health, engine.config.service
    migrate_s = len(service.migrate) * service.migrate_timeout_s
    deadline = engine.clock() + 2 * (health.timeout_s + service.stop_timeout_s) + migrate_s + GRACE_S
    pause_s = 1.0
    while True:
        try:
            # Nobody may be there to answer, and the activation does not wait.
            with engine.asking_until(host, deadline):
                row, error = watcher.watch(engine.remote(host), token=token, cursor=cursor)
            return Ended(row=row, error=error)
        except (HostKeyError, NotLetInError) as error:
            return Ended(row=watcher.unknown(), error=error)
        except UnreachableError as error:
            if engine.stopped.is_set():  # it was closed here, by an interrupt
                return Ended(row=watcher.unknown(), error=error)
            text = f"the link is gone ({error.message}); the activation goes on by itself, connecting again"
            engine.emit(Note(level="warning", text=text, host=host.name))
            token, cursor = watcher.token or token, watcher.cursor or cursor
            if engine.clock() > deadline or engine.stopped.wait(pause_s):
                return Ended(row=watcher.unknown(), error=error)
            pause_s = min(pause_s * 2, 10)
