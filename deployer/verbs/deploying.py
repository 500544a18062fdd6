"""deploy, plan, rollback, attach, build, fetch, inspect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from deployer import attach as attaching
from deployer import durations, kinds, local, plan, unit
from deployer.artifact import Artifact, load_for, obtain
from deployer.errors import BusyError, InterruptedByUserError, LockedError, UsageError
from deployer.events import Listing, Note, Text
from deployer.explain import explain
from deployer.kinds.base import Launch
from deployer.model import Host
from deployer.plan import Candidate, Deploy, Rollback
from deployer.remote import Remote
from deployer.sizes import size_text
from deployer.switch import Switch, planned, stage, verify
from deployer.verbs import history
from deployer.verbs.run import Run

MANY_HOSTS = 6
"""More than these are counted in the heading of a deploy, and not named."""
LONGEST_WAIT_S = 24 * 3600.0


def deploy(
    run: Run,
    *,
    artifact: str,
    plan_only: bool,
    yes: bool,
    activate: bool,
    detach: bool,
    parallel: int,
    wait: str | None,
) -> int:
    wait_s = _wait_s(wait, "" if activate and not plan_only else "--plan" if plan_only else "--no-activate")
    if plan_only:
        return show_plan(run, artifact=artifact)
    _refuse_unwatched(run, detach=detach)
    if detach and not activate:
        raise UsageError("--no-activate starts nothing that --detach could leave", hint="leave one of the two out")
    with _before_hosts():
        _ask_early(run)
        candidate = _candidate(run, artifact)
    engine = run.engine
    questions = _Questions(run, yes=yes)
    run.emit(Note(level="info", text=_heading(run, candidate.artifact)))

    def prepare(remote: Remote) -> Deploy:
        run.learn(remote)
        found = planned(engine, remote, lambda remote: _plan_for(run, candidate, remote, queues=wait_s is not None))
        if not found.unchanged:
            stage(engine, remote, found, candidate)
        if found.queued:
            raise _queued(run, remote.host)
        questions.refuse_new(found)
        return found

    return Switch(
        engine=engine,
        title=f"deploy {run.config.app.name}",
        release=candidate.artifact.id,
        hosts=run.hosts,
        prepare=prepare,
        why="deploy",
        who=run.who,
        parallel=parallel or run.config.parallel,
        activate=activate,
        detach=detach,
        confirm=questions.confirmed,
        wait_s=wait_s,
    ).run()


def show_plan(run: Run, *, artifact: str) -> int:
    """Show what a deploy would change on each host, and change nothing."""
    _ask_early(run)
    candidate = _candidate(run, artifact)

    def work(remote: Remote) -> str:
        found = _plan_for(run, candidate, remote, look_only=True)
        before = remote.files(found.expect) if found.expect else None
        return explain(found, config=run.config, artifact=candidate.artifact, before=before)

    return run.engine.each(run.hosts, work, lambda host, text: run.emit(Text(name="plan", text=text, host=host.name)))


def rollback(run: Run, *, to: str, plan_only: bool, detach: bool, parallel: int, wait: str | None) -> int:
    wait_s = _wait_s(wait, "--plan" if plan_only else "")
    behind: dict[str, str | None] = {}

    def plan_for(remote: Remote) -> Rollback:
        run.learn(remote)
        facts = remote.probe() if plan_only else remote.settled()
        # What was meant is what was there when this was first looked at, and nothing that came in between.
        before = behind.setdefault(remote.host.name, facts.committed if facts.under_way else None)
        queues = wait_s is not None
        return plan.rollback(run.config, host=remote.host, facts=facts, to=to, queues=queues, behind=before)

    def prepare(remote: Remote) -> Rollback:
        found = planned(run.engine, remote, plan_for)
        if found.queued:
            raise _queued(run, remote.host)
        if not (found.unchanged or found.proven):
            verify(run.engine, remote, found.release)
        return found

    if plan_only:
        return run.engine.each(
            run.hosts,
            plan_for,
            lambda host, found: run.emit(Text(name="plan", text=_rollback_text(run, found), host=host.name)),
        )
    _refuse_unwatched(run, detach=detach)
    return Switch(
        engine=run.engine,
        title=f"rollback {run.config.app.name}",
        hosts=run.hosts,
        prepare=prepare,
        why="rollback",
        who=run.who,
        parallel=parallel or run.config.parallel,
        detach=detach,
        wait_s=wait_s,
    ).run()


def attach(run: Run) -> int:
    return attaching.attach(run.engine, run.hosts, learn=run.learn, cut_off=history.cut_off)


def build(run: Run) -> int:
    """Run the config's build and say what came out."""
    if not run.config.artifact.build:
        raise UsageError("the config has no build command", hint="set [artifact] build, or use: deployer fetch")
    return _shown(run, _artifact(run, ""))


def fetch(run: Run, *, artifact: str) -> int:
    """Get the tarball, without building, and say where it is."""
    return _shown(run, _artifact(run, artifact, build=False))


def inspect(run: Run, *, artifact: str) -> int:
    """Say what kind of release a tarball is, and what unit and environment it would get."""
    from deployer.inspect import explanation

    found = _artifact(run, artifact, build=False)
    run.emit(Text(name="inspect", text=explanation(found, launch=_launch(run, found), config=run.config)))
    return 0


def show_unit(run: Run, *, artifact: str) -> int:
    """Show the unit that a deploy would install."""
    found = _artifact(run, artifact, build=False)
    path = run.config.app.release_path(found.id)
    text = unit.unit_text(run.config, launch=_launch(run, found), release_path=path, env_file=run.config.app.env_path)
    run.emit(Text(name="unit", text=text))
    return 0


