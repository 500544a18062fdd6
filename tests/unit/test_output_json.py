from __future__ import annotations

import io
import json
import re
import string
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped] # ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer import events
from deployer.events import Event, HostEnded, Listing, Note, Summary, Verdict, to_json
from deployer.model import Secret
from deployer.output import schema
from deployer.output.jsonlines import JsonLines, json_line
from tests.unit.play_events import SCENES, scene

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/json-events.md").read_text(encoding="utf-8")
VALIDATOR = jsonschema.Draft202012Validator(schema.events_schema())


def written(*wanted: Event) -> str:
    stdout = io.StringIO()
    with JsonLines(stdout=stdout) as output:
        for event in wanted:
            output.emit(event)
    return stdout.getvalue()


def sections() -> dict[str, str]:
    """Return the page's text about each event."""
    parts = re.split(r"^### `(\w+)`\n", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def keys_of(section: str) -> list[str]:
    table = section.partition("| key | type | meaning |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)


def test_the_page_has_a_section_for_every_event() -> None:
    assert sorted(sections()) == sorted(events.JSON_TYPES.values())


@pytest.mark.parametrize(("event", "name"), events.JSON_TYPES.items(), ids=events.JSON_TYPES.values())
def test_the_page_names_every_key(event: type[Any], name: str) -> None:
    assert keys_of(sections()[name]) == list(event.__dataclass_fields__)


def test_the_page_names_every_verdict() -> None:
    table = sections()["host_ended"].partition("| verdict | meaning |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, flags=re.MULTILINE) == list(get_args(Verdict))


def test_the_examples_of_the_page_are_valid_and_whole() -> None:
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)\n```", PAGE, flags=re.DOTALL)]
    assert sorted({example["type"] for example in examples}) == sorted([*events.JSON_TYPES.values(), "releases"])
    for example in examples:
        VALIDATOR.validate(example)
        if example["type"] in sections():
            assert list(example) == ["type", *keys_of(sections()[example["type"]])]


def test_the_schema_that_ships_is_the_one_of_the_events() -> None:
    shipped = (ROOT / "deployer/output/events.schema.json").read_text(encoding="utf-8")
    assert shipped == schema.schema_text(), "run: python -m deployer.output.schema > deployer/output/events.schema.json"


@pytest.mark.parametrize("name", [name for name in SCENES if name != "flood"])
def test_every_line_is_an_object_that_the_schema_knows(name: str) -> None:
    lines = written(*(event for _, event in scene(name, 2))).splitlines()
    assert len(lines) > 3
    for line in lines:
        VALIDATOR.validate(json.loads(line))


def test_the_schema_refuses_what_is_no_event() -> None:
    whole = to_json(Note(level="info", text="x"))[0]
    VALIDATOR.validate(whole)
    for broken in ({**whole, "level": "loud"}, {**whole, "text": 1}, {"type": "note"}, {"text": "x"}):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(broken)


@given(st.text(st.characters()))
def test_a_line_is_printable_ascii_and_gives_the_text_back(text: str) -> None:
    line = written(Note(level="info", text=text))
    assert set(line.removesuffix("\n")) <= set(string.printable) - set("\n\r\t\x0b\x0c")
    # Lone surrogates that stand side by side come back as the character they spell; nothing else may change.
    assert json.loads(line)["text"].encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_a_listing_is_a_line_for_each_row_with_all_its_keys() -> None:
    rows = ({"release": "1", "more": None}, {"release": "2", "marks": ["a"]})
    text = written(Listing(name="releases", columns=("release",), rows=rows))
    assert [json.loads(line) for line in text.splitlines()] == [
        {"type": "releases", "release": "1", "more": None},
        {"type": "releases", "release": "2", "marks": ["a"]},
    ]


def test_a_summary_holds_its_hosts() -> None:
    host = HostEnded(host="prod1", verdict="changed", release="2", before="1", took_s=1.5)
    assert json.loads(written(Summary(title="t", hosts=(host,), exit_code=0)))["hosts"] == [
        {"host": "prod1", "verdict": "changed", "release": "2", "before": "1", "text": "", "hint": "", "took_s": 1.5}
    ]


def test_a_secret_that_strays_into_a_row_is_masked() -> None:
    assert json_line({"type": "env", "value": Secret("hunter2")}) == '{"type": "env", "value": "***"}'


def test_every_line_is_flushed() -> None:
    class Counted(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1
            super().flush()

    stdout = Counted()
    with JsonLines(stdout=stdout) as output:
        output.emit(Note(level="info", text="a"))
        assert stdout.flushed == 1
