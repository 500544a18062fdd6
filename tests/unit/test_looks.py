"""What `check`, `releases` and `plan` show, by hosts that are made up."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from deployer.artifact import Artifact, load
from deployer.errors import DeployerError, HostError, HostKeyError, UnreachableError, UsageError
from deployer.events import Event, Failure, Listing, Note, Summary
from deployer.host.facts import Facts, LedgerEntry, StagedRelease
from deployer.model import Host, Secret
from deployer.remote import Over, Remote
from deployer.verbs import checking, deploying, looking
from deployer.verbs.run import Run
from tests.shop import CONFIG as ONE_HOST
from tests.shop import WEB2

CONFIG = ONE_HOST + WEB2


READY = Facts(systemd=252, os="Debian 12", machine="x86_64", group="app", free_bytes=10**10)


class Link:
    alive = True

    def close(self) -> None:
        self.alive = False


class Silence:
    """Stands in for a session of journalctl that has nothing to say."""

    def lines(self) -> Iterator[str]:
        return iter(())

    def close(self) -> None:
        pass


class Far:
    """Stands in for a `Remote`."""

    def __init__(self, host: Host, facts: Facts | DeployerError) -> None:
        self.host, self.link, self._facts = host, Link(), facts

    def probe(self, **_options: Any) -> Facts:
        if isinstance(self._facts, DeployerError):
            raise self._facts
        return self._facts

    def check(self, **_options: Any) -> list[tuple[str, str]]:
        return []

    def secrets(self) -> tuple[Secret, ...]:
        return ()

    def journal(self, _args: tuple[str, ...]) -> Silence:
        return Silence()

    def follow(self, _token: str, **_options: Any) -> Over:
        raise UsageError("no activation of shop is under way", host=self.host.name, hint="deployer status")


class Seen(Run):
    """A run on made-up hosts, which keeps what it tells. An error in place of a host's facts is how it is not reached."""

    def __init__(self, path: Path, hosts: dict[str, Facts | DeployerError], output: str = "plain") -> None:
        super().__init__(config=str(path), wanted=tuple(hosts), output=output, environ={})
        self.told: list[Event] = []
        self._far = hosts

    def emit(self, event: Event) -> None:
        self.told.append(event)

    def _connect(self, host: Host) -> Remote:
        found = self._far[host.name]
        if isinstance(found, UnreachableError):
            raise found
        return cast("Remote", Far(host, found))

    def rows(self) -> list[tuple[str, str, bool, str, str | None]]:
        (listing,) = [event for event in self.told if isinstance(event, Listing)]
        return [(row["host"], row["check"], row["ok"], row["text"], row["next"]) for row in listing.rows]


@pytest.fixture
def seen(tmp_path: Path) -> Callable[..., Seen]:
    path = tmp_path / "deploy.toml"
    path.write_text(CONFIG)
    return lambda hosts, **options: Seen(path, hosts, **options)


def test_check_tells_in_its_table_which_host_it_could_not_reach(seen: Callable[..., Seen]) -> None:
    run = seen({"web1": UnreachableError("web1 has no address", hint="getent hosts web1"), "web2": READY})
    assert checking.check(run) == 5
    of_web1 = [row for row in run.rows() if row[0] == "web1"]
    assert of_web1 == [
        ("web1", "environment", True, "0 names", None),
        ("web1", "reach", False, "web1 has no address", "getent hosts web1"),
    ]
    assert ("web2", "reach", True, "Debian 12, systemd 252, x86_64; root", None) in run.rows()
    assert [event for event in run.told if isinstance(event, Failure)] == []


def test_check_tells_in_full_what_has_lines_to_compare_or_to_copy(seen: Callable[..., Seen]) -> None:
    run = seen({"web1": HostKeyError("its key is not known", hint="pin it", details=("compare this", "with that"))})
    assert checking.check(run) == 5
    assert ("web1", "reach", False, "its key is not known", "pin it") in run.rows()
    (failure,) = [event for event in run.told if isinstance(event, Failure)]
    assert (failure.host, failure.details, failure.exit_code) == ("web1", ("compare this", "with that"), 5)


def test_check_tells_what_failed_on_a_host_that_it_did_reach(seen: Callable[..., Seen]) -> None:
    run = seen({"web1": HostError("the probe of the host was cut off", hint="run the same command again")})
    assert checking.check(run) == 1
    assert ("web1", "host", False, "the probe of the host was cut off", "run the same command again") in run.rows()


def of_disk(run: Seen) -> tuple[bool, str, str | None]:
    (row,) = [row[2:] for row in run.rows() if row[1] == "disk"]
    return row


def packed(directory: Path) -> Artifact:
    path = directory / "shop-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("bin/server")
        member.mode = 0o755
        tar.addfile(member)
    text = (directory / "deploy.toml").read_text()
    (directory / "deploy.toml").write_text(f'{text}[artifact]\npath = "{path.name}"\n')
    return load(path, exec_start="bin/server")


def test_check_says_how_much_room_a_release_needs(seen: Callable[..., Seen], tmp_path: Path) -> None:
    packed(tmp_path)
    run = seen({"web1": replace(READY, free_bytes=18_800_000)})
    assert checking.check(run) == 0
    assert of_disk(run) == (True, "18.8 MB free, and this release needs 16.8 MB", None)
    run = seen({"web1": replace(READY, free_bytes=10_000_000)})
    assert checking.check(run) == 1
    hint = "deployer prune --host web1, or make room"
    assert of_disk(run) == (False, "10.0 MB free, and this release needs 16.8 MB", hint)


