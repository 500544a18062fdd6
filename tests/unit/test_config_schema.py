"""One definition: the loader, the JSON Schema, the page of all keys and the model say the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]  # ships no types
from jsonschema.validators import extend  # type: ignore[import-untyped]  # ships no types

from deployer import model
from deployer.config import jsonschema, page, schema
from deployer.config.definition import Key, Table
from deployer.config.faults import BAD, Spot
from deployer.config.lines import Lines
from deployer.config.loader import read
from deployer.errors import ConfigError

ROOT = Path(__file__).parents[2]
PATH = Path("/srv/shop/config/deploy.toml")
KEYS = [pytest.param(table, key, id=f"{table.name}.{key.name}") for table in schema.TABLES for key in table.keys]


def _ecma_pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    # A JSON Schema's patterns are ECMAScript's, where $ does not match before a newline as Python's does.
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


Validator = extend(Draft202012Validator, {"pattern": _ecma_pattern})
DOCUMENT = Validator(jsonschema.json_schema())


def loader_faults(document: Mapping[str, Any]) -> list[str]:
    try:
        read(document, path=PATH, where=Lines())
    except ConfigError as error:
        return list(error.details)
    return []


# --- what is generated ----------------------------------------------------------------------------------------------


def test_the_shipped_schema_is_the_one_of_the_definition() -> None:
    shipped = (ROOT / "deployer/config/deploy.schema.json").read_text(encoding="utf-8")
    assert shipped == jsonschema.text(), (
        "run: python -m deployer.config.jsonschema > deployer/config/deploy.schema.json"
    )


def test_the_page_of_all_keys_is_the_one_of_the_definition() -> None:
    written = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert written == page.page(), "run: python -m deployer.config.page > docs/configuration.md"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(jsonschema.json_schema())


def test_patterns_keep_to_what_ecmascript_reads_alike() -> None:
    # In its Unicode mode, which editors use, a backslash may stand before these alone.
    for pattern in _patterns(jsonschema.json_schema()):
        assert not re.search(r"\\(?!x[0-9a-f]{2}|[\\.+\[\]nrt])", pattern.replace("\\\\", "")), pattern
        assert not re.search(r"\(\?(?![:=!])|[*+?}]\+", pattern), pattern


def _patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        for each in value.values():
            yield from _patterns(each)
    elif isinstance(value, list):
        for each in value:
            yield from _patterns(each)


def test_the_page_shows_faults_as_they_are_told() -> None:
    [block] = re.findall(r"```text\n(.*?)```", page.page(), re.DOTALL)
    document = {
        "app": {"nmae": "shop", "name": "shop", "user": "u"},
        "health": {"settle": "90s"},
        "hosts": {"prod1": {"port": "abc"}},
    }
    where = Lines(at={("app", "nmae"): 2, ("health", "settle"): 9, ("hosts", "prod1", "port"): 12})
    with pytest.raises(ConfigError) as caught:
        read(document, path=Path("config/deploy.toml"), where=where)
    assert block.splitlines() == [caught.value.message, *caught.value.details]


def test_the_links_of_the_page_lead_to_its_headings() -> None:
    text = page.page()
    headings = {re.sub(r"[^\w-]", "", title.lower()) for title in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(links) == len(schema.TABLES)
    assert set(links) == headings


# --- each key -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "key"), KEYS)
def test_the_example_of_a_key_is_accepted(table: Table, key: Key) -> None:
    [(name, value)] = tomli.loads(key.example).items()
    spot = Spot()
    assert name == key.name
    assert key.value.read(value, spot) is not BAD, spot.faults
    assert Validator(key.value.schema()).is_valid(value)
    assert table.names.count(key.name) == 1


MODELS: dict[str, type[Any]] = {
    "app": model.App,
    "artifact": model.ArtifactSource,
    "release": model.ArtifactSource,
    "service": model.Service,
    "env": model.EnvSource,
    "health": model.Health,
    "ssh": model.Ssh,
    "deploy": model.Config,
    "hosts": model.Host,
}


@pytest.mark.parametrize(("table", "key"), KEYS)
def test_the_default_of_a_key_is_the_models(table: Table, key: Key) -> None:
    field = {each.name: each for each in dataclasses.fields(MODELS[table.name])}[key.field]
    if key.default is None or field.default is dataclasses.MISSING:
        assert key.required or key.default_text or table.name == "app" or not field.default
        return
    assert key.value.read(key.default, Spot()) == field.default


def test_every_field_of_the_model_has_its_key() -> None:
    for kind in set(MODELS.values()) - {model.Config}:
        keyed = {key.field for table in schema.TABLES if MODELS[table.name] is kind for key in table.keys}
        fields = {field.name for field in dataclasses.fields(kind)}
        assert fields - keyed == ({"name"} if kind is model.Host else set())
        assert keyed <= fields


# --- loader and schema ----------------------------------------------------------------------------------------------

STRINGS = (
    "", " ", "a", "A", "_", "-", ".", "a.service", "a.service.x", "deployer", "deployer-a", "a@", "a@b", "a b", "a/b", "../a", "/", "/opt", "/opt/a",
    "/opt/a/", "/opt//a", "/opt/./a", "/opt/../a", "/opt/.a", "/tmp/a", "/tmpx/a", "/run", "/opt/a b", "//a", "a\n", "\na",
    "a\nb", "a\0", "\0", "a\\", "a\\ ", "a\\\\", "\\", "a\t", "\t", "\u00e4", "\u2028", "x" * 180, "x" * 181, "x" * 33,
    "/" + "x" * 106, "/" + "x" * 107, "0" * 64, "F" * 64, "g" * 64, "0" * 63, "5s", "1.5s", "2m", "1h30m", "300ms", "1ms", "5",
    "5 s", "s", "1m1h", "auto", "mix", "exec", "relx", "strict", "off", "no", "always", "on-failure", "notify", "true",
    "http://a", "http://a/", "http://a:0/", "http://a:1/", "http://a:65535/x?y=z", "http://a:65536/", "http://[::1]:4000/",
    "http://a/#f", "http://a/ b", "http://u@a/", "http://", "https://a", "https://a/b.tgz", "https://", "https://a b",
    "file:///a", "file://a", "file:a", "HTTP://a", "1", "0", "65535", "65536", ":1", "a:1", "a:", "[::1]:1", "::1", "::1:1",
    "[::1]", "fe80::1%eth0", "a:22", "u@a", "u@a:22", "a,b", "a,", "u@[::1]:22,b", "none", "ssh://a", "10.0.0.1", "-o", "a-",
    "500MB", "1.5GiB", "1 GB", "4gb", "4G", "1KB", "1kB", "1KiB", "7B", ".5GB", "https:/x",
    "~/x", "x/*", "Unit.After", "1.4.2", "1.4.2-rc.1+7~x", "-1", "+1", "PORT", "9A", "A-B", "A=b",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    True, False, -1, 0, 1, 2, 5, 22, 99, 100, 200, 599, 600, 1000, 1001, 65535, 65536, 86400, 86401, 2**63 - 1, 2**63,
    0.0001, 0.001, 22.0, 200.0, 4000.0, 0.0, -1.0, 1e300, 200000.0, 1 << 40, (1 << 40) + 1, -(2**63), -(2**63) - 1, 0.5, -0.5, 1.5, 86400.5, [], [1], [200, 204], [200, 99], [True], ["a"], ["a", 1], ["a b"], ["A"],
    ["A", "a\n"], ["a\\"], [""], [[]], [{}], {}, {"A": "b"}, {"A": 1}, {"A": True}, {"A": 1.5}, {"A": 2**63}, {"A": "\0"},
    {"A": "a\nb"}, {"A": "a\\"}, {"A": ["a", "b"]}, {"A": ["a\n"]}, {"A": []}, {"A": {}}, {"9": "a"}, {"A b": "a"}, {"": "a"},
    {"a": "x"}, {"a_b": "x"}, {"Unit.After": "a"}, {"unit.After": "a"}, {"Socket.A": "a"}, {"Unit": {"After": "a"}}, {"A\n": "a"},
)  # fmt: skip


@pytest.mark.parametrize(("table", "key"), KEYS)
def test_loader_and_schema_agree_on_each_value_of_a_key(table: Table, key: Key) -> None:
    validator = Validator(key.value.schema())
    for value in (*STRINGS, *OTHERS):
        accepted = key.value.read(value, Spot(directory=PATH.parent)) is not BAD
        assert accepted == validator.is_valid(value), (table.name, value)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([key for table in schema.TABLES for key in table.keys]),
    st.text("aZ09_@.:/-[]%?#\\ \n\t\0~=,hms", max_size=12),
)
def test_loader_and_schema_agree_on_any_text(key: Key, text: str) -> None:
    if text.startswith("~") or re.fullmatch(r"[0hms.]+", text):
        return  # homes and lengths of durations are beyond a schema
    accepted = key.value.read(text, Spot(directory=PATH.parent)) is not BAD
    assert accepted == Validator(key.value.schema()).is_valid(text)


BEYOND_A_SCHEMA = (
    "must be shorter than",
    "is no host and no group",
    "is the name of a host",
    "given twice",
    "another digest",
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A config whose keys have values that are good by themselves: what is judged is how they go together."""
    document: dict[str, Any] = {}
    for table in schema.TABLES:
        if draw(st.integers(0, 3)) == 0 and table.name != "app":
            continue
        if table.named:
            names = draw(st.lists(st.sampled_from(["prod1", "prod2", "-x", "a b", "prod"]), max_size=2))
            document[table.name] = {name: draw(_keys(table)) for name in names}
        else:
            document[table.name] = draw(_keys(table))
    if draw(st.integers(0, 9)) == 0:
        document[draw(st.sampled_from(["name", "apps", "x"]))] = draw(st.sampled_from([1, {}, "a"]))
    return document


