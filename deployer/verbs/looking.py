"""status, releases, logs, env: looking at hosts, changing nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from deployer import refusals
from deployer.env import compare, parse_systemd
from deployer.errors import InterruptedByUserError, UsageError
from deployer.events import JournalLine, Listing, Note
from deployer.host.facts import Facts
from deployer.journal import journal_line
from deployer.model import Host
from deployer.remote import Remote
from deployer.verbs import history
from deployer.verbs.run import Run

PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

LAST_LINES = "100"
"""How many lines `logs` shows where it is not told: with --deploy, all of that activation."""


def status(run: Run) -> int:
    """Show where each host stands; 0 when every one of them could be asked."""
    rows: list[Mapping[str, Any]] = []

    def done(host: Host, facts: Facts) -> None:
        rows.append(_status_row(host, facts))
        for note in _status_notes(host, facts):
            run.emit(note)

    code = run.engine.each(run.hosts, lambda remote: remote.probe(health=True), done)
    columns = ("host", "release", "state", "since", "restarts", "health", "drift")
    run.table(Listing(name="status", columns=columns, rows=tuple(rows), optional=("restarts", "since")), code)
    return code


def _status_notes(host: Host, facts: Facts) -> Iterator[Note]:
    if facts.frozen:
        text = f"locked by {facts.frozen.who} {facts.frozen.span}: {facts.frozen.reason}"
        yield Note(level="info", text=text, host=host.name)
    if facts.under_way:
        begun = facts.activation
        release = facts.trial.get("to") or (begun.id if begun else "")
        who = facts.trial.get("who") or (begun.who if begun else "")
        what = (f" of {release}" if release else "") + (f", started by {who}," if who else "")
        hint = f"deployer attach --host {host.name}"
        yield Note(level="info", text=f"an activation{what} is under way", host=host.name, hint=hint)
    elif facts.committing or facts.trial:
        hint = "the next deploy or rollback finishes or undoes it"
        yield Note(level="warning", text="an activation was cut off", host=host.name, hint=hint)
    elif begun := history.cut_off(facts):
        text = f"{begun.id} was cut off before it proved itself, most likely by a power cut or reboot"
        # Not as a command that can be pasted: without its --artifact it would deploy another release, perhaps.
        again = f"the same deploy of {begun.id} once more; deployer plan --host {host.name} shows what a deploy would take now"
        if begun.why == "rollback":
            again = f"deployer rollback --host {host.name} --to {begun.id}"
        yield Note(level="warning", text=text, host=host.name, hint=again)


def _status_row(host: Host, facts: Facts) -> dict[str, Any]:
    state = facts.unit
    shown = f"{state.get('ActiveState', '?')} ({state.get('SubState', '?')})"
    if state.get("LoadState") == "not-found":
        shown = "not installed"
    return {
        "host": host.name,
        "release": facts.committed or None,
        "on_trial": facts.trial.get("to"),
        "state": shown + _of_trial(facts),
        "since": history.since(state.get("StateChangeTimestamp", "")),
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


def _of_trial(facts: Facts) -> str:
    to = facts.trial.get("to", "")
    return "" if not to else f", going back from {to}" if facts.going_back else f", with {to} on trial"


def releases(run: Run) -> int:
    """List the releases of each host in the order of its ledger, newest first; in JSON those that were pruned, too."""
    rows: list[Mapping[str, Any]] = []

    def done(host: Host, facts: Facts) -> None:
        found = history.release_rows(facts)
        rows.extend({"host": host.name, **row} for row in found)
        if (pruned := sum(not row["here"] for row in found)) and not run.is_for_programs:
            text = f"{pruned} pruned before {'is' if pruned == 1 else 'are'} left out; --output json tells of all"
            run.emit(Note(level="info", text=text, host=host.name))
        if facts.torn_ledger_lines:
            text = f"{facts.torn_ledger_lines} line(s) of the ledger cannot be read"
            run.emit(Note(level="warning", text=text, host=host.name))

    code = run.engine.each(run.hosts, lambda remote: remote.probe(), done)
    shown = [row for row in rows if row["here"]]
    columns = ["release", "when", "who", "verdict", "size_bytes", "marks"]
    if len(run.hosts) > 1:
        columns.insert(0, "host")
    if any(row["revision"] for row in shown):
        columns.insert(columns.index("when"), "revision")
    if any(row["cause"] for row in shown):
        columns.append("cause")
    listing = Listing(
        name="releases",
        columns=tuple(columns),
        rows=tuple(rows),
        empty="no releases yet",
        only="here",
        optional=("size_bytes", "revision", "who"),
    )
    run.table(listing, code)
    return code


def logs(run: Run, *, follow: bool, lines: str, since: str, until: str, priority: str, grep: str, deploy: str) -> int:
    if priority and priority not in (*PRIORITIES, *"01234567"):
        raise UsageError(f"--priority {priority} is not known", hint=f"one of {', '.join(PRIORITIES)}, or 0 to 7")
    if lines and lines != "all" and not lines.isdigit():
        raise UsageError(f"--lines {lines} is no number", hint="how many of the last lines, or: --lines all")
    if follow and until:
        raise UsageError(f"--follow has no end, and --until {until} is one", hint="leave one of the two out")
    if deploy and (since or until):
        raise UsageError("--deploy has a time of its own", hint="leave --since and --until out")
    matching = tuple(
        word for flag, value in (("--priority", priority), ("--grep", grep)) if value for word in (flag, value)
    )

    def work(remote: Remote) -> int:
        run.learn(remote)
        span = _span(remote.probe(), deploy, remote.host) if deploy else history.Span(since=since, until=until)
        if follow and span.until:
            hint = f"deployer logs --host {remote.host.name} --deploy {deploy}"
            raise UsageError(f"the activation of {deploy} is over: there is nothing to follow", hint=hint)
        count = lines or ("all" if deploy or (follow and since) else LAST_LINES)
        found = _journal(run, remote, (*_times(span, deploy), *matching), count, follow=follow)
        shown = 0
        for line in found:
            shown += 1
            run.emit(replace(line, message=run.engine.mask(line.message)))
        return shown

    def done(host: Host, shown: int) -> None:
        if not shown:
            run.emit(Note(level="info", text="no lines match" if matching else "no lines", host=host.name))

    try:
        return run.engine.each(run.hosts, work, done, waits=follow)
    except KeyboardInterrupt:
        if not follow:
            raise
        return InterruptedByUserError.exit_code  # the usual end: nothing to tell


def _journal(run: Run, remote: Remote, where: tuple[str, ...], count: str, *, follow: bool) -> Iterator[JournalLine]:
    """Yield the last `count` lines, oldest first; then, to follow, those that come."""
    # With --since, journalctl's --lines counts from the beginning, if it is not told to go backwards.
    backwards = count != "all" and not follow
    args = ("--lines", count, *where, *(("--follow",) if follow else ()), *(("--reverse",) if backwards else ()))
    session = remote.journal(args)
    found = (journal_line(text, host=remote.host.name) for text in session.lines())
    lines = (line for line in found if line is not None)
    yield from reversed(list(lines)) if backwards else lines
    status = session.status(run.config.ssh.step_timeout_s)
    # --grep without a match ends with 1 too, and says nothing.
    if status and (said := session.stderr.strip()):
        raise UsageError(
            f"journalctl on {remote.host.name} says: {said.splitlines()[-1]}",
            host=remote.host.name,
            hint=_journal_hint(where),
        )


def _journal_hint(where: tuple[str, ...]) -> str:
    """Return what to look at where journalctl did not take what it was asked for."""
    hints = []
    if "--since" in where or "--until" in where:
        hints.append('times are like "2026-11-23 22:00", today or "2 hours ago"; more of them: man systemd.time')
    if "--grep" in where:
        hints.append(
            r"--grep takes a regular expression of Perl's: a character with a meaning of its own needs a \ before it"
        )
    return "; ".join(hints)


def _span(facts: Facts, release: str, host: Host) -> history.Span:
    """Return the time of a release's last activation."""
    hint = f"deployer releases --host {host.name}"
    ids = history.named(facts, release)
    if not ids:
        raise UsageError(f"no activation of {release!r} in the ledger of {host.name}", hint=hint)
    if len({each.rpartition("-")[0] for each in ids}) > 1:
        raise refusals.ambiguous(release, ids, host)
    return history.span(facts, ids)


def _times(span: history.Span, deploy: str) -> tuple[str, ...]:
    given = (("--since", span.since), ("--until", span.until))
    return tuple(word for flag, at in given if at for word in (flag, _utc(at) if deploy else at))


def _utc(at: str) -> str:
    from datetime import datetime

    return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def distinct_text(value: str) -> str:
    r"""Return a value as a person can tell it from every other: in quotes with escapes where a cell would not show it.

    A cell has one line and no blanks at its ends, and "-" for nothing: a value of two lines is `"one\ntwo"`.
    """
    if value.isprintable() and value == value.strip() and value not in ("", "-") and not value.startswith('"'):
        return value
    return json.dumps(value, ensure_ascii=False)


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
                for key, values in (("here", wanted.values), ("on_host", there)):
                    value = values[name].reveal() if name in values else None
                    row[key] = value if value is None or run.is_for_programs else distinct_text(value)
            rows.append(row)

    code = run.engine.each(run.hosts, work, done)
    columns = ("host", "name", "state", "from", *(("here", "on_host") if reveal else ()))
    run.table(Listing(name="env", columns=columns, rows=tuple(rows), empty="no environment"), code)
    return code
