"""start, stop, restart, setup, run, console, migrate, version, ping, lock, unlock, prune, pin: acting on hosts."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployer import durations, kinds
from deployer.activation import Follower, since
from deployer.errors import LockedError, UsageError
from deployer.events import CommandLine, Listing, Note
from deployer.host.facts import Facts
from deployer.host.replies import words
from deployer.host.scripts import script
from deployer.journal import cursor_of, journal_line
from deployer.kinds.base import Release
from deployer.model import Host
from deployer.remote import Remote
from deployer.verbs.run import Run


def control(run: Run, verb: str) -> int:
    """Start, stop or restart the service on each host, with its journal on the screen."""
    app = run.config.app.name

    def work(remote: Remote) -> dict[str, str]:
        facts = remote.probe()
        if facts.under_way:
            # The host would refuse it too; but its journal would run by as if it had begun.
            who = f", started by {facts.trial['who']}" if facts.trial.get("who") else ""
            hint = f"follow it with: deployer attach --host {remote.host.name}"
            raise LockedError(f"an activation of {app} is under way{who}", host=remote.host.name, hint=hint)

        read = ""

        def on_line(text: str) -> None:
            nonlocal read
            read = cursor_of(text) or read
            line = journal_line(text, host=remote.host.name)
            if line is not None:
                run.emit(line)

        run.learn(remote)
        cursor = remote.cursor()
        follower = Follower(remote.journal(("--follow", "--lines", "all", *since(cursor))), on_line)
        try:
            state = remote.control(verb)
        except BaseException:
            follower.close(quiet_s=0.25)
            raise
        if verb == "stop":
            # Its last words came before systemctl was done: they are all there, and none is waited for.
            follower.cut()
            Follower(remote.journal(("--lines", "all", *since(cursor, read=read))), on_line).close()
        else:
            follower.close(quiet_s=1.5)
        return state

    rows: list[Mapping[str, Any]] = []

    def done(host: Host, state: dict[str, str]) -> None:
        shown = f"{state.get('ActiveState', '?')} ({state.get('SubState', '?')})"
        rows.append({"host": host.name, "state": shown, "main_pid": int(state.get("MainPID") or 0)})

    code = run.engine.each(run.hosts, work, done, waits=True)
    if rows:
        run.emit(Listing(name=verb, columns=("host", "state", "main_pid"), rows=tuple(rows)))
    return code


def setup(run: Run, *, sudo: bool, plan_only: bool) -> int:
    """Prepare hosts once: the service's user, directories, on request a sudo rule."""
    home = f"/var/lib/{run.config.app.name}"
    rows: list[Mapping[str, Any]] = []

    def work(remote: Remote) -> tuple[str, ...]:
        return remote.setup(home=home, sudo_for=remote.link.login if sudo else "", plan_only=plan_only)

    def done(host: Host, texts: tuple[str, ...]) -> None:
        rows.extend({"host": host.name, "would" if plan_only else "did": text} for text in texts)

    code = run.engine.each(run.hosts, work, done)
    word = "would" if plan_only else "did"
    run.table(Listing(name="setup", columns=("host", word), rows=tuple(rows), empty="already prepared"), code)
    return code


def one_off(run: Run, command: str, *, hosts: Sequence[Host] = ()) -> int:
    """Run a command as the service would, on each host that is meant or on these; its output line by line."""
    if command.startswith("-"):
        raise UsageError(f"{command} is no command", hint='deployer run "COMMAND", or deployer --help run')
    return _run_each(run, hosts or run.hosts, lambda _remote: command)


def _run_each(
    run: Run,
    hosts: Sequence[Host],
    command_of: Callable[[Remote], str],
    *,
    why_not: Callable[[Remote], tuple[str, str]] = lambda _remote: ("", ""),
) -> int:
    """Run a command on each host, which may be another one on each.

    Args:
        why_not: Asked about a host on which it failed: what is to be said of it besides, and what to do next.
    """

    def work(remote: Remote) -> tuple[int, str, str]:
        run.learn(remote)
        command = command_of(remote)
        session = remote.link.start(
            script("one_off", run.config.app, "pipe", secrets.token_hex(4), command), name="run"
        )
        session.close_stdin()
        try:
            lines = session.lines()
            # The first line is the script's, the rest the command's.
            words((next(lines, ""),), host=remote.host.name)
            for text in lines:
                run.emit(CommandLine(host=remote.host.name, command=command, text=text))
            status = session.status(run.config.ssh.step_timeout_s)
        finally:
            session.close()
        return (status, *(why_not(remote) if status else ("", "")))

    worst: list[int] = []

    def done(host: Host, ended: tuple[int, str, str]) -> None:
        status, why, hint = ended
        if status:
            text = f"the command ended with status {status}{why and f': {why}'}"
            run.emit(Note(level="error", text=text, host=host.name, hint=hint))
        worst.append(status)

    return run.engine.each(hosts, work, done) or (1 if any(worst) else 0)


def migrate(run: Run) -> int:
    """Run the config's migrations in the committed release, on the first host that is meant."""
    commands = run.config.service.migrate
    if not commands:
        raise UsageError("the config has no migrations", hint="set [service] migrate")
    for command in commands:
        status = one_off(run, command, hosts=run.hosts[:1])
        if status:
            return status
    return 0


def console(run: Run) -> int:
    """Open the release's remote console, on a real terminal."""
    if not run.at_terminal:
        raise UsageError("a console needs a terminal", hint='for a single command: deployer run "COMMAND"')
    remote = run.engine.remote(run.host)
    prepared = remote.one_off_command(secrets.token_hex(4), _command_of_kind(remote, "console"))
    # In the main thread: a change of the window's size is told by a signal.
    with run.paused():
        return remote.link.interactive(prepared)