EXTRA: dict[str, list[Any]] = {
    "kind": ["exec", "auto"],
    "type": ["oneshot", "exec"],
    "restart": ["always", "on-success", "no"],
    "default": ["prod1", "prod"],
    "groups": [["prod"], ["prod1"]],
    "timeout": ["4s", "1h"],
    "keepalive": ["20s"],
    "path": ["a.tgz"],
    "url": ["file:///a"],
}


def _keys(table: Table) -> st.SearchStrategy[dict[str, Any]]:
    def values(key: Key) -> st.SearchStrategy[Any]:
        example = tomli.loads(key.example)[key.name]
        return st.sampled_from([example, example, *EXTRA.get(key.name, [])])

    required = {key.name: values(key) for key in table.keys if key.required}
    optional = {key.name: values(key) for key in table.keys if not key.required} | {"unknown": st.just(1)}
    whole = st.fixed_dictionaries(required, optional=optional)
    few = st.fixed_dictionaries(required, optional={name: optional[name] for name in list(optional)[:-1]})
    return st.one_of(few, few, few, whole, st.just({}))


@settings(max_examples=50, deadline=None)
@given(documents())
def test_loader_and_schema_agree_on_whole_configs(document: dict[str, Any]) -> None:
    found = loader_faults(document)
    sayable = [fault for fault in found if not any(reason in fault for reason in BEYOND_A_SCHEMA)]
    assert bool(sayable) != DOCUMENT.is_valid(document), found


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"app": {}},
        {"app": 1},
        {"app": {"name": "a", "user": "u"}, "hosts": {"a": 1}},
        {"app": {"name": "a", "user": "u"}, "hosts": []},
        {"app": {"name": "a", "user": "u"}, "service": {"kind": "exec"}},
        {"app": {"name": "a", "user": "u"}, "service": {"template": "x", "hardening": "off"}},
        {"app": {"name": "a", "user": "u"}, "service": {"type": "oneshot", "restart": "always"}},
        {"app": {"name": "a", "user": "u"}, "artifact": {"path": "x", "url": "file:///x"}},
        {"app": {"name": "a", "user": "u"}, "artifact": {"build": "make"}},
        {"app": {"name": "a", "user": "u"}, "health": {"body": "x"}},
    ],
)
def test_both_refuse(document: dict[str, Any]) -> None:
    assert loader_faults(document)
    assert not DOCUMENT.is_valid(document)


@pytest.mark.parametrize(
    "document",
    [
        {"app": {"name": "a", "user": "u"}},
        {"app": {"name": "a", "user": "u"}, "hosts": {}, "artifact": {}, "health": {}},
        {"app": {"name": "a", "user": "u"}, "service": {"kind": "exec", "template": "x"}},
        {"app": {"name": "a", "user": "u"}, "service": {"kind": "exec", "exec_start": "x"}},
        {"app": {"name": "a", "user": "u"}, "service": {"type": "oneshot"}},
        {"app": {"name": "a", "user": "u"}, "health": {"http": "http://a/", "body": "x", "status": [200]}},
    ],
)
def test_both_accept(document: dict[str, Any]) -> None:
    assert loader_faults(document) == []
    assert DOCUMENT.is_valid(document)
