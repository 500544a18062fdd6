"""Deploy and rollback over many hosts: prepare all, then activate in waves; a failed wave stops the rest.

An activation runs on its host by itself. When we are interrupted, it goes on, and the summary says how to attach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from deployer.attach import watched, watcher_of
from deployer.engine import Ended, Engine, Phases, worst
from deployer.errors import (
    DamagedUploadError,
    DeployerError,
    InterruptedByUserError,
    LinkLostError,
    LockedError,
)
from deployer.events import HostEnded, Note, Progress, Verdict
from deployer.model import Host
from deployer.plan import Candidate, Deploy, Rollback
from deployer.queue import Queue
from deployer.remote import Launched, Remote
from deployer.sizes import size_text

P = TypeVar("P", Deploy, Rollback)


@dataclass(kw_only=True)
class Switch(Generic[P]):
    """One deploy or rollback of several hosts.

    Args:
        prepare: Brings a host to where its activation can start, and returns the plan of it. It is called again after a
            wait, and may raise `BusyError` for one.
        release: What a deploy is called by, with the title, unless all its hosts get one of another id.
        why: "deploy" or "rollback", for the ledger; a deploy runs the migrations on its first host.
        activate: False to stop once all are prepared.
        confirm: Asked once with all plans before the first activation; False ends it there.
        wait_s: How long each host may be waited for where somebody else is at work there; None for not at all.
    """

    engine: Engine
    title: str
    hosts: Sequence[Host]
    prepare: Callable[[Remote], P]
    why: str
    who: str
    release: str = ""
    parallel: int = 1
    activate: bool = True
    detach: bool = False
    confirm: Callable[[Sequence[P]], bool] = lambda _plans: True
    wait_s: float | None = None
    _plans: dict[str, P] = field(default_factory=dict)
    _ended: dict[str, Ended] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _launched: set[str] = field(default_factory=set)
    _queue: Queue = field(init=False)

    def __post_init__(self) -> None:
        self._queue = Queue(engine=self.engine, wait_s=self.wait_s, in_vain=self._is_lost)

    def run(self) -> int:
        """Carry it out, tell the summary, and return the exit status."""
        begun = self.engine.clock()
        try:
            self.engine.on_all(self.hosts, self._prepare_one, self._ended, waits=self.wait_s is not None)
            self._activate_all()
        except KeyboardInterrupt:
            self._interrupted()
        code = self._exit_code()
        self.engine.sum_up(self._called(), self.hosts, self._ended, exit_code=code, begun=begun)
        return code

    def _called(self) -> str:
        planned = {plan.release for plan in self._plans.values()}
        release = planned.pop() if self.release and len(planned) == 1 else self.release
        return f"{self.title} {release}".rstrip()

    def _exit_code(self) -> int:
        # A host that was left out for another's sake adds nothing to that one's reason.
        reasons = [each for each in self._ended.values() if each.error is not None or each.row.verdict != "skipped"]
        return worst(each.exit_code for each in reasons) or worst(each.exit_code for each in self._ended.values())

    def _is_lost(self) -> bool:
        """Has a host failed, so that no further one will be switched?"""
        return any(each.exit_code for each in tuple(self._ended.values()))

    def _prepare_one(self, host: Host) -> Ended | None:
        return self._queue.through(host, self._prepared)

    def _prepared(self, remote: Remote) -> Ended | None:
        plan = self._plans[remote.host.name] = self.prepare(remote)
        return (
            Ended(row=_row(remote.host, "unchanged", plan, "serves this release already")) if plan.unchanged else None
        )

    def _activate_all(self) -> None:
        waiting = [host for host in self.hosts if host.name not in self._ended]
        if any(each.error for each in self._ended.values()):
            left_out = ", ".join(name for name, each in self._ended.items() if each.error)
            others = ",".join(host.name for host in waiting)
            hint = f"to go on without {left_out}: the same command with --host {others}"
            self._skip("nothing was switched: another host could not be prepared", hint=hint)
        elif not self.activate:
            for host in waiting:
                text = f"{self._plans[host.name].release} is staged; nothing was switched, as asked"
                self._ended[host.name] = Ended(row=_row(host, "staged", self._plans[host.name], text))
        elif waiting and not self.confirm([self._plans[host.name] for host in waiting]):
            self._skip("nothing was switched, as answered")
        else:
            for number, wave in enumerate(waves(waiting, self.parallel)):
                self.engine.on_all(wave, self._first_one if number == 0 else self._one, self._ended, waits=True)
                if any(each.exit_code for each in self._ended.values()):
                    break
            self._skip("not started: a host before it failed")

    def _first_one(self, host: Host) -> Ended | None:
        return self._one(host, migrate=self.why == "deploy")

    def _one(self, host: Host, *, migrate: bool = False) -> Ended | None:
        is_planned = True

        def work(remote: Remote) -> Ended:
            nonlocal is_planned
            if not is_planned and (ended := self._prepared(remote)):
                return ended
            is_planned = False  # should somebody have been quicker, what is committed has changed
            return self._activated(remote, migrate=migrate)

        return self._queue.through(host, work)

    def _activated(self, remote: Remote, *, migrate: bool) -> Ended:
        host = remote.host
        plan, token = self._plans[host.name], self.engine.token()
        watcher = watcher_of(self.engine, host, release=plan.release, before=plan.expect)
        launched = Launched()
        self._asked.add(host.name)
        try:
            launched = remote.launch(
                plan.release,
                token=token,
                expect=plan.expect,
                why=self.why,
                keep=self.engine.config.app.keep,
                migrate=migrate,
                who=self.who,
            )
        except LinkLostError as error:
            # The host may have heard us all the same; by the token it is asked what became of it.
            if self.detach:
                return Ended(row=watcher.unknown(), error=error)
        except LockedError:
            self._asked.discard(host.name)
            raise
        self._launched.add(host.name)
        if self.detach:
            hint = f"deployer attach --host {host.name}"
            text = f"{plan.release} is on trial; its activation goes on by itself"
            return Ended(row=_row(host, "started", plan, text, hint=hint))
        watcher.was = launched.was
        return watched(self.engine, host, watcher, token=token, cursor=launched.cursor)

    def _skip(self, text: str, error: DeployerError | None = None, *, hint: str = "") -> None:
        for host in self.hosts:
            if host.name not in self._ended:
                row = _row(host, "skipped", self._plans.get(host.name), text, hint=hint)
                self._ended[host.name] = Ended(row=row, error=error)

    def _interrupted(self) -> None:
        for host in self.hosts:
            if host.name in self._asked and host.name not in self._ended:
                plan = self._plans[host.name]
                row = replace(
                    watcher_of(self.engine, host, release=plan.release, before=plan.expect).unknown(), took_s=0.0
                )
                goes_on = "goes" if host.name in self._launched else "may have begun and goes"
                error = InterruptedByUserError(
                    f"interrupted; the activation of {plan.release} {goes_on} on by itself on {host.name}",
                    hint=row.hint,
                )
                self._ended[host.name] = Ended(row=row, error=error)
            elif host.name in self._queue.behind and host.name not in self._ended:
                what = self._queue.behind[host.name]
                error = InterruptedByUserError(
                    f"interrupted while it waited for {what}; nothing was switched",
                    hint="the same command goes on where this one stopped",
                )
                row = _row(host, "skipped", self._plans.get(host.name), "interrupted before anything was switched")
                self._ended[host.name] = Ended(row=row, error=error)
        self._skip(
            "interrupted before anything was switched",
            InterruptedByUserError(
                "interrupted; nothing was switched", hint="the same command goes on where this one stopped"
            ),
        )


def stage(engine: Engine, remote: Remote, plan: Deploy, candidate: Candidate) -> None:
    """Bring a planned release onto the host, if it is not there, and have the host's systemd judge its unit."""
    host, total, resumed = plan.host, candidate.artifact.size_bytes, False

    def on_bytes(done: int, start: int) -> None:
        nonlocal resumed
        resumed = start > 0
        engine.emit(Progress(host=host.name, phase="upload", done_bytes=done, total_bytes=total, resumed_bytes=start))
        phases.text = size_text(total)

    phases = Phases(host.name, engine.emit, engine.clock)
    if plan.stage:
        with phases:
            try:
                remote.stage(plan, candidate, on_phase=phases.enter, on_bytes=on_bytes)
            except DamagedUploadError:
                if not resumed:
                    raise
                text = "what an earlier upload had left on the host was damaged; the upload starts anew"
                engine.emit(Note(level="warning", text=text, host=host.name))
                remote.stage(plan, candidate, on_phase=phases.enter, on_bytes=on_bytes)
    verify(engine, remote, plan.release, template=candidate.config.service.template)


