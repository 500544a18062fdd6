"""What a real run writes as JSON is what the schema and docs/json-events.md say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # ships no types

from tests.host.project import Done, OnHost, Project

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "deployer/output/events.schema.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/json-events.md").read_text(encoding="utf-8")
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def keys_of(kind: str) -> set[str]:
    section = PAGE.partition(f"### `{kind}`")[2].partition("\n### ")[0]
    table = section.partition("| key | type | meaning |")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))


def held_to_the_page(done: Done) -> list[dict[str, Any]]:
    assert done.stderr == ""
    for event in done.events:
        VALIDATOR.validate(event)
        if event["type"] in SCHEMA["$defs"]:
            assert set(event) == {"type"} | keys_of(event["type"])
        for host in event.get("hosts", ()):
            assert set(host) == keys_of("host_ended")
    return done.events


def test_runs_are_as_the_page_says(project: Project, bare: OnHost) -> None:
    good = project.deploy("1.0.0")
    assert good.status == 0
    assert held_to_the_page(good)[-1]["type"] == "summary"
    assert good.summary["title"] == f"deploy shop {bare.current}"

    staged = project.deploy("1.5.0", "", "--no-activate")
    held_to_the_page(staged)
    row = staged.summary["hosts"][0]
    assert (staged.status, row["verdict"], row["release"]) == (0, "staged", bare.current)

    bad = project.deploy("2.0.0", "500")
    assert (bad.status, held_to_the_page(bad)[-1]["exit_code"]) == (1, 1)
    # The process of before says goodbye, which is no evidence against the new one.
    old = {line["message"] for line in bad.of("journal") if line["old"]}
    assert "bye" in old
    assert not any(text.startswith("shop ") for text in old)
    evidence = bad.of("failure")[0]["evidence"]
    assert any("shop 2.0.0 starts" in text for text in evidence), evidence
    assert not any("bye" in text for text in evidence), evidence
    assert not any("shop 1.0.0" in text for text in evidence), evidence
    # What happened on the host bears its time.
    phases = {event["phase"]: event["at"] for event in bad.of("phase_ended")}
    assert phases["connect"] == 0
    assert phases["start"] <= phases["health"] <= phases["go back"]
    assert abs(phases["health"] - bad.of("journal")[-1]["at"]) < 60

    started = project.deploy("3.0.0", "", "--detach")
    held_to_the_page(started)
    assert started.verdicts == {bare.host.name: "started"}
    before = started.summary["hosts"][0]["before"]
    attached = project.run("attach")
    held_to_the_page(attached)
    again = project.run("attach")
    for done in (attached, again):
        row = done.summary["hosts"][0]
        assert (row["verdict"], row["before"], row["release"]) == ("changed", before, bare.current), done.text
    ends = {event["phase"]: event for event in again.of("phase_ended")}
    assert ends["health"]["at"] == {event["phase"]: event for event in attached.of("phase_ended")}["health"]["at"]

    for words in (
        ("status",),
        ("releases",),
        ("env",),
        ("env", "--reveal"),
        ("logs",),
        ("check",),
        ("plan", "--artifact", "none"),
    ):
        for event in held_to_the_page(project.run(*words)):
            assert all(re.fullmatch(r"[a-z_]+", key) for key in event), event

    ran = project.run("run", "echo hello")
    assert [(event["command"], event["text"]) for event in held_to_the_page(ran) if event["type"] == "command"] == [
        ("echo hello", "hello")
    ]
