"""Small pure parts: masks, journal lines, waves, exit statuses, settings, the archive of a release."""

from __future__ import annotations

import base64
import copy
import io
import json
import pickle
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.activation import Watcher, told_here
from deployer.engine import worst
from deployer.events import Event, JournalLine, PhaseStarted
from deployer.host.payload import Payload, archive, identity
from deployer.host.settings import settings_text
from deployer.journal import cursor_of, journal_line
from deployer.masking import Masks
from deployer.model import App, Config, Health, Host, Secret, Service
from deployer.sizes import exact_text, parse, size_text
from deployer.switch import waves


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("hunter2!")
    assert [str(secret), repr(secret), f"{secret}", f"{secret:>5}", repr([secret])] == [
        "***",
        "***",
        "***",
        "  ***",
        "[***]",
    ]
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            write(secret)


def test_known_values_are_masked_the_longest_first() -> None:
    masks = Masks()
    masks.add([Secret("hunter2"), Secret("hunter2-and-more"), Secret("short"), Secret("line one\nline two")])
    assert masks.mask("a hunter2-and-more, hunter2, short, line two") == "a ***, ***, short, ***"


@pytest.mark.parametrize(
    ("message", "text"),
    [("plain", "plain"), ([104, 105, 27, 91, 109], "hi\x1b[m"), ([255], "\ufffd"), (["two", "texts"], "two texts")],
)
def test_every_form_of_a_journal_field_is_read(message: object, text: str) -> None:
    line = json.dumps(
        {
            "MESSAGE": message,
            "PRIORITY": "3",
            "_PID": "7",
            "SYSLOG_IDENTIFIER": "app",
            "__REALTIME_TIMESTAMP": "2500000",
            "__CURSOR": "s=1",
        }
    )
    assert journal_line(line, host="h") == JournalLine(
        host="h", identifier="app", priority=3, message=text, at=2.5, pid=7
    )
    assert cursor_of(line) == "s=1"


@pytest.mark.parametrize("line", ["", "{", "[]", "null", '{"MESSAGE":null}', '"x"'])
def test_a_cut_journal_line_is_none(line: str) -> None:
    assert journal_line(line, host="h") is None
    assert cursor_of(line) == ""


def hosts(count: int) -> tuple[Host, ...]:
    return tuple(Host(name=f"h{number}", address="x") for number in range(count))


@given(st.integers(0, 20), st.integers(1, 6))
def test_waves_start_with_one_and_miss_nobody(count: int, parallel: int) -> None:
    found = waves(hosts(count), parallel)
    assert tuple(host for wave in found for host in wave) == hosts(count)
    assert all(len(wave) <= parallel for wave in found[1:])
    assert not found or len(found[0]) == 1


@pytest.mark.parametrize(
    ("codes", "one"), [((), 0), ((0, 0), 0), ((0, 1), 1), ((1, 3), 3), ((5, 1), 5), ((4, 2), 4), ((130, 1), 130)]
)
def test_the_worst_status_stands_for_all(codes: tuple[int, ...], one: int) -> None:
    assert worst(codes) == one


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4_100_000, "4.1 MB"), (10**13, "10000.0 GB")]
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


def config(health: Health, *migrate: str) -> Config:
    from pathlib import PurePosixPath

    app = App(name="shop", user="app", description="shop", root=PurePosixPath("/opt/shop"), keep=5)
    return Config(path=Path("x"), app=app, health=health, service=Service(migrate=migrate))


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_settings_are_read_back_by_bash_whatever_they_hold(text: str) -> None:
    settings = settings_text(
        config(Health(command=text, http="http://127.0.0.1:4000/up?a=b&c", body="it's ok"), text, "two words")
    )
    script = settings + 'printf "%s\\0" "$CHECK_COMMAND" "${MIGRATE[@]}" "${CHECK_HTTP[@]}"'
    said = subprocess.run(["bash"], input=script.encode(), capture_output=True, check=True).stdout.decode()
    assert said.split("\0")[:-1] == [
        text,
        text,
        "two words",
        "127.0.0.1",
        "4000",
        "/up?a=b&c",
        "127.0.0.1:4000",
        "200",
        "it's ok",
    ]


def test_the_archive_of_a_release_is_closed_from_the_first_byte() -> None:
    payload = Payload(
        trial_unit="[Unit]\n",
        committed_unit="[Unit]\n",
        one_off="",
        settings="",
        env=Secret('A="hunter2"\n'),
        manifest={"id": "1"},
        files=("ab 1 bin/server",),
        identity="i",
        digest="d",
    )
    packed = archive(payload)
    assert "hunter2" not in repr(payload)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed.reveal()))) as tar:
        modes = {member.name: member.mode for member in tar.getmembers()}
        env = tar.extractfile("env")
        assert env is not None
        assert env.read() == b'A="hunter2"\n'
    assert modes.pop("activate") == 0o700
    assert set(modes.values()) == {0o600}


@given(st.lists(st.text(max_size=8), min_size=6, max_size=6), st.lists(st.text(max_size=8), min_size=6, max_size=6))
def test_two_releases_are_one_only_when_all_their_texts_are(one: list[str], two: list[str]) -> None:
    def of(texts: list[str]) -> str:
        version, digest, unit, one_off, settings, env = texts
        return identity(version=version, digest=digest, unit=unit, one_off=one_off, settings=settings, env=Secret(env))

    assert (of(one) == of(two)) == (one == two)


def test_kept_evidence_is_told_as_the_journal_was_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert told_here("2026-11-23T22:24:28+0000 prod1 shop[7]: up") == "03:54:28 shop[7]: up"
    time.tzset()
    assert told_here("    and a second line T+0000 x") == "    and a second line T+0000 x"
    assert told_here("2026-13-45T99:24:28+0000 prod1 shop[7]: up") == "2026-13-45T99:24:28+0000 prod1 shop[7]: up"


def test_a_wait_is_told_in_the_phase_that_waits() -> None:
    told: list[Event] = []
    watcher = Watcher(
        host=Host(name="h", address="h"), unit="shop.service", emit=told.append, mask=str, clock=lambda: 0.0
    )
    for event in ({"event": "phase", "phase": "go back"}, {"event": "waiting", "text": "connection refused"}):
        watcher._on_event(event)
    assert told[-1] == PhaseStarted(host="h", phase="go back", text="connection refused")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("7B", 7),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("500MB", 500_000_000),
        ("1.5GiB", 3 << 29),
        ("4GiB", 4 << 30),
    ],
)
def test_sizes_are_read_as_they_are_written(text: str, size: int) -> None:
    assert parse(text) == size
    assert parse(exact_text(size)) == size


@pytest.mark.parametrize(
    "text", ["", "1", "1 GB", "1gb", "1KB", "1G", "-1GB", ".5GB", "1.GB", "1e9B", "1GB\n", "\u0661GB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as"):
        parse(text)


@pytest.mark.parametrize(
    ("size", "text"), [(4 << 30, "4GiB"), (10**9, "1GB"), (3 << 29, "1536MiB"), (1001, "1001B"), (0, "0B")]
)
def test_a_limit_is_told_exactly(size: int, text: str) -> None:
    assert exact_text(size) == text
