"""The shell that goes to hosts: whole programs, as they are sent."""

from __future__ import annotations

import subprocess
from pathlib import PurePosixPath

import pytest

from deployer.host.scripts import PARTS, part, program, script
from deployer.model import App

APP = App(name="shop", user="shop", description="shop", root=PurePosixPath("/opt/shop"), keep=5)

# Shared parts set what not every program uses (SC2034), and programs use what the head sets (SC2154).
IGNORED = "SC2034,SC2154"


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_script_is_clean_for_shellcheck_as_it_is_sent(name: str) -> None:
    _shellcheck(script(name, APP, DOT="x", VERSION="1", WHO="me", UNIT_TEXT="x"))


def test_the_host_program_is_clean_for_shellcheck() -> None:
    _shellcheck(program())


def test_a_value_is_one_word_whatever_it_holds() -> None:
    hostile = '\'; touch /tmp/x; echo "$(id)" `id` \\ \n é'
    text = script("cursor", APP, hostile, WHO=hostile)
    head = text[: text.index(part("lib"))] + '\nprintf "%s|%s|%s" "$APP" "$WHO" "$1"\n'
    said = subprocess.run(["bash", "-c", head], capture_output=True, check=True, text=True).stdout
    assert said == f"shop|{hostile}|{hostile}"


def test_json_text_of_the_host_is_read_back() -> None:
    import json

    hostile = 'a "quote" \\ back\nline\ttab é \x01'
    text = script("cursor", APP, VALUE=hostile).replace(
        part("cursor"), 'json_object k "$VALUE" n= 3\nprintf %s "$JSON"'
    )
    said = subprocess.run(["bash", "-c", text], capture_output=True, check=True, text=True).stdout
    assert json.loads(said) == {"k": 'a "quote" \\ back\nline\ttab é ?', "n": 3}


def _shellcheck(text: str) -> None:
    done = subprocess.run(
        ["shellcheck", "--shell=bash", f"--exclude={IGNORED}", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    assert done.returncode == 0
