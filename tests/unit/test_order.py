"""The judge of a commit's order, and the reading of traces that it is given."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.host.faults.order import violations
from tests.host.faults.syscalls import Event, events

ROOT = "/opt/shop"
LEDGER = f"{ROOT}/ledger.jsonl"
RECORD = f"{ROOT}/committing"
ENV = "/etc/default/shop.env"
UNIT = "/etc/systemd/system/shop.service"
WANTS = "/etc/systemd/system/multi-user.target.wants"
MARKER = "/run/deployer/shop/trial"
RELEASE = f"{ROOT}/releases/1.0.0-aa"


def create(path: str) -> Event:
    return Event(kind="create", path=path)


def sync(path: str) -> Event:
    return Event(kind="sync", path=path)


def rename(path: str, to: str) -> Event:
    return Event(kind="rename", path=path, to=to)


def remove(path: str) -> Event:
    return Event(kind="remove", path=path)


def line(word: str) -> list[Event]:
    return [create(LEDGER), Event(kind="write", path=LEDGER, text=f'{{"at":"x","event":"{word}"'), sync(LEDGER)]


def put(path: str) -> list[Event]:
    new = f"{path}.deployer-new"
    return [create(new), sync(new), rename(new, path), sync(path.rpartition("/")[0])]


STAGING = f"{ROOT}/releases/.staging-x"
COMMIT = [
    Event(kind="mkdir", path=STAGING),
    create(f"{STAGING}/bin"),
    Event(kind="sync-all", path="/"),
    rename(STAGING, RELEASE),
    sync(f"{ROOT}/releases"),
    *line("staged"),
    *line("activating"),
    *put(MARKER),
    *put("/run/systemd/system.control/shop.service"),
    *put("/etc/systemd/system/deployer-recover@shop.service"),
    *put(RECORD),
    *put(ENV),
    *put(UNIT),
    Event(kind="link", path=f"{ROOT}/current.deployer-new"),
    rename(f"{ROOT}/current.deployer-new", f"{ROOT}/current"),
    sync(ROOT),
    Event(kind="link", path=f"{WANTS}/shop.service"),
    sync(WANTS),
    *line("good"),
    remove(MARKER),
    remove(RECORD),
    sync(ROOT),
]
# What may be missing, as only what comes later needs it, or as it is about files below /run.
OPTIONAL = {
    sync(f"{MARKER}.deployer-new"),
    sync("/run/deployer/shop"),
    sync("/run/systemd/system.control/shop.service.deployer-new"),
    sync("/run/systemd/system.control"),
}


def test_a_commit_in_its_order_is_without_fault() -> None:
    assert violations(COMMIT) == []


def test_files_made_ready_before_the_record_are_as_good() -> None:
    first = [event for path in (ENV, UNIT) for event in put(path)[:2]]
    later = [event for path in (ENV, UNIT) for event in put(path)[2:]]
    begin = COMMIT.index(create(f"{RECORD}.deployer-new"))
    end = COMMIT.index(Event(kind="link", path=f"{ROOT}/current.deployer-new"))
    assert violations([*COMMIT[:begin], *first, *put(RECORD), *later, *COMMIT[end:]]) == []


@pytest.mark.parametrize(
    "number",
    [
        number
        for number, event in enumerate(COMMIT)
        # The first lines of the ledger are covered by the syncs of those that follow.
        if event.kind in ("sync", "sync-all") and event not in OPTIONAL and number != COMMIT.index(sync(LEDGER))
    ],
)
def test_no_sync_of_a_commit_can_be_left_out(number: int) -> None:
    assert violations([*COMMIT[:number], *COMMIT[number + 1 :]]), COMMIT[number]


def moved(what: Event, before: Event) -> list[Event]:
    rest = [event for event in COMMIT if event != what]
    place = rest.index(before)
    return [*rest[:place], what, *rest[place:]]


def replaced(old: Event, *new: Event) -> list[Event]:
    place = COMMIT.index(old)
    return [*COMMIT[:place], *new, *COMMIT[place + 1 :]]


@pytest.mark.parametrize(
    ("trace", "found"),
    [
        (
            lambda: moved(rename(f"{ENV}.deployer-new", ENV), create(f"{RECORD}.deployer-new")),
            f"{ENV} was put in place without a record",
        ),
        (lambda: moved(remove(RECORD), remove(MARKER)), "the record was removed before the trial's marker"),
        (
            lambda: [event for event in COMMIT if "good" not in event.text],
            "the record was removed before the ledger had its line",
        ),
        (
            lambda: [event for event in COMMIT if event.to != UNIT],
            f"the record was removed before {UNIT} was put in place",
        ),
        (
            lambda: replaced(rename(f"{UNIT}.deployer-new", UNIT), create(UNIT)),
            f"{UNIT} was written to under its own name",
        ),
        (lambda: COMMIT[:-1], "the record's removal was never synced: a power cut brings it back"),
        (
            lambda: replaced(Event(kind="sync-all", path="/"), sync(f"{STAGING}/bin")),
            f"{RELEASE} got its name before its content was synced ({STAGING}/bin)",
        ),
    ],
)
def test_what_is_out_of_order_is_said(trace: Callable[[], list[Event]], found: str) -> None:
    assert found in violations(trace())


def test_a_marker_goes_after_the_verdict_of_the_trial() -> None:
    begin = COMMIT[: COMMIT.index(create("/etc/systemd/system/deployer-recover@shop.service.deployer-new"))]
    assert violations([*begin, *line("bad"), remove(MARKER)], existed=(LEDGER,)) == []
    assert violations([*begin, remove(MARKER), *line("bad")], existed=(LEDGER,)) == [
        "the trial's marker was removed before the ledger's verdict was synced"
    ]


TRACE = r"""
11 openat(AT_FDCWD</opt>, "x.deployer-new", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</opt/x.deployer-new>
12 openat(AT_FDCWD</opt>, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>
11 write(1</opt/x.deployer-new>, "{\"event\":\"good\"}\n", 17) = 17
12 fsync(3</opt/x.deployer-new> <unfinished ...>
11 unlinkat(AT_FDCWD</opt>, "/gone", 0) = -1 ENOENT (No such file or directory)
12 <... fsync resumed>)             = 0
11 renameat2(AT_FDCWD</>, "/opt/x.deployer-new", AT_FDCWD</>, "/opt/x", 0) = 0
11 symlinkat("../shop.service", 4</etc/w>, "shop.service") = 0
11 syncfs(3</opt>)                  = 0
11 unlink("/opt/x")                 = 0
11 +++ exited with 0 +++
"""


def test_a_trace_is_read_as_what_was_done() -> None:
    assert events(TRACE) == [
        create("/opt/x.deployer-new"),
        Event(kind="write", path="/opt/x.deployer-new", text='{"event":"good"}\n'),
        sync("/opt/x.deployer-new"),
        rename("/opt/x.deployer-new", "/opt/x"),
        Event(kind="link", path="/etc/w/shop.service"),
        Event(kind="sync-all", path="/"),
        remove("/opt/x"),
    ]