def _shown(run: Run, artifact: Artifact) -> int:
    row = {
        "file": str(artifact.path.resolve()),
        "release": artifact.id,
        "kind": artifact.release.kind,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
    }
    run.emit(Listing(name="artifact", columns=tuple(row), rows=(row,)))
    return 0


def _wait_s(given: str | None, switches_nothing: str) -> float | None:
    """Return the seconds of `--wait`; None where it was not given."""
    if given is None:
        return None
    if switches_nothing:
        raise UsageError(
            f"{switches_nothing} switches nothing, so there is nothing to wait for", hint="leave --wait out"
        )
    try:
        seconds = durations.parse(given)
    except ValueError as error:
        raise UsageError(f"--wait: {error}", hint="--wait 15m") from error
    if not 0 < seconds <= LONGEST_WAIT_S:
        raise UsageError(f"--wait {given} is not from 1ms to 24h", hint="--wait 15m")
    return seconds


def _queued(run: Run, host: Host) -> BusyError:
    return BusyError(f"another activation of {run.config.app.name} was under way on {host.name}", host=host.name)


@contextlib.contextmanager
def _before_hosts() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        text = "interrupted; no host was touched"
        raise InterruptedByUserError(text, hint="run the same command again") from error


def _refuse_unwatched(run: Run, *, detach: bool) -> None:
    if detach and len(run.hosts) > 1:
        raise UsageError(
            "--detach watches nothing, so it cannot wait for the first of several hosts",
            hint="add --host NAME, or leave --detach out",
        )


def _ask_early(run: Run) -> None:
    """Meet what is wrong with hosts and environment before a build of ten minutes, and before any host is touched."""
    for host in run.hosts:
        run.environment(host)


def _heading(run: Run, artifact: Artifact) -> str:
    hosts = ", ".join(host.name for host in run.hosts) if len(run.hosts) <= MANY_HOSTS else f"{len(run.hosts)} hosts"
    name, kind = run.config.app.name, artifact.release.kind
    return f"{name} {artifact.version} (kind {kind}, {size_text(artifact.size_bytes)}) to {hosts}"


def _candidate(run: Run, artifact: str) -> Candidate:
    found = _artifact(run, artifact)
    return Candidate(
        config=run.config,
        artifact=found,
        launch=_launch(run, found),
        who=run.who,
        # A tarball from elsewhere says nothing of the tree that lies here.
        revision="" if artifact or run.config.artifact.url else _revision(run),
    )


def _artifact(run: Run, override: str, *, build: bool = True) -> Artifact:
    config = run.config
    path = obtain(
        config.artifact,
        directory=config.directory,
        override=override,
        emit=run.emit,
        cache=run.cache / "artifacts",
        build=build,
    )
    found = load_for(config, path)
    for warning in found.warnings:
        run.note(warning)
    return found


def _launch(run: Run, artifact: Artifact) -> Launch:
    return kinds.launch_of(artifact.release, run.config)


def _plan_for(
    run: Run, candidate: Candidate, remote: Remote, *, look_only: bool = False, queues: bool = False
) -> Deploy:
    environment = run.environment(remote.host)
    digest = candidate.artifact.sha256
    facts = remote.probe(digest=digest, env=True) if look_only else remote.settled(digest=digest, env=True)
    return plan.deploy(
        candidate, host=remote.host, facts=facts, environment=environment, queues=queues, look_only=look_only
    )


class _Questions:
    """Asks before something is replaced that a person wrote on a host: once, on all hosts, before the first is switched."""

    def __init__(self, run: Run, *, yes: bool) -> None:
        self._run, self._yes = run, yes
        self._told: set[tuple[str, str]] | None = None

    def confirmed(self, plans: Sequence[Deploy]) -> bool:
        replaced = [(each.host.name, text) for each in plans for text in each.replaces]
        for name, text in replaced:
            self._run.note(text, host=name)
        self._told = set(replaced)
        return not replaced or self._yes or self._run.confirm("Replace it?")

    def refuse_new(self, found: Deploy) -> None:
        """Refuse what came up after the answer, as in a plan that was made again, where there is somebody to be asked."""
        if self._told is None:
            return
        for text in found.replaces:
            if (found.host.name, text) not in self._told and self._run.at_terminal and not self._yes:
                raise LockedError(
                    f"{text}; that was not so when you were asked",
                    host=found.host.name,
                    hint="the same command asks again",
                )


def _rollback_text(run: Run, found: Rollback) -> str:
    if found.unchanged:
        return f"{found.host.name}: {found.release} is committed and runs; nothing to do\n"
    lines = [
        f"{found.host.name}: {run.config.app.name} {found.expect or 'nothing yet'} → {found.release}",
        "  brings back  its tree, its unit and its environment; migrations are not undone",
        f"  restart      {run.config.app.unit}, then the health checks of {found.release}",
        *(
            []
            if found.proven
            else ["  first        systemd on the host judges its unit: it has not proved itself there yet"]
        ),
        *(f"  warning      {warning}" for warning in found.warnings),
    ]
    return "\n".join(lines) + "\n"


def _revision(run: Run) -> str:
    """Return the commit of the source, with "+" for a tree with changes; empty outside of git."""
    argv = ("git", "-C", str(run.config.directory), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*")
    try:
        done = local.run(argv, timeout_s=10)
    except FileNotFoundError:
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.status == 0 else ""
