"""No name, path, version or text becomes more than that: in a config, a unit, a file name, or on a terminal."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from deployer import config
from deployer.artifact import version
from deployer.artifact.values import Artifact
from deployer.config import patterns, starter
from deployer.errors import ConfigError, DeployerError, UsageError
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
    Summary,
)
from deployer.kinds.base import Launch, Release
from deployer.model import Config
from deployer.output import clean, plain
from deployer.output.jsonlines import JsonLines
from deployer.output.plain import Plain
from deployer.output.screen import Screen
from deployer.unit import unit_text
from deployer.unit.one_off import one_off_text
from deployer.unit.syntax import directives, literal
from tests.unit.hostile_texts import texts

NOON = 1_795_435_200.0
few = settings(max_examples=60, deadline=None)

# -- configs and units --------------------------------------------------------------------------------------------------

FIELDS: dict[str, str] = {
    "app.name": "shop",
    "app.user": "app",
    "app.description": "The shop",
    "app.root": "/opt/shop",
    "service.exec_start": "bin/server",
    "service.migrate": "bin/migrate",
    "service.directives.Nice": "5",
    "health.http": "http://127.0.0.1:4000/",
    "health.body": "ok",
    "health.tcp": "127.0.0.1:4000",
    "health.unix": "/run/shop/socket",
    "health.command": "true",
    "release.version": "1.0.0",
    "hosts.prod1.address": "prod1.example.com",
    "hosts.prod1.user": "deploy",
    "hosts.prod1.proxy_jump": "bastion",
}


def toml(values: dict[str, str]) -> str:
    """Return a config with these values. A JSON text of ASCII is a TOML text, but for DEL."""

    def quoted(text: str) -> str:
        return json.dumps(text).replace("\x7f", "\\u007f")

    return "".join(f"{field} = {quoted(value)}\n" for field, value in values.items())


def loaded(field: str, text: str) -> Config | None:
    """The config with this text in a field, if the loader takes it."""
    try:
        return config.loads(toml({**FIELDS, field: text}), path=Path("/project/config/deploy.toml"))
    except ConfigError:
        return None


def rendered(whole: Config) -> str:
    launch = Launch(exec_start="bin/server", environment=(("LANG", "C.UTF-8"),), jit=False)
    return unit_text(
        whole,
        launch=launch,
        release_path=whole.app.root / "releases/1.0.0-abcdef01",
        env_file=whole.app.env_path,
    )


def shape(text: str) -> list[tuple[str, str]]:
    return [(each.section, each.key) for each in directives(text)]


PLAIN = loaded("app.name", "shop")
assert PLAIN is not None
UNIT = rendered(PLAIN)


def with_texts(*prefixes: str) -> st.SearchStrategy[tuple[str, str]]:
    """A field and a text for it: any one, or a good value with something put into it or behind it."""

    def of(field: str) -> st.SearchStrategy[tuple[str, str]]:
        good = FIELDS[field]
        near = st.builds(lambda at, text: good[:at] + text + good[at:], st.integers(0, len(good)), texts)
        return st.tuples(st.just(field), texts | near)

    return st.sampled_from([field for field in FIELDS if field.startswith(prefixes)]).flatmap(of)


in_a_unit = with_texts("app.", "service.")


def unit_of(field: str, text: str) -> str:
    """The unit that a text in a field makes; empty where it is refused."""
    whole = loaded(field, text)
    try:
        return rendered(whole) if whole else ""
    except UsageError:
        return ""


@few
@given(in_a_unit)
@example(("app.description", "100 % of $HOME `id` \" ' \u202e"))
@example(("service.exec_start", "bin/server \"a b\" 'c' ${PORT} \\"))
@example(("service.directives.Nice", "5 \\"))
@example(("service.directives.Nice", "5\x1b]0;title\x07"))
def test_a_unit_has_the_intended_directives_and_no_other(written: tuple[str, str]) -> None:
    field, text = written
    unit = unit_of(field, text)
    if unit:
        assert shape(unit) == shape(UNIT)
        assert unit.count("\n") == UNIT.count("\n")
        assert all((char >= " " and char != "\x7f") or char in "\n\t" for char in unit)


@few
@given(texts)
def test_a_description_is_what_was_written(text: str) -> None:
    unit = unit_of("app.description", text)
    if unit:
        assert [each.value for each in directives(unit) if each.key == "Description"] == [literal(text).strip(" \t")]


@few
@given(in_a_unit)
def test_a_one_off_has_no_directive_more_than_the_service(written: tuple[str, str]) -> None:
    field, text = written
    unit = unit_of(field, text)
    if unit:
        one_off = one_off_text(unit, unit_name="shop.service")
        allowed = {key for section, key in shape(unit) if section == "Service"} | {"RuntimeDirectoryPreserve"}
        assert {key for _, key in shape(one_off)} <= allowed
        assert one_off.count("\n") == one_off_text(UNIT, unit_name="shop.service").count("\n")


def test_without_the_loaders_patterns_a_directive_would_get_in() -> None:
    """Twin."""
    assert PLAIN is not None
    hostile = replace(PLAIN, app=replace(PLAIN.app, description="x\nExecStartPre=/bin/evil"))
    assert shape(rendered(hostile)) != shape(UNIT)


@few
@given(with_texts(""))
def test_what_the_loader_takes_is_one_line_without_a_control_character(written: tuple[str, str]) -> None:
    field, text = written
    if loaded(field, text) is not None:
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text)


@few
@given(texts)
def test_a_name_that_is_taken_is_one_word_to_anybody(text: str) -> None:
    if loaded("app.name", text) is not None:
        assert re.fullmatch(r"[A-Za-z0-9_.@-]+", text)
        assert not text.startswith(("-", "."))
    try:
        config.loads(toml(FIELDS) + f"[hosts.{json.dumps(text)}]\n", path=Path("/p/deploy.toml"))
    except ConfigError:
        return
    assert re.fullmatch(patterns.HOST, text)


@few
@given(texts)
@example('shop"\n[hosts.evil]\naddress = "evil')
def test_init_writes_the_name_or_nothing(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        try:
            starter.init(place, name=text)
        except UsageError:
            assert list(place.iterdir()) == []
        else:
            found = config.load(place / "config/deploy.toml")
            assert (found.app.name, found.hosts) == (text or place.name, ())  # without one, that of the directory


# -- releases -----------------------------------------------------------------------------------------------------------


@few
@given(texts)
@example("shop-1.0/../../../etc.tar.gz")
@example("shop-1.0\n.tar.gz")
def test_a_release_is_a_plain_name_whatever_the_file_is_called(text: str) -> None:
    for each in (version.of_file_name(text), text):
        artifact = Artifact(
            path=Path("x"),
            sha256="0123456789abcdef",
            size_bytes=1,
            file_name="x",
            version=each,
            release=Release(kind="exec", name="shop", version=each),
            strip=0,
            top="",
            members=1,
            unpacked_bytes=1,
            files=(),
        )
        assert re.fullmatch(r"[A-Za-z0-9_+~][A-Za-z0-9._+~-]*-01234567", artifact.id)
        assert PurePosixPath("/r") / artifact.id == PurePosixPath(f"/r/{artifact.id}")
        assert len(artifact.id) <= 109


# -- terminals ----------------------------------------------------------------------------------------------------------


def events(text: str) -> tuple[Event, ...]:
    """Everything that can happen, with this text in every place."""
    return (
        JournalLine(host="prod1", identifier=text, priority=6, message=text, at=NOON),
        CommandLine(host="prod1", command=text, text=text),
        PhaseStarted(host="prod1", phase="health", text=text),
        PhaseEnded(host="prod1", phase="health", ok=True, text=text),
        Note(level="warning", text=text, host="prod1", hint=text),
        Failure(message=text, hint=text, details=(text,), evidence=(text,)),
        Failure(message=text, host="prod1", hint=text, details=(text,), evidence=(text,)),
        Listing(name="releases", columns=("host", "release"), rows=({"host": "prod1", "release": text},)),
        Summary(
            title=f"deploy {text}",
            hosts=(HostEnded(host="prod1", verdict="failed", release=text, before=text, text=text, hint=text),),
            exit_code=1,
        ),
    )


def as_plain(happened: Iterable[Event]) -> str:
    out = io.StringIO()
    with Plain(stdout=out, stderr=out, verbose=1, clock=lambda: NOON, monotonic=lambda: 0.0) as output:
        for event in happened:
            output.emit(event)
    return out.getvalue()


def as_rich(happened: Iterable[Event]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True, color_system="256", _environ={})
    with Screen(progress=console, results=console, live=False, verbose=1, clock=lambda: NOON) as screen:
        for event in happened:
            screen.emit(event)
    return out.getvalue()


def as_json(happened: Iterable[Event]) -> str:
    out = io.StringIO()
    with JsonLines(stdout=out) as output:
        for event in happened:
            output.emit(event)
    return out.getvalue()


CONTROLS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)
OURS = re.compile(r"\x1b\[[0-9;]*m")  # colours are the only sequences that scroll by


@pytest.mark.parametrize("draw", [as_plain, as_rich, as_json])
@settings(max_examples=30, deadline=None)
@given(texts)
@example("".join(map(chr, range(0xA0))))
@example("selected\U000e0100")
def test_no_text_moves_the_cursor_or_sets_a_title(draw: Callable[[Iterable[Event]], str], text: str) -> None:
    shown = draw(events(text))
    assert CONTROLS.findall(OURS.sub("", shown) if draw is as_rich else shown) == []


@settings(max_examples=30, deadline=None)
@given(texts.map(lambda text: re.sub(r"[\n\t]", "", text)))
def test_a_terminal_gets_of_a_text_what_it_gets_of_its_harmless_form(text: str) -> None:
    """So no text brings colours of its own, or markup that rich would read."""
    assert as_rich(events(text)) == as_rich(events(clean.one_line(text)))


# How a line of ours begins: with the time; those of others begin with a host's name and a bar, or with a bar.
FORGED = "12:00:00 prod1 health: ok after 0.1 s\nFAILED on prod1: x\n\x1b[1A12:00:00 here commit: started\r12:00:00 "


def ours(shown: str) -> int:
    """How many lines begin as lines of ours do."""
    return len(re.findall(r"^(?:\d\d:\d\d:\d\d |FAILED|[A-Z]+ {2})", shown, re.MULTILINE))


@pytest.mark.parametrize("event", events(FORGED), ids=lambda event: type(event).__name__)
def test_no_text_forges_a_line_of_ours(event: Event) -> None:
    """Each event makes the lines of ours that it makes with a tame text, and no more."""
    tame = next(each for each in events("tame") if type(each) is type(event) and _host(each) == _host(event))

    assert ours(as_plain([event])) == ours(as_plain([tame]))


@few
@given(texts)
def test_a_line_of_the_journal_is_the_hosts_to_its_end(text: str) -> None:
    shown = as_plain([JournalLine(host="prod1", identifier="shop", priority=6, message=text, at=NOON)])
    assert all(line.startswith("prod1 | ") for line in shown.splitlines())


def test_without_the_cleaning_a_line_would_be_forged_and_the_cursor_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twin."""
    raw: Any = str
    monkeypatch.setattr(plain, "lines", lambda text: (text,))
    monkeypatch.setattr(plain, "one_line", raw)
    shown = as_plain([Note(level="warning", text=FORGED, host="prod1")])
    assert CONTROLS.search(shown)
    assert ours(shown) > 1


def _host(event: Event) -> str:
    return getattr(event, "host", "")


@few
@given(texts)
def test_an_error_before_there_is_an_output_is_an_error_of_ours(text: str) -> None:
    """The refusal of a config quotes what it found: in one harmless line."""
    try:
        config.loads(toml({**FIELDS, "app.name": text}), path=Path("/p/deploy.toml"))
    except DeployerError as error:
        for line in (error.message, *error.details, error.hint):
            assert CONTROLS.findall(line) == []
            assert "\n" not in line
