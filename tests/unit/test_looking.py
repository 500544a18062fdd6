"""What the tasks that look at hosts tell of them, and what they say is next."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from deployer.env import encode
from deployer.host.facts import Facts, LedgerEntry, StagedRelease
from deployer.model import Host, Secret
from deployer.tasks import namespace
from deployer.verbs.run import Run
from tests.shop import CONFIG


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Return what runs a task on a host with these facts, and tells its exit status and events."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYER_CONFIG", raising=False)

    def run(facts: Facts, name: str, **options: Any) -> tuple[int, list[dict[str, Any]]]:
        def connect(_run: Run, host: Host) -> Any:
            link = SimpleNamespace(alive=True, close=lambda: None)
            return SimpleNamespace(host=host, link=link, probe=lambda **_what: facts, secrets=lambda: ())

        monkeypatch.setattr(Run, "_connect", connect)
        code = 0
        try:
            namespace[name](Context(), host=["web1"], config="", output="json", **options)
        except Exit as ended:
            code = int(ended.code)
        return code, [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return run


def begun(why: str, *, end: str = "") -> tuple[LedgerEntry, ...]:
    """A ledger whose last activation has no verdict, or the one that is written at the next activation."""
    entry = LedgerEntry(at="2026-11-24T08:00:00Z", event="activating", id="1.0-x", token="t", why=why)
    return (entry, LedgerEntry(at="2026-11-24T09:00:00Z", event=end, id="1.0-x", token="t")) if end else (entry,)


@pytest.mark.parametrize("end", ["", "interrupted"])
@pytest.mark.parametrize(
    ("why", "hint"),
    [
        ("deploy", "the same deploy of 1.0-x once more; deployer plan --host web1 shows what a deploy would take now"),
        # A deploy would bring back what somebody wanted to get away from.
        ("rollback", "deployer rollback --host web1 --to 1.0-x"),
    ],
)
def test_what_was_cut_off_is_to_be_done_again(told: Any, why: str, hint: str, end: str) -> None:
    code, events = told(Facts(committed="2.0-x", ledger=begun(why, end=end)), "status")
    (note,) = [event for event in events if event["type"] == "note"]
    assert (code, note["hint"]) == (0, hint)
    assert note["text"].startswith("1.0-x was cut off before it proved itself")


def test_a_release_that_could_be_several_is_told_in_the_words_of_rollback(told: Any) -> None:
    tried = tuple(LedgerEntry(at="t", event="good", id=each, token=each) for each in ("1.0-x", "1.1-x"))
    here = tuple(StagedRelease(id=each.id, identity="", digest="", pinned=False, size_bytes=1) for each in tried)
    facts = Facts(ledger=tried, releases=here, systemd=252, group="app")
    for name, options in (("logs", {"deploy": "1"}), ("rollback", {"to": "1", "plan": True})):
        code, events = told(facts, name, **options)
        (failure,) = [event for event in events if event["type"] == "failure"]
        assert (code, failure["message"]) == (2, "'1' could be any of 1.0-x, 1.1-x on web1")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("lead; trail", "lead; trail"),
        ("  lead; trail  ", '"  lead; trail  "'),
        ("line1\nline2", r'"line1\nline2"'),
        ("line1; line2", "line1; line2"),
        (r"line1\nline2", r"line1\nline2"),
        ('"a"', r'"\"a\""'),
        ("", '""'),
        ("-", '"-"'),
        ("a\tb", r'"a\tb"'),
        ("é$ x", "é$ x"),
    ],
)
@pytest.mark.parametrize("output", ["plain", "json"])
def test_a_revealed_value_is_told_from_every_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    value: str,
    shown: str,
    output: str,
) -> None:
    path = tmp_path / "deploy.toml"
    path.write_text(CONFIG)
    facts = Facts(env_text=encode({"NAME": Secret(value)}))

    def connect(_run: Run, host: Host) -> Any:
        link = SimpleNamespace(alive=True, close=lambda: None)
        return SimpleNamespace(host=host, link=link, probe=lambda **_what: facts)

    monkeypatch.setattr(Run, "_connect", connect)
    namespace["env"](Context(), host=["web1"], config=str(path), output=output, reveal=True)
    out = capfd.readouterr().out
    if output == "json":
        (row,) = [event for line in out.splitlines() if (event := json.loads(line))["type"] == "env"]
        assert row["on_host"] == value
    else:
        assert out.splitlines()[1].endswith(f"only on the host  -     -     {shown}"), out
