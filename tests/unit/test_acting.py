"""What the tasks that act on hosts tell of them: a row for what was done, and no table where nothing could be."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from deployer.errors import UnreachableError
from deployer.model import Host
from deployer.tasks import namespace
from deployer.verbs.run import Run
from tests.shop import CONFIG

CALLS: dict[str, dict[str, Any]] = {
    "lock": {"reason": "a test", "until": "", "force": False},
    "pin": {"release": "1.0.0-0123abcd", "remove": False},
    "prune": {"keep": "", "plan": False},
    "setup": {"sudo": False, "plan": False},
    "unlock": {"force": False},
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "deploy.toml"
    path.write_text(CONFIG)
    return str(path)


def said(marks: list[tuple[str, str]]) -> Any:
    """Return what connects to a host that answers each mark so."""

    def connect(_run: Run, host: Host) -> Any:
        return SimpleNamespace(
            host=host,
            link=SimpleNamespace(alive=True, close=lambda: None, login="root"),
            probe=lambda: SimpleNamespace(frozen=None),
            mark=lambda *_args: marks,
            setup=lambda **_options: (),
        )

    return connect


def run(name: str, config: str, **options: Any) -> int:
    given = {**CALLS[name], "output": "plain", **options}
    try:
        namespace[name](Context(), host=["web1"], config=config, **given)
    except Exit as ended:
        return int(ended.code)
    return 0


@pytest.mark.parametrize("name", CALLS)
def test_where_no_host_could_be_asked_there_is_no_table(
    config: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    def unreachable(_run: Run, host: Host) -> Any:
        raise UnreachableError("no route", host=host.name)

    monkeypatch.setattr(Run, "_connect", unreachable)
    assert run(name, config) == 5
    out, err = capfd.readouterr()
    assert (out, "no route" in err) == ("", True)


@pytest.mark.parametrize(
    ("name", "text"), [("setup", "already prepared\n"), ("prune", "nothing to remove\n")], ids=["setup", "prune"]
)
def test_nothing_to_do_is_said_where_a_host_was_asked(
    config: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    monkeypatch.setattr(Run, "_connect", said([]))
    assert run(name, config) == 0
    assert capfd.readouterr().out == text


@pytest.mark.parametrize(
    ("name", "options", "marks", "done"),
    [
        ("unlock", {}, [("was", "{}")], "unlock"),
        ("unlock", {}, [], "nothing was locked"),
        ("unlock", {"force": True}, [], "nothing was locked"),
        ("lock", {}, [], "lock"),
        ("pin", {}, [("marked", "1.0.0-0123abcd")], "1.0.0-0123abcd pinned"),
        ("pin", {"remove": True}, [("marked", "1.0.0-0123abcd")], "1.0.0-0123abcd no longer pinned"),
        ("pin", {"remove": True}, [], "it was not pinned"),
    ],
)
def test_a_mark_says_what_was_done(
    config: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    name: str,
    options: dict[str, Any],
    marks: list[tuple[str, str]],
    done: str,
) -> None:
    monkeypatch.setattr(Run, "_connect", said(marks))
    assert run(name, config, output="json", **options) == 0
    rows = [event for line in capfd.readouterr().out.splitlines() if (event := json.loads(line))["type"] == name]
    assert rows == [{"type": name, "host": "web1", "done": done}]


@pytest.mark.parametrize(
    ("state", "why", "hint"),
    [
        (
            {"ActiveState": "inactive", "SubState": "dead"},
            "the service is inactive (dead)",
            "deployer status --host web1",
        ),
        ({"ActiveState": "active", "SubState": "running"}, "RELEASE_DISTRIBUTION=none", "deployer logs --host web1"),
    ],
)
def test_a_ping_without_an_answer_says_how_the_service_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    state: dict[str, str],
    why: str,
    hint: str,
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYER_CONFIG", raising=False)
    session = SimpleNamespace(
        close_stdin=lambda: None,
        lines=lambda: iter(["started", "--rpc-eval : RPC failed with reason :nodedown"]),
        status=lambda _limit_s: 1,
        close=lambda: None,
    )

    def connect(_run: Run, host: Host) -> Any:
        return SimpleNamespace(
            host=host,
            link=SimpleNamespace(alive=True, close=lambda: None, start=lambda *_args, **_options: session),
            manifest=lambda: {"kind": "mix", "name": "shop", "version": "1.0"},
            secrets=lambda: (),
            probe=lambda: SimpleNamespace(unit=state),
        )

    monkeypatch.setattr(Run, "_connect", connect)
    with pytest.raises(Exit) as ended:
        namespace["ping"](Context(), host=["web1"], config="", output="json")
    (note,) = [event for line in capfd.readouterr().out.splitlines() if (event := json.loads(line))["type"] == "note"]
    assert (ended.value.code, note["hint"]) == (1, hint)
    assert note["text"].startswith("the command ended with status 1: the service is ")
    assert why in note["text"]
