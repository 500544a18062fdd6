"""What status, releases and logs tell of a real host."""

from __future__ import annotations

import re

import pytest

from deployer.sandbox import SUITES
from tests.host.project import Done, OnHost, Project, wait_for

pytestmark = pytest.mark.parametrize("suite", SUITES, indirect=True)

TALKS = """#!/usr/bin/perl
$| = 1;
print "talks, line $_\\n" for 1 .. 150;
die "and crashes\\n";
"""


def messages(done: Done) -> list[str]:
    assert done.status == 0, done.text
    return [line["message"] for line in done.of("journal")]


def test_logs_are_those_of_the_time_or_release_that_is_meant(project: Project, bare: OnHost) -> None:
    for version in ("1.10.0", "1.1.0"):
        assert project.deploy(version).status == 0
    assert project.deploy("2.0.0", files={"bin/server": TALKS.encode()}).status == 1

    everything = messages(project.run("logs", "--lines", "all"))
    assert len(everything) > 150
    assert messages(project.run("logs", "--lines", "3")) == everything[-3:]
    assert messages(project.run("logs", "--lines", "3", "--since", "today")) == everything[-3:]
    assert messages(project.run("logs", "--lines", "3", "--until", "now")) == everything[-3:]
    assert messages(project.run("logs", "--since", "today")) == everything[-100:]

    # A long failed start is told to its end; a hundred lines are a number like any other.
    failed = messages(project.run("logs", "--deploy", "2.0.0"))
    assert {"talks, line 1", "talks, line 150", "and crashes"} <= set(failed)
    assert len(messages(project.run("logs", "--deploy", "2.0.0", "--lines", "100"))) == 100

    # A release that ended well has its own lines alone.
    starts = re.findall(r"shop (\S+) starts", "\n".join(messages(project.run("logs", "--deploy", "1.10"))))
    assert starts == ["1.10.0"]
    assert not any("talks" in each for each in messages(project.run("logs", "--deploy", "1.1")))


def test_logs_say_what_they_cannot_show(project: Project, bare: OnHost) -> None:
    assert project.deploy("1.0.0").status == 0
    nothing = project.run("logs", "--grep", "nosuch")
    assert (nothing.status, [note["text"] for note in nothing.of("note")]) == (0, ["no lines match"])
    for words, said in (
        (("--since", "blah"), "Failed to parse timestamp: blah"),
        (("--grep", "["), "journalctl on"),
        (("--follow", "--until", "now"), "--follow has no end"),
        (("--follow", "--deploy", "7.0.0"), "no activation of '7.0.0'"),
        (("--lines", "many"), "--lines many is no number"),
    ):
        done = project.run("logs", *words, timeout_s=30)
        failure = done.of("failure")[0]
        assert (done.status, bool(failure["hint"])) == (2, True), done.text
        assert said in failure["message"]
        assert ("times are like" in failure["hint"]) == ("--since" in words)
        assert ("regular expression" in failure["hint"]) == ("--grep" in words)


def test_a_power_cut_in_a_trial_is_told_before_the_next_deploy(project: Project, bare: OnHost) -> None:
    assert project.deploy("1.0.0").status == 0
    project.health = 'settle = "30s"\ntimeout = "60s"'
    assert project.write().deploy("2.0.0", "", "--detach").status == 0
    wait_for(lambda: any(entry["event"] == "activating" and entry["id"].startswith("2.0.0") for entry in bare.ledger))
    assert project.run("releases").of("releases")[0]["verdict"] == "under way"
    bare.lab.powercut(bare.host.name)
    bare.lab.boot(bare.host.name)
    wait_for(lambda: bare.version == "1.0.0")

    status = project.run("status")
    row, notes = status.of("status")[0], [note["text"] for note in status.of("note")]
    assert row["release"].startswith("1.0.0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["since"])
    assert [text for text in notes if re.match(r"2\.0\.0-\w+ was cut off before it proved itself", text)], notes
    assert [(each["version"], each["verdict"]) for each in project.run("releases").of("releases")] == [
        ("2.0.0", "interrupted"),
        ("1.0.0", "good"),
    ]
