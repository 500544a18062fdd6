"""What a host keeps of an app's words has no value that was delivered: by the rules of the client's own masks."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployer.env import encode
from deployer.env.systemd import unfit
from deployer.host.scripts import part
from deployer.masking import Masks
from deployer.model import Secret
from tests.unit.hostile_texts import texts

PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w\n==\n-----END KEY-----\n"
SPARED = ("shop", "shop.service", "shop-user", "host-name")


class Host:
    """The shell of the host program, with environments in a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = PurePosixPath(root)
        self._environments = (
            root / "committed.env",
            root / "releases/1/.deployer/env",
            root / "releases/2/.deployer/env",
        )
        for each in self._environments[1:]:
            each.parent.mkdir(parents=True)
        (root / "releases/2/.deployer/trial.service").write_text("[Service]\nUser=shop-user\n")

    def keep(self, *environments: str) -> None:
        for path, text in zip(self._environments, (*environments, "", "", ""), strict=False):
            path.write_text(text, encoding="utf-8")

    def masked(self, text: str, *, masks: str = part("masked")) -> str:
        head = f"APP=shop ROOT={self.root} ID=2 HOSTNAME=host-name\n{part('lib')}{masks}ENV_PATH=$ROOT/committed.env\n"
        done = subprocess.run(
            ["bash", "-c", head + "masked"],
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == b""
        return done.stdout.decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(tmp_path_factory.mktemp("host"))


def test_values_of_every_environment_of_the_host_are_hidden(host: Host) -> None:
    host.keep(
        str(encode({"NEW": Secret("committed-one"), "SHORT": Secret("abcde"), "EMPTY": Secret("")}).reveal()),
        encode({"KEY": Secret(PEM), "AWKWARD": Secret('a "quoted" $HOME `id` \\')}).reveal(),
        encode(
            {"PART": Secret("abcdef"), "WHOLE": Secret("abcdefgh"), "ACCENTS": Secret("ééééé"), "SIX": Secret("éééééé")}
        ).reveal(),
    )
    said = (
        "committed-one, abcde, a committed-one\n"
        "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w\n==\n"
        '<a "quoted" $HOME `id` \\>\n'
        "abcdefghi abcdefg ééééé éééééé\n"
    )
    assert host.masked(said) == "***, abcde, a ***\n***\n***\n***\n==\n<***>\n***i ***g ééééé ***\n"


def test_the_names_by_which_the_app_is_known_stay(host: Host) -> None:
    names = (*SPARED, str(host.root), "shop-users")
    host.keep(encode({f"N{number}": Secret(name) for number, name in enumerate(names)}).reveal())
    said = f"host-name shop[7]: shop.service of shop-user in {host.root}, shop-users\n"
    assert host.masked(said) == said.replace("shop-users", "***")


def test_an_environment_that_a_person_has_edited_is_read_too(host: Host) -> None:
    host.keep(
        '# comment=comment-1\nBARE = bare-value \nSINGLE=\'single "value"\'\nexport X\nDOUBLE="double-value"\n\nLAST=last-one'
    )
    assert host.masked('bare-value.single "value".double-value.last-one.comment-1\n') == "***.***.***.***.comment-1\n"


def test_without_an_environment_all_is_as_it_was(host: Host) -> None:
    host.keep()
    assert host.masked("one\n\n  two=*** \n") == "one\n\n  two=*** \n"
    assert host.masked("") == ""


LONG = texts.filter(lambda text: len(text) >= 4)


@settings(max_examples=60, deadline=None)
@given(st.lists(LONG, max_size=6), st.lists(texts, max_size=4), st.randoms(use_true_random=False))
@example([PEM, "abcdef\x0bghijkl\u2028mnopqr\r\nstuvwx"], ["and"], None)
@example(["abcdef", "defghi", "efghijkl"], ["abcdefghijkl"], None)
def test_the_host_hides_what_the_client_hides(
    host: Host, values: list[str], others: list[str], random: Random | None
) -> None:
    secrets = {f"V{number}": Secret(value) for number, value in enumerate(values) if not unfit("V", Secret(value))}
    host.keep(encode(secrets).reveal())
    pieces = [*others, *(secret.reveal() for secret in secrets.values())]
    if random is not None:
        random.shuffle(pieces)
    # A line at a time, as a journal has it: of what would not stand in one, the client sees lines, too.
    lines = [line for piece in (*pieces, "".join(pieces)) for line in piece.replace("\0", "").split("\n")]
    masks = Masks()
    masks.spare(SPARED)
    masks.add(secrets.values())
    assert host.masked("".join(f"{line}\n" for line in lines)) == "".join(f"{masks.mask(line)}\n" for line in lines)


def test_without_the_masks_it_would_be_kept(host: Host) -> None:
    """Twin."""
    host.keep(encode({"KEY": Secret("hunter2-hunter2")}).reveal())
    assert "hunter2" in host.masked("hunter2-hunter2\n", masks="masked() { cat; }\n")
