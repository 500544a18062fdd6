"""What a host's probe says, read back; and what follows from a ledger."""

from __future__ import annotations

import base64
import json

import pytest

from deployer.errors import HostError, LockedError, StaleError
from deployer.host.facts import Facts, LedgerEntry, StagedRelease, parse
from deployer.host.replies import error_from, words


def fact(name: str, value: str) -> str:
    return f"fact {name} {base64.b64encode(value.encode()).decode()}"


def good(release_id: str, why: str = "deploy") -> LedgerEntry:
    return LedgerEntry(at="2026-11-24T00:00:00Z", event="good", id=release_id, why=why)


def staged(*ids: str) -> tuple[StagedRelease, ...]:
    return tuple(StagedRelease(id=each, identity=each, digest=each, pinned=False, size_bytes=1) for each in ids)


def test_a_probe_is_read_whole() -> None:
    ledger = "\n".join(
        (
            json.dumps(
                {"at": "t1", "event": "good", "id": "1-a", "from": "", "token": "x", "why": "deploy", "who": "ana"}
            ),
            '{"at":"t2","event":"ba',
            "",
        )
    )
    lines = [
        fact("systemd", "252"),
        fact("committed", "1-a"),
        fact("unit.ActiveState", "active"),
        fact("drift.env", "edited"),
        fact("ledger", ledger),
        fact("trial", "to 2-b\nfrom 1-a\nwho ana with a space\n"),
        fact("frozen", json.dumps({"who": "bob", "at": "t", "reason": "fair", "until_s": None})),
        fact("now_s", "1000"),
        "release 1-a 77aa 99bb yes 12505088",
        "tool flock",
        "done",
    ]
    facts = parse(lines, host="prod1", now_s=990)
    assert facts.systemd == 252
    assert facts.active
    assert facts.clock_skew_s == 10
    assert facts.drift == ("the environment file is edited",)
    assert facts.ledger == (
        LedgerEntry(at="t1", event="good", id="1-a", token="x", before="", why="deploy", who="ana"),
    )
    assert facts.torn_ledger_lines == 1
    assert facts.trial == {"to": "2-b", "from": "1-a", "who": "ana with a space"}
    assert facts.frozen is not None
    assert facts.frozen.who == "bob"
    assert facts.releases == (
        StagedRelease(id="1-a", identity="77aa", digest="99bb", pinned=True, size_bytes=12505088),
    )
    assert facts.missing_tools == ("flock",)


def test_a_probe_that_was_cut_off_is_not_taken_for_one() -> None:
    with pytest.raises(HostError, match="cut off"):
        parse([fact("systemd", "252")], host="prod1", now_s=0)
    with pytest.raises(HostError, match="cut off"):
        parse(["fact systemd MjU", "done"], host="prod1", now_s=0)


@pytest.mark.parametrize("moment", ["under_way", "committing"])
def test_what_a_commit_exchanges_file_by_file_is_no_drift_meanwhile(moment: str) -> None:
    drifts = [fact("drift.unit", "edited"), fact("drift.env", "edited"), fact("unit.UnitFileState", "disabled")]
    lines = [fact("committed", "1-a"), *drifts]
    assert parse([*lines, fact(moment, "yes"), "done"], host="prod1", now_s=0).drift == ()
    assert len(parse([*lines, "done"], host="prod1", now_s=0).drift) == 3
    gone = parse([*lines, fact("drift.release", "missing"), fact(moment, "yes"), "done"], host="prod1", now_s=0)
    assert gone.drift == ("the committed release 1-a is no longer on the host",)


@pytest.mark.parametrize(
    ("history", "target"),
    [
        ((good("a"),), ""),
        ((good("a"), good("b")), "a"),
        # Back on a: a second rollback does not go forth to b again.
        ((good("a"), good("b"), good("a", "rollback")), ""),
        ((good("a"), good("b"), good("c"), good("b", "rollback")), "a"),
        ((good("a"), good("b"), good("a", "rollback"), good("c")), "a"),
        ((good("a"), good("b"), good("a")), "b"),
        # Gone from the host.
        ((good("gone"), good("a")), ""),
    ],
)
def test_a_rollback_goes_to_the_last_good_release_before(history: tuple[LedgerEntry, ...], target: str) -> None:
    facts = Facts(ledger=history, committed=history[-1].id, releases=staged("a", "b", "c"))
    assert facts.rollback_target() == target


def test_an_error_of_a_script_becomes_the_exception_of_its_code() -> None:
    with pytest.raises(LockedError) as caught:
        words(['error {"code":"busy","message":"another one","hint":"attach"}'], host="prod1")
    assert (caught.value.message, caught.value.hint, caught.value.host) == ("another one", "attach", "prod1")
    assert isinstance(error_from('{"code":"stale","message":"m"}', host="h"), StaleError)
    assert isinstance(error_from("torn {", host="h"), HostError)
