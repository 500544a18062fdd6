"""A task that is interrupted says what is true of it: one that only looks has changed nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from deployer.tasks import namespace
from deployer.verbs import acting, deploying, looking
from tests.shop import CONFIG


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "deploy.toml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("name", "module", "does", "said"),
    [
        ("status", looking, "status", "interrupted; no host was changed"),
        ("logs", looking, "logs", "interrupted; no host was changed"),
        ("plan", deploying, "show_plan", "interrupted; no host was changed"),
        ("attach", deploying, "attach", "interrupted; the activation goes on by itself"),
        ("restart", acting, "control", "interrupted; what a host was asked for before may go on there"),
        ("migrate", acting, "migrate", "interrupted; what a host was asked for before may go on there"),
    ],
)
def test_an_interrupt_is_told_by_what_the_task_does(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    name: str,
    module: Any,
    does: str,
    said: str,
) -> None:
    def struck(*_args: Any, **_options: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, does, struck)
    with pytest.raises(Exit) as ended:
        namespace[name](Context(), host=["web1"], config=str(config), output="json")
    (event,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert ended.value.code == 130
    assert event["message"].startswith(said)
    assert event["hint"] == (f"deployer status --config {config} --host web1" if "may go on" in said else "")
