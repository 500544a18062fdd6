"""Known secrets are hidden in every event that quotes somebody, in one place, and nothing else is hidden."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployer.events import (
    CommandLine,
    Event,
    Failure,
    HostEnded,
    JournalLine,
    Listing,
    Note,
    PhaseEnded,
    PhaseStarted,
    Progress,
    Summary,
    Text,
    to_json,
)
from deployer.masking import Masks
from deployer.model import Secret
from deployer.verbs import deploying
from deployer.verbs.run import Run

SECRET = "hunter2-hunter2"
SAID = f"the password is {SECRET}."
HIDDEN = "the password is ***."
ENDED = HostEnded(host="web1", verdict="failed", text=SAID, hint=SAID)
EVENTS: tuple[Event, ...] = (
    PhaseStarted(host="web1", phase="health", text=SAID),
    PhaseEnded(host="web1", phase="health", ok=False, text=SAID),
    JournalLine(host="web1", identifier="shop", priority=6, message=SAID, at=0),
    CommandLine(host="", command=SAID, text=SAID),
    Note(level="info", text=SAID, hint=SAID),
    Failure(message=SAID, hint=SAID, details=(SAID, "b"), evidence=(SAID,)),
    ENDED,
    Summary(title="deploy", hosts=(ENDED,), exit_code=1),
)


@pytest.fixture
def masks() -> Masks:
    made = Masks()
    made.spare(("shop-app", "web1"))
    made.add((Secret(SECRET), Secret("shop-app"), Secret("line one\nline two")))
    return made


@pytest.mark.parametrize("event", EVENTS, ids=lambda each: type(each).__name__)
def test_a_secret_is_hidden_in_every_text_of_an_event(masks: Masks, event: Event) -> None:
    shown = str(to_json(masks.event(event)))
    assert SECRET in str(to_json(event))
    assert SECRET not in shown
    assert shown == str(to_json(event)).replace(SAID, HIDDEN)


def test_results_that_somebody_asked_for_stay(masks: Masks) -> None:
    for event in (Listing(name="env", columns=("here",), rows=({"here": SECRET},)), Text(name="unit", text=SAID)):
        assert masks.event(event) == event
    progress = Progress(host="web1", phase="upload", done_bytes=1, total_bytes=2)
    assert masks.event(progress) == progress


def test_each_line_of_a_value_is_hidden_if_it_is_long_enough_by_itself() -> None:
    masks = Masks()
    masks.add([Secret("line1\nsecond line")])
    # As docs/environment.md says: a short line is a word that may stand anywhere.
    assert masks.mask("line1") == "line1"
    assert masks.mask("second line") == "***"
    assert masks.mask("line1\nsecond line") == "***"


def test_what_is_spared_is_no_secret_whoever_has_it_as_a_value(masks: Masks) -> None:
    assert masks.mask("shop-app on web1: line one, line two") == "shop-app on web1: ***, ***"


CONFIG = """[app]
name = "shop-app"
user = "shop-app"
[service]
kind = "exec"
exec_start = "bin/server"
[env]
set = { DB_NAME = "shop-app", SHORT = "abcde" }
inherit = ["API_TOKEN"]
[artifact]
build = 'echo "token $API_TOKEN for shop-app, abcde"; exit 7'
path = "shop-*.tar.gz"
[hosts.web1]
address = "192.0.2.1"
"""


def test_what_a_build_prints_is_masked_on_the_screen_and_in_the_failure(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deploy.toml").write_text(CONFIG)
    monkeypatch.setenv("API_TOKEN", SECRET)
    from deployer.task import execute

    for output, work in (("json", deploying.build), ("plain", deploying.build)):
        assert execute(work, [], str(tmp_path / "deploy.toml"), output) == 2
        out, err = capfd.readouterr()
        assert SECRET not in out + err
        assert "token *** for shop-app, abcde" in out + err


def test_the_environment_of_the_app_is_masked_but_for_its_names(tmp_path: Path) -> None:
    path = tmp_path / "deploy.toml"
    path.write_text(CONFIG.replace('inherit = ["API_TOKEN"]', "").replace("SHORT", "LONGER").replace("abcde", "abcdef"))
    run = Run(config=str(path), wanted=[], output="plain", environ={**os.environ})
    run.environment(run.host)
    assert run.engine.mask("shop-app.service of shop-app: abcdef") == "shop-app.service of shop-app: ***"
