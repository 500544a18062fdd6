"""The example config of the project: it loads, and it has every key there is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import tomli

from deployer.config import load, schema
from deployer.config.definition import Key
from deployer.config.faults import Spot
from deployer.env import gather
from deployer.errors import EnvError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config/deploy.toml"
HEADER = re.compile(r"\[(?P<table>[a-z]+)(?P<below>\.[a-z0-9]+)?\]")
OFF = re.compile(r"# (?P<line>(?P<key>[a-z_0-9]+) = \S.*)")


def keys_in_place() -> tuple[set[tuple[str, str]], list[tuple[Key, str]]]:
    """All keys of the example by table, and the lines of those that are off."""
    document = tomli.loads(EXAMPLE.read_text(encoding="utf-8"))
    hosts = document.pop("hosts")
    there = {(table, key) for table, keys in document.items() for key in keys}
    there |= {("hosts", key) for host in hosts.values() for key in host}
    off: list[tuple[Key, str]] = []
    table = below = ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if header := HEADER.match(line):
            table, below = header["table"], header["below"] or ""
        elif (found := OFF.match(line)) and below != ".directives":
            key = {key.name: key for key in schema.BY_NAME[table].keys}[found["key"]]
            there.add((table, key.name))
            off.append((key, found["line"]))
    return there, off


def test_the_example_loads() -> None:
    config = load(EXAMPLE)
    assert config.app.name == "my_phoenix_app"
    assert [host.name for host in config.hosts] == ["prod1", "prod2"]


def test_the_example_has_every_key() -> None:
    there, _ = keys_in_place()
    assert there == {(table.name, key.name) for table in schema.TABLES for key in table.keys}


@pytest.mark.parametrize(("key", "line"), keys_in_place()[1])
def test_a_key_that_is_off_would_be_accepted(key: Key, line: str) -> None:
    spot = Spot()
    key.value.read(tomli.loads(line)[key.name], spot)
    assert spot.faults == []


def test_the_values_that_are_on_are_the_defaults_where_there_is_one() -> None:
    document = tomli.loads(EXAMPLE.read_text(encoding="utf-8"))
    named = {"artifact", "release", "service", "health", "ssh"}
    for table in (table for table in schema.TABLES if table.name in named):
        for key in table.keys:
            if key.default not in (None, [], {}) and key.name in document[table.name]:
                assert document[table.name][key.name] == key.default, key.name


def test_the_schema_that_the_example_names_is_there() -> None:
    first = EXAMPLE.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("#:schema ")
    assert (EXAMPLE.parent / first.removeprefix("#:schema ")).resolve() == ROOT / "deployer/config/deploy.schema.json"


def test_the_env_example_has_what_the_example_requires() -> None:
    text = (ROOT / "config/example.env").read_text(encoding="utf-8")
    names = re.findall(r"^([A-Z_]+)=", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert set(load(EXAMPLE).env.required) <= set(names)


def test_an_env_example_that_nobody_filled_in_does_not_pass() -> None:
    config = load(EXAMPLE)
    given = replace(config, env=replace(config.env, file=ROOT / "config/example.env"))
    with pytest.raises(EnvError) as caught:
        gather(given, config.hosts[0], environ={})
    empty = [line.partition(" (")[0] for line in caught.value.details]
    assert empty == ["SECRET_KEY_BASE is required and empty", "DB_PASSWORD is required and empty"]
