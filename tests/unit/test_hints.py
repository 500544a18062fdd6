"""A command that is told to be typed next is of the config that was named: two apps may be on one host."""

from __future__ import annotations

import pytest

from deployer.events import Event, Failure, HostEnded, Listing, Note, PhaseStarted, Summary, Text, to_json
from deployer.hints import OURS, with_config
from deployer.tasks import GROUPS

ENDED = HostEnded(host="web1", verdict="failed", hint="deployer logs --host web1")


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("deployer unlock --host web1", "deployer unlock --config shop.toml --host web1"),
        (
            "deployer attach --host web1, or deployer status --host web1",
            "deployer attach --config shop.toml --host web1, or deployer status --config shop.toml --host web1",
        ),
        (
            "mend it and look again with: deployer check",
            "mend it and look again with: deployer check --config shop.toml",
        ),
        ('deployer run "COMMAND" --host web1', 'deployer run --config shop.toml "COMMAND" --host web1'),
        ("deployer deploy", "deployer deploy --config shop.toml"),
        ("deployer check --config other.toml", "deployer check --config other.toml"),
        ("make one with: deployer init", "make one with: deployer init"),
        ("deployer sandbox boot --name web1", "deployer sandbox boot --name web1"),
        ("deployer --help run, or deployer --list", "deployer --help run, or deployer --list"),
        ("try: ls -l /opt/deployer status", "try: ls -l /opt/deployer status"),
        ("the same command asks again", "the same command asks again"),
        ("", ""),
    ],
)
def test_each_command_of_a_hint_gets_the_config(hint: str, shown: str) -> None:
    note = Note(level="info", text="deployer logs", host="web1", hint=hint)
    found = with_config(note, "shop.toml")
    assert found == Note(level="info", text="deployer logs", host="web1", hint=shown)


@pytest.mark.parametrize(
    "event",
    [
        Failure(message="m", hint=ENDED.hint),
        ENDED,
        Summary(title="deploy", hosts=(ENDED, ENDED), exit_code=1),
        Listing(name="check", columns=("host",), rows=({"host": "web1", "next": ENDED.hint},)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_wherever_an_event_says_what_is_next_the_config_is_in_it(event: Event) -> None:
    before, after = str(to_json(event)), str(to_json(with_config(event, "a.toml")))
    assert "deployer logs --host" in before
    assert after == before.replace("deployer logs --host", "deployer logs --config a.toml --host")


@pytest.mark.parametrize(
    "event",
    [
        PhaseStarted(host="web1", phase="health", text="deployer logs"),
        Text(name="plan", text="deployer logs"),
        Listing(name="status", columns=("host",), rows=({"host": "web1", "next": None}, {"host": "deployer logs"})),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_no_hint_stays(event: Event) -> None:
    assert with_config(event, "shop.toml") == event


def test_without_a_named_config_a_hint_stays() -> None:
    assert with_config(ENDED, "") is ENDED


def test_every_task_that_reads_a_config_of_a_project_is_known() -> None:
    assert set(OURS) == {name for names in GROUPS.values() for name in names} - {"init", "sandbox"}