def verify(engine: Engine, remote: Remote, release: str, *, template: Path | None = None) -> None:
    """Have the host's systemd judge the unit of a release that lies there; what it says of other units is told."""
    with engine.phase(remote.host, "verify"):
        for words in remote.verify(release, template):
            engine.emit(Note(level="warning", text=f"systemd on the host says: {words}", host=remote.host.name))


def planned(engine: Engine, remote: Remote, plan_for: Callable[[Remote], P]) -> P:
    """Return the host's plan, its warnings told."""
    with engine.phase(remote.host, "plan") as phase:
        plan = plan_for(remote)
        phase.text = "" if plan.unchanged or not plan.release else f"{plan.expect or 'nothing'} -> {plan.release}"
    for warning in plan.warnings:
        engine.emit(Note(level="warning", text=warning, host=remote.host.name))
    return plan


def waves(hosts: Sequence[Host], parallel: int) -> tuple[tuple[Host, ...], ...]:
    """Return the order in which hosts are activated: the first alone, as canary, then `parallel` at a time."""
    starts = range(1, len(hosts), parallel)
    return (*((hosts[0],) for _ in hosts[:1]), *(tuple(hosts[at : at + parallel]) for at in starts))


def _row(host: Host, verdict: Verdict, plan: Deploy | Rollback | None, text: str, *, hint: str = "") -> HostEnded:
    return HostEnded(
        host=host.name,
        verdict=verdict,
        release=plan.expect if plan else "",
        before=plan.expect if plan else "",
        text=text,
        hint=hint,
    )
