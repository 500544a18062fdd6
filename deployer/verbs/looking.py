"""status, releases, logs, check, env, unit: looking at hosts, changing nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from deployer.env import compare, parse_systemd
from deployer.errors import InterruptedByUserError, UsageError
from deployer.events import Listing, Note
from deployer.host.facts import Facts
from deployer.journal import journal_line
from deployer.model import Host
from deployer.remote import Remote
from deployer.verbs.run import Run

PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


def status(run: Run) -> int:
    """Show where each host stands; 0 when every one of them could be asked."""
    rows: list[Mapping[str, Any]] = []

    def done(host: Host, facts: Facts) -> None:
        rows.append(_status_row(host, facts))
        for text in facts.drift:
            run.emit(Note(level="warning", text=text, host=host.name))
        if facts.frozen:
            run.emit(
                Note(
                    level="info",
                    text=f"locked by {facts.frozen.who} {facts.frozen.span}: {facts.frozen.reason}",
                    host=host.name,
                )
            )
        if facts.under_way:
            hint = f"deployer attach --host {host.name}"
            what = f" of {facts.trial['to']}, started by {facts.trial.get('who', '?')}" if facts.trial else ""
            run.emit(Note(level="info", text=f"an activation{what} is under way", host=host.name, hint=hint))
        elif facts.committing or facts.trial:
            hint = "the next deploy or rollback finishes or undoes it"
            run.emit(Note(level="warning", text="an activation was cut off", host=host.name, hint=hint))

    code = run.engine.each(run.hosts, lambda remote: remote.probe(health=True), done)
    columns = ("host", "release", "state", "since", "restarts", "health", "drift")
    run.emit(Listing(name="status", columns=columns, rows=tuple(rows)))
    return code


def _status_row(host: Host, facts: Facts) -> dict[str, Any]:
    state = facts.unit
    shown = f"{state.get('ActiveState', '?')} ({state.get('SubState', '?')})"
    if state.get("LoadState") == "not-found":
        shown = "not installed"
    return {
        "host": host.name,
        "release": facts.committed or None,
        "on_trial": facts.trial.get("to"),
        "state": shown if "to" not in facts.trial else f"{shown}, with {facts.trial['to']} on trial",
        "since": state.get("StateChangeTimestamp") or None,
        "restarts": int(state.get("NRestarts") or 0),
        "health": facts.health or None,
        "drift": list(facts.drift) or None,
        "main_pid": int(state.get("MainPID") or 0),
        "running": facts.running or None,
        "enabled": state.get("UnitFileState") == "enabled",
        "under_way": facts.under_way,
        "locked": None if facts.frozen is None else facts.frozen.reason,
        "os": facts.os,
        "systemd": facts.systemd,
    }


def releases(run: Run) -> int:
    """List the releases of each host in the order of its ledger, newest first."""
    rows: list[Mapping[str, Any]] = []

    def done(host: Host, facts: Facts) -> None:
        rows.extend(_release_rows(host, facts))
        if facts.torn_ledger_lines:
            text = f"{facts.torn_ledger_lines} line(s) of the ledger cannot be read"
            run.emit(Note(level="warning", text=text, host=host.name))

    code = run.engine.each(run.hosts, lambda remote: remote.probe(), done)
    columns = ["release", "when", "who", "verdict", "size_bytes", "marks"]
    if len(run.hosts) > 1:
        columns.insert(0, "host")
    if any(row["revision"] for row in rows):
        columns.insert(columns.index("when"), "revision")
    run.emit(Listing(name="releases", columns=tuple(columns), rows=tuple(rows), empty="no releases yet"))
    return code


def _release_rows(host: Host, facts: Facts) -> list[dict[str, Any]]:
    history: dict[str, dict[str, Any]] = {}
    for entry in facts.ledger:
        if not entry.id:
            continue
        row = history.setdefault(entry.id, {"when": entry.at, "who": entry.who, "verdict": "staged", "cause": None})
        if entry.event == "staged":
            row.update(version=entry.version, revision=entry.revision or None)
        if entry.event in ("good", "bad", "interrupted"):
            row.update(verdict=entry.event, when=entry.at, who=entry.who or row["who"], cause=entry.cause or None)
            # The latest activation decides the order.
            history[entry.id] = history.pop(entry.id)
    here = {release.id: release for release in facts.releases}
    rows = []
    for release_id in reversed([*history, *(each for each in here if each not in history)]):
        release = here.get(release_id)
        marks = [
            word
            for word, holds in (
                ("current", release_id == facts.committed),
                ("running", release_id == facts.running and release_id != facts.committed),
                ("rollback target", release_id == facts.rollback_target()),
                ("pinned", release is not None and release.pinned),
                ("pruned", release is None),
            )
            if holds
        ]
        known = history.get(release_id, {})
        rows.append(
            {
                "host": host.name,
                "release": release_id,
                "version": known.get("version"),
                "revision": known.get("revision"),
                "when": known.get("when"),
                "who": known.get("who"),
                "verdict": known.get("verdict"),
                "size_bytes": None if release is None else release.size_bytes,
                "marks": marks or None,
                "cause": known.get("cause"),
            }
        )
    return rows


def logs(run: Run, *, follow: bool, lines: int, since: str, until: str, priority: str, grep: str, deploy: str) -> int:
    if priority and priority not in PRIORITIES and not priority.isdigit():
        raise UsageError(f"--priority {priority} is not known", hint=f"one of {', '.join(PRIORITIES)}, or 0 to 7")
    args = ["--lines", str(lines)]
    for flag, value in (("--since", since), ("--until", until), ("--priority", priority), ("--grep", grep)):
        if value:
            args += [flag, value]
    if follow:
        args.append("--follow")

    def work(remote: Remote) -> int:
        run.learn(remote)
        wanted = tuple(args)
        if deploy:
            wanted = (*_span(remote.probe(), deploy, remote.host), *(args[2:] if lines == DEFAULT_LINES else args))
        session = remote.journal(wanted)
        found = (journal_line(text, host=remote.host.name) for text in session.lines())
        lines_found = (replace(line, message=run.engine.mask(line.message)) for line in found if line is not None)
        # With --grep and --lines, journalctl turns the order round.
        for line in sorted(lines_found, key=lambda line: line.at) if grep and not follow else lines_found:
            run.emit(line)
        status = session.status(run.config.ssh.step_timeout_s)
        # --grep without a match ends with 1 too, and says nothing.
        if status and (said := session.stderr.strip()):
            raise UsageError(f"journalctl on {remote.host.name} says: {said.splitlines()[-1]}", host=remote.host.name)
        return status

    try:
        return run.engine.each(run.hosts, work, lambda _host, _status: None)
    except KeyboardInterrupt:
        if not follow:
            raise
        return InterruptedByUserError.exit_code  # the usual end: nothing to tell


DEFAULT_LINES = 100


def _span(facts: Facts, release: str, host: Host) -> tuple[str, ...]:
    """Return journalctl's arguments for the time of a release's last activation."""
    entries = [entry for entry in facts.ledger if entry.id.startswith(release) and entry.token]
    if not entries:
        raise UsageError(
            f"no activation of {release!r} in the ledger of {host.name}", hint=f"deployer releases --host {host.name}"
        )
    token = entries[-1].token
    times = [entry.at for entry in entries if entry.token == token]
    begin, end = times[0], times[-1]
    span = ("--since", _utc(begin))
    # A good release runs on: its log has no end yet. One second more, as times are cut to seconds.
    return span if entries[-1].event == "good" else (*span, "--until", _utc(end, plus_s=1))


def _utc(at: str, *, plus_s: int = 0) -> str:
    from datetime import datetime, timedelta

    moment = datetime.fromisoformat(at) + timedelta(seconds=plus_s)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def env(run: Run, *, reveal: bool) -> int:
    """Compare the environment of the config with that of each host: names, and values only when asked for."""
    rows: list[Mapping[str, Any]] = []

    def work(remote: Remote) -> Facts:
        return remote.probe(env=True)

    def done(host: Host, facts: Facts) -> None:
        wanted = run.environment(host)
        there = parse_systemd(facts.env_text.reveal())
        difference = compare(there, wanted.values)
        for name in sorted({*there, *wanted.values}):
            state = "same"
            for word in ("added", "changed", "removed"):
                if name in getattr(difference, word):
                    state = {"added": "only here", "changed": "differs", "removed": "only on the host"}[word]
            row: dict[str, Any] = {"host": host.name, "name": name, "state": state, "from": wanted.origins.get(name)}
            if reveal:
                row["here"] = wanted.values[name].reveal() if name in wanted.values else None
                row["on the host"] = there[name].reveal() if name in there else None
            rows.append(row)

    code = run.engine.each(run.hosts, work, done)
    columns = ("host", "name", "state", "from", *(("here", "on the host") if reveal else ()))
    run.emit(Listing(name="env", columns=columns, rows=tuple(rows), empty="no environment"))
    return code
