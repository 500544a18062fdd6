from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from deployer.artifact import obtain
from deployer.config import loads
from deployer.errors import ArtifactError, BuildError
from deployer.events import CommandLine, Event, Note, PhaseEnded, PhaseStarted
from deployer.model import ArtifactSource
from tests.closed import closed
from tests.unit.tls_server import serving


class Place:
    """A project's directory, and what was told about it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.events: list[Event] = []

    def file(self, name: str, *, age_s: float = 100) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (time.time() - age_s,) * 2)
        return path

    def obtain(self, source: ArtifactSource, *, override: str = "", build: bool = True) -> Path:
        return obtain(
            source,
            directory=self.directory,
            override=override,
            emit=self.events.append,
            cache=self.directory / "cache",
            build=build,
        )

    def refusal(self, source: ArtifactSource, *, override: str = "") -> ArtifactError:
        with pytest.raises(ArtifactError) as caught:
            self.obtain(source, override=override)
        return caught.value

    def notes(self, level: str) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note) and event.level == level]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    directory = tmp_path / "a project [1]"
    directory.mkdir()
    return Place(directory)


def test_a_path_starts_at_the_configs_directory(place: Place) -> None:
    path = place.file("dist/shop-1.0.tar.gz")
    assert place.obtain(ArtifactSource(path="dist/shop-1.0.tar.gz")) == path
    assert place.obtain(ArtifactSource(path=str(path))) == path
    assert place.events == []


def test_of_several_files_the_newest_version_is_taken_and_told(place: Place) -> None:
    for name in ("shop-1.9.0.tar.gz", "shop-1.10.0.tar.gz", "shop-1.10.0-rc.1.tar.gz"):
        place.file(name)
    assert place.obtain(ArtifactSource(path="shop-*.tar.gz")).name == "shop-1.10.0.tar.gz"
    assert place.events == [Note(level="info", text="took shop-1.10.0.tar.gz, the newest by version of 3 that match")]


def test_what_lies_beside_a_tarball_is_not_taken_for_one(place: Place) -> None:
    for name in ("shop-1.9.0.tar.gz", "shop-1.10.0.tar.gz", "shop-1.10.0.tar.gz.sha256", "shop-1.10.0.tar.gz.asc"):
        place.file(name)
    assert place.obtain(ArtifactSource(path="shop-*")).name == "shop-1.10.0.tar.gz"


def test_a_directory_that_we_may_not_look_into_is_told(place: Place) -> None:
    path = place.file("dist/shop-1.0.tar.gz")
    with closed(path.parent):
        refusal = place.refusal(ArtifactSource(path="dist/shop-1.0.tar.gz"))
    assert refusal.message == f"{path} cannot be read: Permission denied"


def test_a_tarball_that_we_may_not_read_is_told(place: Place) -> None:
    path = place.file("shop-1.0.tar.gz")
    with closed(path):
        refusal = place.refusal(ArtifactSource(path="shop-1.0.tar.gz", sha256="0" * 64))
    assert refusal.message == f"{path} cannot be read: Permission denied"
    assert refusal.hint == f"ls -ld {shlex.quote(str(path))}"


def test_what_git_describes_is_newer_than_the_tag_before_it(place: Place) -> None:
    for name in ("shop-1.4.2.tar.gz", "shop-1.4.2-5-g3f2a9c1.tar.gz", "shop-1.4.2-14-g0badcafe.tar.gz"):
        place.file(name)
    assert place.obtain(ArtifactSource(path="shop-*.tar.gz")).name == "shop-1.4.2-14-g0badcafe.tar.gz"


def test_a_younger_file_of_an_older_version_is_told(place: Place) -> None:
    place.file("shop-2.0.0.tar.gz", age_s=5000)
    younger = place.file("shop-1.0.0.tar.gz", age_s=10)
    assert place.obtain(ArtifactSource(path="*.tar.gz")).name == "shop-2.0.0.tar.gz"
    (warning,) = [event for event in place.events if isinstance(event, Note) and event.level == "warning"]
    assert warning.text.startswith("shop-1.0.0.tar.gz is younger (")
    assert warning.text.endswith("), whose version is newer")
    assert warning.hint == f"--artifact '{younger}' takes the younger one"


def test_names_without_an_order_are_taken_by_age(place: Place) -> None:
    place.file("shop-fffffff.tar.gz", age_s=500)
    place.file("shop-0000001a.tar.gz", age_s=10)
    assert place.obtain(ArtifactSource(path="*.tar.gz")).name == "shop-0000001a.tar.gz"
    assert place.notes("info") == [
        "took shop-0000001a.tar.gz, the youngest file, as not all names tell a version of 2 that match"
    ]


def test_a_file_that_is_not_there_is_told_with_what_is(place: Place) -> None:
    place.file("dist/shop-1.0.tar.gz")
    place.file("dist/notes.txt")
    error = place.refusal(ArtifactSource(path="dist/shoop-*.tar.gz"))
    assert error.message.startswith("no file matches ")
    assert error.message.endswith("a project [1]/dist/shoop-*.tar.gz")
    assert error.hint == f"{place.directory}/dist holds shop-1.0.tar.gz; did you mean one of these?"
    empty = place.refusal(ArtifactSource(path="cache/*.tar.gz"))
    assert empty.message.endswith(f"there is no directory {place.directory}/cache")
    (place.directory / "cache").mkdir()
    assert place.refusal(ArtifactSource(path="cache/*.tar.gz")).hint == "build it first"
    place.file("mix.exs")
    assert ":tar" in place.refusal(ArtifactSource(path="cache/*.tar.gz")).hint


def test_where_no_file_was_found_is_told_without_detours(place: Place) -> None:
    (place.directory / "config").mkdir()
    for path in ("config/../dist/**/shop-[0-9]*.tar.gz", "config/../dist/shop.tar.gz", "config/../*/shop.tar.gz"):
        where = f"{place.directory}/{path.removeprefix('config/../')}"
        assert place.refusal(ArtifactSource(path=path)).message.split(": ")[0] == f"no file matches {where}"
    (place.directory / "link").symlink_to("config")
    error = place.refusal(ArtifactSource(path="link/*.tar.gz"))
    assert (
        error.message == f"no file matches {place.directory}/config/*.tar.gz: {place.directory}/config holds no tarball"
    )


def test_a_name_with_brackets_is_found_in_a_directory_with_brackets(place: Place) -> None:
    path = place.file("shop-[1].tar.gz")
    config = loads(
        '[app]\nname="s"\nuser="s"\n[artifact]\npath="shop-[1].tar.gz"\n', path=place.directory / "deploy.toml"
    )
    assert place.obtain(config.artifact) == path


def test_the_home_of_nobody_is_told(place: Place) -> None:
    error = place.refusal(ArtifactSource(), override="~nosuch-user/x.tgz")
    assert error.message == "~nosuch-user/x.tgz cannot be found: this machine knows no user of that name"


def test_nothing_to_look_for_is_told(place: Place) -> None:
    error = place.refusal(ArtifactSource())
    assert error.hint == "set [artifact] path or url, or use --artifact PATH_OR_URL"


def test_a_digest_in_the_config_holds_for_a_path_too(place: Place) -> None:
    path = place.file("shop-1.0.tar.gz")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert place.obtain(ArtifactSource(path="shop-*.tar.gz", sha256=digest)) == path
    error = place.refusal(ArtifactSource(path="shop-*.tar.gz", sha256="ab" * 32))
    assert error.message == f"{path} has the sha256 {digest}, and {'ab' * 32} is wanted"


def test_the_command_lines_artifact_wins_and_nothing_is_built(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArtifactSource(path="none-*.tar.gz", build="touch built", sha256="ab" * 32)
    path = place.file("elsewhere/shop-1.0.tar.gz")
    monkeypatch.chdir(path.parent)
    assert place.obtain(source, override="shop-1.0.tar.gz") == path
    assert place.obtain(source, override=str(path)) == path
    assert place.obtain(source, override=path.as_uri()) == path
    assert not (place.directory / "built").exists()
    assert "http://" in place.refusal(source, override="http://example.com/x.tar.gz").message


def test_a_file_address_is_checked_against_a_digest_where_there_is_one(place: Place) -> None:
    path = place.file("shop-1.0.tar.gz")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = path.with_name("shop-1.0.tar.gz.sha256")
    for url, text in ((path.as_uri(), ""), (f"{path.as_uri()}#sha256={digest}", ""), (path.as_uri(), f"{digest}  x\n")):
        if text:
            beside.write_text(text)
        assert place.obtain(ArtifactSource(url=url)) == path
    assert place.notes("info") == [
        "shop-1.0.tar.gz is taken as it is: there is no sha256 for it, and no shop-1.0.tar.gz.sha256 beside it"
    ]
    beside.write_text("0" * 64)
    assert "is wanted" in place.refusal(ArtifactSource(url=path.as_uri())).message
    beside.write_text("nonsense")
    assert place.refusal(ArtifactSource(url=path.as_uri())).hint == f"sha256sum '{path}' >'{beside}'"
    assert "there is no file" in place.refusal(ArtifactSource(url="file:///nothing/here.tar.gz")).message


def test_an_address_is_fetched(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as site:
        monkeypatch.setenv("SSL_CERT_FILE", str(site.certificate))
        site.files["/shop-1.0.tar.gz"] = b"content"
        source = ArtifactSource(url=site.url("/shop-1.0.tar.gz"), sha256=hashlib.sha256(b"content").hexdigest())
        assert place.obtain(source).read_bytes() == b"content"
        assert place.events[0] == PhaseStarted(host="", phase="fetch", text=site.url("/shop-1.0.tar.gz"))
        ended = place.events[-1]
        assert isinstance(ended, PhaseEnded)
        assert ended.ok
        site.files.clear()
        place.refusal(ArtifactSource(url=site.url("/other.tar.gz"), sha256="ab" * 32))
        failed = place.events[-1]
        assert isinstance(failed, PhaseEnded)
        assert not failed.ok


def test_a_build_runs_in_the_configs_directory_with_its_lines_live(place: Place) -> None:
    source = ArtifactSource(
        path="dist/*.tar.gz", build="mkdir dist && echo out && echo err >&2 && touch dist/s-1.tar.gz"
    )
    assert place.obtain(source) == place.directory / "dist/s-1.tar.gz"
    assert [event.text for event in place.events if isinstance(event, CommandLine)] == ["out", "err"]
    assert place.events[0] == PhaseStarted(host="", phase="build", text=source.build)
    assert place.notes("warning") == []


def test_a_build_may_be_left_out(place: Place) -> None:
    path = place.file("s-1.tar.gz")
    assert place.obtain(ArtifactSource(path="*.tar.gz", build="rm *.tar.gz"), build=False) == path


def test_a_build_that_leaves_the_tarball_as_it_was_is_told(place: Place) -> None:
    place.file("s-1.tar.gz")
    place.obtain(ArtifactSource(path="*.tar.gz", build="true"))
    (warning,) = place.notes("warning")
    assert warning.startswith("the build left s-1.tar.gz as it was (")


def test_a_build_that_fails_shows_its_end(place: Place) -> None:
    place.file("s-1.tar.gz")
    error = place.refusal(ArtifactSource(path="*.tar.gz", build="seq 100; exit 3"))
    assert isinstance(error, BuildError)
    assert error.message == "the build ended with status 3"
    assert error.details == tuple(str(number) for number in range(81, 101))
    assert error.hint == f"run it by hand: (cd '{place.directory}' || exit; seq 100; exit 3)"
    # Pasted, it leaves the shell open, and where it is.
    pasted = f"{error.hint.removeprefix('run it by hand: ')}; echo $? $PWD"
    shown = subprocess.run(["bash", "-c", pasted], cwd="/", capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-2:] == ["100", "3 /"]
    several = place.refusal(ArtifactSource(path="*.tar.gz", build="seq 100\nexit 3")).hint
    assert several == f"run it by hand: cd '{place.directory}'  # and there what [artifact] build says"
    assert "signal 9" in place.refusal(ArtifactSource(path="*.tar.gz", build="kill -9 $$")).message


def test_a_child_in_the_background_does_not_hold_up_a_build(place: Place) -> None:
    place.file("s-1.tar.gz")
    began = time.monotonic()
    build = "setsid sleep 20 & (while :; do echo more; done) & echo built; printf end; exit 0"
    place.obtain(ArtifactSource(path="*.tar.gz", build=build, build_timeout_s=15))
    assert time.monotonic() - began < 10
    said = [event.text for event in place.events if isinstance(event, CommandLine)]
    assert "built" in said


def test_the_last_line_of_a_build_needs_no_end(place: Place) -> None:
    place.file("s-1.tar.gz")
    place.obtain(ArtifactSource(path="*.tar.gz", build="printf 'a\\r\\nb'"))
    assert [event.text for event in place.events if isinstance(event, CommandLine)] == ["a", "b"]


def test_a_build_without_an_end_is_ended(place: Place) -> None:
    began = time.monotonic()
    error = place.refusal(ArtifactSource(path="*.tar.gz", build="echo begun; sleep 60", build_timeout_s=0.3))
    assert error.message == "the build was ended after 0.3 s"
    assert error.details == ("begun",)
    assert time.monotonic() - began < 10