def kind_command(run: Run, name: str) -> int:
    """Run the command that the release's kind has for "version" or "ping"."""
    if name == "ping":
        return _run_each(run, run.hosts, lambda remote: _command_of_kind(remote, name), why_not=_silent)
    return _run_each(run, run.hosts, lambda remote: _command_of_kind(remote, name))


def _silent(remote: Remote) -> tuple[str, str]:
    """Return why a node may not have answered, and where to look."""
    state = remote.probe().unit
    name, active = remote.host.name, state.get("ActiveState", "?")
    if active == "active":
        why = (
            "the service is active, but its node does not answer; it has no distribution with RELEASE_DISTRIBUTION=none"
        )
        return why, f"deployer logs --host {name}"
    return f"the service is {active} ({state.get('SubState', '?')})", f"deployer status --host {name}"


def _command_of_kind(remote: Remote, name: str) -> str:
    """Return a command of a host's committed release; its kind comes from the host's own manifest."""
    manifest = remote.manifest()
    release = Release(
        kind=str(manifest.get("kind", "")),
        name=str(manifest.get("name", "")),
        version=str(manifest.get("version", "")),
    )
    commands = kinds.commands(release)
    if name not in commands:
        raise UsageError(
            f"a release of kind {release.kind} has no {name} command",
            host=remote.host.name,
            hint=f'deployer run "COMMAND" --host {remote.host.name}',
        )
    return commands[name]


def lock(run: Run, *, reason: str, until: str, force: bool) -> int:
    """Refuse every activation but a rollback, until it is taken away or a time has come.

    Raises:
        LockedError: Somebody else has locked it already, and `force` is not given.
    """
    if not reason:
        raise UsageError("a lock needs a reason: somebody will meet it", hint='deployer lock --reason "…"')
    until_s = "" if not until else str(_moment(until))
    if until_s and int(until_s) <= time.time():
        raise UsageError(f"--until {until} is in the past", hint="like 2026-11-24T08:00, or 45m")
    code, others = _locks_of_others(run)
    if code:
        return code
    if others and not force:
        raise LockedError("it is locked by somebody else; nothing was changed", hint="ask them, or add --force")

    def work(remote: Remote) -> str:
        remote.mark("freeze", reason, until_s, run.who)
        return "lock"

    return _mark(run, "lock", work)


def unlock(run: Run, *, force: bool) -> int:
    """Take a lock away; somebody else's only after a question, or with `force`."""
    code, others = _locks_of_others(run)
    if code:
        return code
    if others and not force and (not run.at_terminal or not run.confirm("Unlock it all the same?")):
        raise LockedError("it is locked by somebody else; nothing was changed", hint="ask them, or add --force")

    def work(remote: Remote) -> str:
        return "unlock" if remote.mark("thaw", run.who) else "nothing was locked"

    return _mark(run, "unlock", work)


def _locks_of_others(run: Run) -> tuple[int, bool]:
    """Tell who else has locked the app, and return the exit status of the look and whether there is anybody."""

    def work(remote: Remote) -> Facts:
        return remote.probe()

    found: dict[str, Facts] = {}
    code = run.engine.each(run.hosts, work, lambda host, facts: found.update({host.name: facts}))
    others = {name: facts.frozen for name, facts in found.items() if facts.frozen and facts.frozen.who != run.who}
    for name, frozen in others.items():
        run.emit(Note(level="warning", text=f"locked by {frozen.who} {frozen.span}: {frozen.reason}", host=name))
    return code, bool(others)


def _moment(text: str) -> int:
    """Return the Unix time of "30m" (from now) or "2026-11-24T08:00" (local time)."""
    from datetime import datetime

    if re.match(r"\d{4}-", text):
        try:
            return int(datetime.fromisoformat(text).timestamp())
        except ValueError as error:
            raise UsageError(f"--until {text} is not a time", hint="like 2026-11-24T08:00, or 45m") from error
    try:
        return int(time.time() + durations.parse(text))
    except ValueError as error:
        raise UsageError(
            f"--until {text} is neither a time nor a duration", hint="like 2026-11-24T08:00, or 45m"
        ) from error


def pin(run: Run, release: str, *, remove: bool) -> int:
    """Keep a release from being pruned, or no longer."""

    def work(remote: Remote) -> str:
        marked = [
            rest for word, rest in remote.mark("unpin" if remove else "pin", release, run.who) if word == "marked"
        ]
        if not marked:
            return "it was not pinned"
        return f"{marked[0]} no longer pinned" if remove else f"{marked[0]} pinned"

    return _mark(run, "pin", work)


def prune(run: Run, *, keep: int, plan_only: bool) -> int:
    """Remove releases beyond the newest `keep`; never one that is committed, good before, pinned or in use."""
    rows: list[Mapping[str, Any]] = []

    def work(remote: Remote) -> list[tuple[str, str]]:
        return remote.mark("prune", str(keep or run.config.app.keep), "yes" if plan_only else "no")

    def done(host: Host, found: list[tuple[str, str]]) -> None:
        word = "would go" if plan_only else "removed"
        rows.extend({"host": host.name, "release": rest, "done": word} for kind, rest in found if kind == "pruned")

    code = run.engine.each(run.hosts, work, done)
    listing = Listing(name="prune", columns=("host", "release", "done"), rows=tuple(rows), empty="nothing to remove")
    run.table(listing, code)
    return code


def _mark(run: Run, name: str, work: Callable[[Remote], str]) -> int:
    """Set a mark on each host; `work` returns what was done there."""
    rows: list[Mapping[str, Any]] = []
    code = run.engine.each(run.hosts, work, lambda host, done: rows.append({"host": host.name, "done": done}))
    run.table(Listing(name=name, columns=("host", "done"), rows=tuple(rows)), code)
    return code
