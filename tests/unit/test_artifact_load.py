from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from deployer.artifact import Artifact, load, load_for
from deployer.config import loads
from deployer.errors import ArtifactError
from deployer.inspect import explanation
from deployer.kinds import launch_of
from deployer.model import App, Config, Service
from tests.unit import archives
from tests.unit.archives import file, symlink

MIX = (
    file("shop/bin/shop", b"#!/bin/sh\n", mode=0o755),
    file("shop/releases/COOKIE", b"secret"),
    file("shop/releases/start_erl.data", b"13.1.5 1.4.2"),
    file("shop/releases/1.4.2/shop.rel"),
    file("shop/erts-13.1.5/bin/beam.smp", mode=0o755),
)
EXEC = (file("bin/server", b"#!/bin/sh\n", mode=0o755), file("VERSION"))


def refusal(path: Path, **options: Any) -> tuple[str, str]:
    with pytest.raises(ArtifactError) as caught:
        load(path, **options)
    assert caught.value.exit_code == 2
    return caught.value.message, caught.value.hint


def test_a_mix_tarball_becomes_an_artifact(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "shop-9.9.9.tar.gz", *MIX)
    found = load(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.id == f"1.4.2-{digest[:8]}"
    assert (found.sha256, found.size_bytes) == (digest, path.stat().st_size)
    assert (found.path, found.file_name, found.version) == (path, "shop-9.9.9.tar.gz", "1.4.2")
    assert (found.release.kind, found.release.name, found.strip, found.top) == ("mix", "shop", 1, "shop")
    assert [each.path for each in found.files] == [
        "bin/shop",
        "erts-13.1.5/bin/beam.smp",
        "releases/1.4.2/shop.rel",
        "releases/COOKIE",
        "releases/start_erl.data",
    ]
    assert (found.members, found.unpacked_bytes) == (10, 10 * 4096)


@pytest.mark.parametrize(
    ("line", "words", "key"),
    [
        ('max_unpacked = "2KiB"', "unpacks to more than 2KiB", "[artifact] max_unpacked"),
        ("max_members = 4", "has more than 4 members", "[artifact] max_members"),
    ],
)
def test_the_configs_limits_are_kept_and_named(tmp_path: Path, line: str, words: str, key: str) -> None:
    path = archives.write(tmp_path / "shop-1.0.tar.gz", *MIX)
    config = loads(f'[app]\nname = "s"\nuser = "s"\n[artifact]\n{line}\n', path=tmp_path / "deploy.toml")
    with pytest.raises(ArtifactError) as caught:
        load_for(config, path)
    assert words in caught.value.message
    assert key in caught.value.hint
    assert load_for(loads('[app]\nname = "s"\nuser = "s"\n', path=tmp_path / "d.toml"), path).id


def test_a_tarball_need_not_be_packed(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "shop.tar", *MIX, packed=False)
    assert load(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_configs_version_wins_then_the_releases_then_the_file_names(tmp_path: Path) -> None:
    mix = archives.write(tmp_path / "shop-9.9.9.tar.gz", *MIX)
    plain = archives.write(tmp_path / "tool-2.0.1.tar.gz", *EXEC)
    assert load(mix, version="7").version == "7"
    assert load(mix).version == "1.4.2"
    assert load(plain, exec_start="bin/server").version == "2.0.1"
    unnamed = archives.write(tmp_path / "tool.tar.gz", *EXEC)
    assert refusal(unnamed, exec_start="bin/server") == (
        "neither the release nor the file name 'tool.tar.gz' tells a version",
        'set [release] version = "1.4.2", or name the file NAME-1.4.2.tar.gz',
    )


@pytest.mark.parametrize(
    ("version", "start"),
    [("1.4.2+build~1", "1.4.2+build~1-"), ("../x y", "x-y-"), ("..", "0-"), ("é", "0-"), ("1" * 300, "1" * 100 + "-")],
)
def test_an_id_is_safe_as_a_directory(tmp_path: Path, version: str, start: str) -> None:
    found = load(archives.write(tmp_path / "a.tar.gz", *MIX), version=version)
    assert found.id == f"{start}{found.sha256[:8]}"


def test_a_program_that_is_nowhere_near_is_looked_for_in_the_file(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "my tool-1.0.tar.gz", *EXEC)
    assert refusal(path, exec_start="bin/nothing")[1] == f"see what is in it: tar -tf '{path}'"


def test_errors_name_the_file_and_the_member(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "bad-1.0.tar.gz", file("a"), file("../x"))
    assert refusal(path) == (
        "'bad-1.0.tar.gz' must not be unpacked: '../x' has \"..\" in its path",
        "make the tarball from inside the release: tar -czf NAME-VERSION.tar.gz -C DIRECTORY .",
    )
    plain = archives.write(tmp_path / "plain-1.0.tar.gz", *EXEC)
    assert refusal(plain)[0].startswith("'plain-1.0.tar.gz': this is no release of a known kind")


def test_a_hostile_file_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\n.tar.gz"
    path.write_bytes(b"")
    assert refusal(path)[0] == r"'a\x1b[2J\n.tar.gz' is empty"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nothing.tar.gz")[0]
    assert "Is a directory" in refusal(tmp_path)[0]


TEMPLATE = """\
[Service]
ExecStart={{release}}/bin/run
EnvironmentFile={{env_file}}
[Install]
WantedBy=multi-user.target
"""


@pytest.mark.parametrize("entries", [EXEC, MIX, (*MIX[2:], file("shop/bin/shop-1.4.2", mode=0o755))])
def test_a_unit_file_of_the_users_own_is_shown_and_nothing_that_is_not_in_it(
    tmp_path: Path, entries: tuple[archives.Entry, ...]
) -> None:
    path = archives.write(tmp_path / "tool-2.0.1.tar.gz", *entries)
    (tmp_path / "tool.service").write_text(TEMPLATE)
    text = '[app]\nname = "tool"\nuser = "tool"\n[service]\ntemplate = "tool.service"\n'
    config = loads(text, path=tmp_path / "deploy.toml")
    found = load_for(config, path)
    said = explanation(found, launch=launch_of(found.release, config), config=config)
    assert "starts with  what your unit file says" in said.splitlines()
    assert f"ExecStart=/opt/tool/releases/{found.id}/bin/run" in said.splitlines()
    assert "HOME" not in said


def test_inspect_says_what_was_seen(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "tool-2.0.1.tar.gz", *EXEC, symlink("python", "/usr/bin/python3"))
    app = App(name="tool", user="tool", description="tool", root=PurePosixPath("/opt/tool"), keep=5)
    config = Config(path=tmp_path / "deploy.toml", app=app, service=Service(exec_start="bin/server"))
    found = load(path, exec_start="bin/server", allow_links=["python"])
    assert isinstance(found, Artifact)
    text = explanation(found, launch=launch_of(found.release, config), config=config)
    for line in (
        "kind         exec",
        "version      2.0.1 (from the file's name)",
        f"id           2.0.1-{found.sha256[:8]}",
        "members      2 files, 1 link, 1 directory",
        "link         python -> /usr/bin/python3 (out of the release, as allowed)",
        "starts with  bin/server",
        "# /etc/systemd/system/tool.service",
        "[Service]",
    ):
        assert line in text.splitlines(), text
