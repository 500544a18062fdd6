"""What reaches a shell comes out of it as it went in: the bash of this machine is asked."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployer.host.scripts import PARTS, part, script
from deployer.host.settings import settings_text
from deployer.model import App, Config, Health, Service
from deployer.transport.scripts import Elevation, framed_script, reader_command
from tests.unit.hostile_texts import for_shells, texts

APP = App(name="shop", user="shop", description="shop", root=PurePosixPath("/opt/shop"), keep=5)
HOSTILE = '\'; touch /tmp/evil; echo "$(id)" `id` \\ \n\r $HOME ${HOME} %n \x1b]0;t\x07 é \udcff -n'


def bash(text: str, *args: str) -> list[str]:
    """Run a script; return what it prints, each text ended by a NUL."""
    done = subprocess.run(
        ["bash", "-c", text, "bash", *args], capture_output=True, check=True, timeout=20, env={"LC_ALL": "C.UTF-8"}
    )
    assert done.stderr == b""
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


@settings(max_examples=40, deadline=None)
@given(st.lists(for_shells, min_size=1, max_size=8), for_shells)
@example([HOSTILE, "", "-n", "--"], HOSTILE)
def test_arguments_and_variables_of_a_script_are_what_was_meant(args: list[str], value: str) -> None:
    text = script("cursor", APP, *args, WHO=value, VERSION=value)
    head = text[: text.index(part("lib"))]
    assert bash(head + 'printf "%s\\0" "$APP" "$ROOT" "$WHO" "$VERSION" "$@"') == [
        "shop",
        "/opt/shop",
        value,
        value,
        *args,
    ]


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(PARTS)), st.lists(for_shells, min_size=1, max_size=4))
@example("stage", [HOSTILE])
def test_a_script_stays_a_script_whatever_its_values_are(name: str, args: list[str]) -> None:
    text = script(name, APP, *args, DOT=args[0], VERSION=args[0], WHO=args[0], UNIT_TEXT=args[0])
    done = subprocess.run(
        ["bash", "-n"], input=text.encode("utf-8", "surrogateescape"), capture_output=True, check=False, timeout=20
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert text.endswith(part(PARTS[name][-1]))


def test_without_quotes_a_value_would_be_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Twin."""
    proof = tmp_path / "evil"
    value = f"x; touch {proof}"

    def run() -> None:
        text = script("cursor", APP, WHO=value)
        bash(text[: text.index(part("lib"))])

    run()
    assert not proof.exists()
    monkeypatch.setattr(shlex, "quote", str)
    run()
    assert proof.exists()


@settings(max_examples=40, deadline=None)
@given(for_shells, for_shells, for_shells, st.lists(for_shells, max_size=4))
@example(HOSTILE, HOSTILE, HOSTILE, [HOSTILE, ""])
def test_the_settings_of_a_release_are_read_back_by_bash(
    unix: str, command: str, body: str, migrate: list[str]
) -> None:
    """Even values that the loader would refuse."""
    config = Config(
        path=Path("deploy.toml"),
        app=APP,
        health=Health(http="http://127.0.0.1:4000/a?b=$c;d", unix=unix, command=command, body=body),
        service=Service(migrate=tuple(migrate)),
    )
    reader = 'printf "%s\\0" "$CHECK_UNIX" "$CHECK_COMMAND" "${CHECK_HTTP[@]}" "${#MIGRATE[@]}" "${MIGRATE[@]}"'
    found = bash(settings_text(config) + reader)
    http = ["127.0.0.1", "4000", "/a?b=$c;d", "127.0.0.1:4000", "200", body]
    # printf with no argument at all prints one empty text: MIGRATE's size stands before.
    assert found == [unix, command, *http, str(len(migrate)), *migrate]


@settings(max_examples=20, deadline=None)
@given(st.lists(for_shells, min_size=1, max_size=12))
@example([HOSTILE.replace("\udcff", "")])
def test_json_of_the_host_holds_any_text(values: list[str]) -> None:
    """Of control characters, line feeds and tabs are kept and the others become a question mark."""
    pairs = " ".join(f"k{number} {shlex.quote(value)}" for number, value in enumerate(values))
    (text,) = bash(script("cursor", APP).replace(part("cursor"), f'json_object {pairs}\nprintf "%s\\0" "$JSON"'))
    tame = [
        "".join(char if char in "\n\t" or not (char < " " or char == "\x7f") else "?" for char in value)
        for value in values
    ]
    assert "\n" not in text, "a line of the ledger is one line"
    assert list(json.loads(text).values()) == tame


@settings(max_examples=20, deadline=None)
@given(texts.filter(lambda text: "\0" not in text))
@example(HOSTILE)
def test_a_script_arrives_as_it_was_sent(value: str) -> None:
    mark = "0123456789abcdef"
    command = reader_command(mark, name="try", elevation=Elevation())
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        input=framed_script(f"printf %s {shlex.quote(value)}", mark),
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert done.stdout == f"{mark}\n{value}".encode("utf-8", "surrogateescape")
