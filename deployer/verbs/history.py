"""What a host's ledger tells of its releases: how each one ended, and when it was at work. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from deployer.host.facts import Facts, LedgerEntry

_VERDICTS = ("good", "bad", "interrupted", "refused")


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The time of an activation, ISO 8601. `until` is empty where its release runs on."""

    since: str
    until: str = ""


def cut_off(facts: Facts) -> LedgerEntry | None:
    """Return how the host's last activation began, if it was cut off; None where it was not.

    The ledger's own word for it comes with the next activation; until then, an activation without a verdict tells it.
    """
    if facts.under_way or facts.committing:
        return None
    last = next((entry for entry in reversed(facts.ledger) if entry.token), None)
    if last is None or last.event not in ("activating", "interrupted"):
        return None
    return next(entry for entry in facts.ledger if entry.token == last.token)


def release_rows(facts: Facts) -> list[dict[str, Any]]:
    """Return a row for each release that the host has or had, newest activation first."""
    history: dict[str, dict[str, Any]] = {}
    ended = {entry.token for entry in facts.ledger if entry.event in _VERDICTS}
    for entry in facts.ledger:
        if not entry.id:
            continue
        row = history.setdefault(entry.id, {"when": entry.at, "who": entry.who, "verdict": "staged", "cause": None})
        if entry.event == "staged":
            row.update(version=entry.version, revision=entry.revision or None)
        verdict = entry.event
        if verdict == "activating" and entry.token not in ended:
            verdict = "under way" if facts.under_way or facts.committing else "interrupted"
        if verdict in ("good", "bad", "interrupted", "under way"):
            row.update(verdict=verdict, when=entry.at, who=entry.who or row["who"], cause=entry.cause or None)
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
                "release": release_id,
                "version": known.get("version"),
                "revision": known.get("revision"),
                "when": known.get("when"),
                "who": known.get("who"),
                "verdict": known.get("verdict"),
                "size_bytes": None if release is None else release.size_bytes,
                "marks": marks or None,
                "cause": known.get("cause"),
                "here": release is not None,
            }
        )
    return rows


def named(facts: Facts, name: str) -> tuple[str, ...]:
    """Return the ids of tried releases that a name means: an id, else a version, else the beginning of ids.

    A beginning ends where a number ends: "1.1" is none of "1.10.0-4d35b823", "1.1.0-4d" is one of "1.1.0-4d35b823".
    """
    tried = list(dict.fromkeys(entry.id for entry in facts.ledger if entry.token and entry.id))
    versions = {entry.id: entry.version for entry in facts.ledger if entry.event == "staged"}
    for matches in (
        [each for each in tried if each == name],
        [each for each in tried if versions.get(each) == name or each.rpartition("-")[0] == name],
        [each for each in tried if name and _begins(each, name)],
    ):
        if matches:
            return tuple(matches)
    return ()


def span(facts: Facts, ids: Sequence[str]) -> Span:
    """Return the time of the last activation of these releases, of which one at least was tried.

    It ends with its verdict; that of a release that proved itself, with the next activation of another.
    """
    entries = [entry for entry in facts.ledger if entry.token]
    token = next(entry.token for entry in reversed(entries) if entry.id in ids)
    own = [entry for entry in entries if entry.token == token]
    after = entries[entries.index(own[-1]) + 1 :]
    if own[-1].event in ("good", "activating"):
        return Span(since=own[0].at, until=after[0].at if after else "")
    # One second more, as times are cut to seconds.
    return Span(since=own[0].at, until=_later(own[-1].at))


def _begins(release_id: str, name: str) -> bool:
    if not release_id.startswith(name):
        return False
    # Behind the last hyphen are the digits of a digest, which may be cut anywhere.
    in_version = len(name) <= release_id.rfind("-")
    return not (in_version and re.match(r"\d\d", release_id[len(name) - 1 :]))


def _later(at: str) -> str:
    try:
        return f"{datetime.fromisoformat(at) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    except ValueError:
        return at


def since(timestamp: str) -> str | None:
    """Return systemd's "Tue 2026-11-24 20:13:10 UTC" as ISO 8601; anything else as it is, nothing as None."""
    found = re.fullmatch(r"\w{3} (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC", timestamp)
    return f"{found[1]}T{found[2]}Z" if found else timestamp or None