def test_check_asks_no_room_for_what_is_there_already(seen: Callable[..., Seen], tmp_path: Path) -> None:
    digest = packed(tmp_path).sha256
    there = StagedRelease(id="1.0-a", identity="i", digest=digest, pinned=False, size_bytes=1)
    run = seen({"web1": replace(READY, free_bytes=1000, releases=(there,))})
    assert checking.check(run) == 0
    assert of_disk(run) == (True, "1.0 kB free; this release is there already", None)


def test_check_warns_of_little_room_where_it_knows_no_release(seen: Callable[..., Seen]) -> None:
    run = seen({"web1": replace(READY, free_bytes=18_800_000)})
    assert checking.check(run) == 0
    text = "warning: 18.8 MB free; what a release needs is known once there is a tarball"
    assert of_disk(run) == (True, text, "deployer prune --host web1, or make room")


def pruned_and_kept() -> Facts:
    gone, kept = (LedgerEntry(at="t", event="staged", id=each, version=each) for each in ("1.0-a", "2.0-b"))
    here = StagedRelease(id="2.0-b", identity="i", digest="d", pinned=False, size_bytes=1)
    return replace(READY, ledger=(gone, kept), releases=(here,))


@pytest.mark.parametrize(("output", "told"), [("plain", True), ("json", False)])
def test_what_releases_leaves_out_is_told_where_it_does_leave_it_out(
    seen: Callable[..., Seen], *, output: str, told: bool
) -> None:
    run = seen({"web1": pruned_and_kept()}, output=output)
    assert looking.releases(run) == 0
    texts = [event.text for event in run.told if isinstance(event, Note)]
    assert texts == (["1 pruned before is left out; --output json tells of all"] if told else [])
    (listing,) = [event for event in run.told if isinstance(event, Listing)]
    assert len(listing.rows) == 2


def test_attach_after_a_power_cut_names_the_release_that_was_cut_off(seen: Callable[..., Seen]) -> None:
    begun = LedgerEntry(at="t", event="activating", id="2.0-b", token="x")
    run = seen({"web1": replace(READY, committed="1.0-a", ledger=(begun,)), "web2": replace(READY, committed="1.0-a")})
    assert deploying.attach(run) == 2
    (summary,) = [event for event in run.told if isinstance(event, Summary)]
    none = "no activation of shop is under way"
    assert [(row.verdict, row.release, row.text, row.hint) for row in summary.hosts] == [
        (
            "failed",
            "1.0-a",
            f"{none}; the last one, of 2.0-b, was cut off, most likely by a power cut or reboot",
            "deployer status --host web1",
        ),
        ("failed", "1.0-a", none, "deployer status"),
    ]
    messages = [event.message for event in run.told if isinstance(event, Failure)]
    assert messages == [row.text for row in summary.hosts]


def tarball(path: Path) -> str:
    """Make a tarball of a service, and return the id that its release would have."""
    (path / "bin").mkdir()
    (path / "bin/server").write_text("#!/bin/sh\n")
    (path / "bin/server").chmod(0o755)
    with tarfile.open(path / "shop-2.0.tar.gz", "w:gz") as archive:
        archive.add(path / "bin", "bin")
    return f"2.0-{hashlib.sha256((path / 'shop-2.0.tar.gz').read_bytes()).hexdigest()[:8]}"


def test_check_tells_of_a_tarball_that_did_not_hold_before(tmp_path: Path) -> None:
    config = tmp_path / "deploy.toml"
    config.write_text(CONFIG.replace("[hosts.web1]", '[artifact]\npath = "shop-*.tar.gz"\n[hosts.web1]'))
    release = tarball(tmp_path)

    def ledger(*events: tuple[str, str]) -> Facts:
        return replace(
            READY,
            ledger=tuple(
                LedgerEntry(at=f"t{number}", event=event, id=each, cause="it exited")
                for number, (event, each) in enumerate(events)
            ),
        )

    # With another environment it is a release of its own, of the same tarball.
    run = Seen(config, {"web1": ledger(("good", release), ("bad", f"{release}.2"), ("bad", "1.0-x"))})
    assert checking.check(run) == 0
    text = f"{release}.2 was tried at t1 and did not hold: it exited"
    assert ("web1", "artifact", True, text, f"deployer logs --host web1 --deploy {release}.2") in run.rows()
    again = Seen(config, {"web1": ledger(("bad", release), ("good", f"{release}.2"))})
    assert checking.check(again) == 0
    assert [row for row in again.rows() if row[:2] == ("web1", "artifact")] == []


def test_attach_to_a_host_out_of_reach_claims_nothing_of_it(seen: Callable[..., Seen]) -> None:
    run = seen({"web1": UnreachableError("web1 does not answer", hint="is it up?"), "web2": READY})
    assert deploying.attach(run) == 5
    (summary,) = [event for event in run.told if isinstance(event, Summary)]
    row = summary.hosts[0]
    assert (row.verdict, row.text, row.hint) == ("unknown", "web1 does not answer", "is it up?")


def test_check_warns_of_what_was_edited_on_a_host_and_bars_nothing(seen: Callable[..., Seen]) -> None:
    run = seen({"web1": replace(READY, committed="1.0-a", env_drift="edited")})
    assert checking.check(run) == 0
    assert (
        "web1",
        "drift",
        True,
        "warning: the environment file is edited",
        "deployer status --host web1",
    ) in run.rows()


def test_what_cannot_be_is_refused_before_any_host_is_asked(seen: Callable[..., Seen]) -> None:
    run = seen({"web1": READY})
    with pytest.raises(UsageError, match="--priority 99 is not known"):
        looking.logs(run, follow=False, lines="", since="", until="", priority="99", grep="", deploy="")
    with pytest.raises(UsageError, match="--no-activate starts nothing that --detach could leave"):
        deploying.deploy(
            run, artifact="", plan_only=False, yes=False, activate=False, detach=True, parallel=0, wait=None
        )
