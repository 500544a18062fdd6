"""Guards of the host's shell, each with its twin: the same shell without the guard, and what comes of it.

What can be asked of bash alone is asked here; what takes systemd, in `tests/host/test_twins.py`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.host.scripts import part
from tests.twins import Guards, without

NOTHING: Guards = {}


def bash(root: Path, text: str, *, name: str, guards: Guards = NOTHING) -> list[str]:
    """What a text prints behind lib.sh and one part more, with the guards of that part taken away."""
    parts = part("lib") + (part(name) if name != "lib" else "")
    done = subprocess.run(
        ["bash", "-c", f"APP=shop ROOT={root}\n{without(parts, guards)}{text}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# -- has it proved itself? ----------------------------------------------------------------------------------------------

# Time goes by in the sleeps, and a little in each look at the clock. Each look at the unit takes the next state.
PLAYED = """
tell() { :; }
stop_limit_ms() { printf 30000; }
how_it_died() { :; }
how_it_ended() { printf 'exited'; }
CLOCK=1000
now_ms() { NOW_MS=$((CLOCK += 1)); }
sleep() {
    ((CLOCK += 200))
    ((CLOCK < 1000000)) || { echo "waiting still"; exit 0; }
}
state() {
    STATE[Job]=${JOB:-}
    read -r STATE[ActiveState] STATE[SubState] STATE[InvocationID] STATE[MainPID] STATE[NRestarts] <<<"${PLAY[0]}"
    ((${#PLAY[@]} == 1)) || PLAY=("${PLAY[@]:1}")
}
check_once() {
    local now=${CHECKS[0]}
    ((${#CHECKS[@]} == 1)) || CHECKS=("${CHECKS[@]:1}")
    [[ $now == ok ]] || { WHY="not yet" FAILED_AT=$CLOCK; return 1; }
}
SETTLE_MS=1000 TIMEOUT_MS=6000 INTERVAL_MS=200
if watch old; then echo "held"; else printf '%s\\n' "$CAUSE"; fi
[[ -z ${FAILED_AT:-} ]] || echo "$((CLOCK - FAILED_AT >= SETTLE_MS))"
"""

UP = "active running new 10 0"
LAST_LOOK: Guards = {
    'if is_up && [[ ${STATE[InvocationID]} == "$invocation" && ${STATE[MainPID]} == "$pid" ]]; then': "if true; then"
}


@dataclass(frozen=True, kw_only=True)
class Story:
    """States of a unit, and what is said of them; and the guards without which they pass for good."""

    states: tuple[str, ...]
    said: str
    guards: Guards
    checks: tuple[str, ...] = ("ok",)


STORIES = {
    "it dies within the settle time": Story(
        states=(UP, UP, UP, "failed failed new 0 0"),
        said="it exited",
        guards={"if ((NOW_MS - good_since >= SETTLE_MS)); then": "if true; then"},
    ),
    "it is restarted by systemd": Story(
        states=(UP, UP, "active running new 10 1"),
        said="it died and was restarted by systemd",
        guards={
            "if [[ ${STATE[NRestarts]:-0} != 0 ]]; then\n                CAUSE": "if false; then\n                CAUSE"
        },
    ),
    "its main process changes": Story(
        states=(UP, UP, "active running new 11 0"),
        said="its main process changed from 10 to 11",
        guards={'if [[ ${STATE[MainPID]} != "$pid" ]]; then': "if false; then", **LAST_LOOK},
    ),
    "it dies while it is checked for the last time": Story(
        # One look a round; the last one is behind a check that passed.
        states=(*(UP,) * 6, "failed failed new 0 0"),
        said="it exited",
        guards=LAST_LOOK,
    ),
    "what answers is the process of before": Story(
        states=("active running old 9 0",) * 9 + ("failed failed new 0 0",),
        said="it exited",
        guards={'if [[ -z ${STATE[InvocationID]:-} || ${STATE[InvocationID]} == "$old" ]]; then': "if false; then"},
    ),
    "it never gets through its start": Story(
        states=("activating start new 10 0",),
        said="not healthy within 6 s: it is still activating/start",
        guards={"[[ ${STATE[ActiveState]:-} == active ]] || return 1\n    [[": "return 0\n    [["},
    ),
    "it ends by itself": Story(
        states=(UP, "inactive dead new 0 0"),
        said="it ended by itself",
        guards={
            "inactive/*)": "nothing)",
            "[[ ${STATE[ActiveState]:-} == active ]] || return 1\n    [[": "return 0\n    [[",
            'if [[ ${STATE[MainPID]} != "$pid" ]]; then': "if false; then",
            **LAST_LOOK,
        },
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_what_does_not_hold_is_never_taken_for_good(tmp_path: Path, story: Story) -> None:
    assert watched(tmp_path, story)[0].startswith(story.said)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_without_its_guard_it_would_be_taken_for_good(tmp_path: Path, story: Story) -> None:
    """Twin."""
    assert watched(tmp_path, story, story.guards) == ["held"]


def test_a_check_that_fails_starts_the_settle_time_anew(tmp_path: Path) -> None:
    story = Story(states=(UP,), checks=("ok", "ok", "no", "ok"), said="", guards={})
    assert watched(tmp_path, story) == ["held", "1"]
    # Twin.
    forgetful = {
        '                        good_since=""\n                        if [[ $WHY': "                        if [[ $WHY"
    }
    assert watched(tmp_path, story, forgetful) == ["held", "0"]


# The same for waits: of a unit that never comes to anything, and a clock that goes far beyond every limit.
WAITS = {
    "it never gets through its start": Story(
        states=("activating start new 10 0",),
        said="not healthy within 6 s: it is still activating/start",
        guards={"if ((NOW_MS - started > TIMEOUT_MS)); then": "if false; then"},
    ),
    "its check never passes": Story(
        states=(UP,),
        checks=("no",),
        said="not healthy within 6 s: not yet",
        guards={"if ((NOW_MS - started > TIMEOUT_MS)); then": "if false; then"},
    ),
    "the process of before never stops": Story(
        states=("deactivating stop-sigterm old 9 0",),
        said="the process of before did not stop within 30 s",
        guards={"if ((NOW_MS - begun > stop_ms)); then": "if false; then"},
    ),
    "systemd never starts it": Story(
        states=("inactive dead old 0 0",),
        said="systemd did not start it: exited",
        guards={
            "&& ((NOW_MS - begun > 2000)); then": "&& false; then",
            "if ((NOW_MS - begun > stop_ms)); then": "if false; then",
        },
    ),
}
WITH_A_JOB = "the process of before never stops"


@pytest.mark.parametrize("name", WAITS)
def test_every_wait_for_a_release_has_an_end(tmp_path: Path, name: str) -> None:
    assert watched(tmp_path, WAITS[name], job=name == WITH_A_JOB)[0].startswith(WAITS[name].said)


@pytest.mark.parametrize("name", WAITS)
def test_without_its_limit_it_would_be_waited_for_still(tmp_path: Path, name: str) -> None:
    """Twin."""
    assert watched(tmp_path, WAITS[name], WAITS[name].guards, job=name == WITH_A_JOB) == ["waiting still"]


def watched(root: Path, story: Story, guards: Guards = NOTHING, *, job: bool = False) -> list[str]:
    arrays = f"JOB={17 if job else 0}\nPLAY=({' '.join(map(repr, story.states))})\nCHECKS=({' '.join(story.checks)})\n"
    return bash(root, arrays + PLAYED, name="health", guards=guards)


# -- what may be removed? -----------------------------------------------------------------------------------------------

WAYS = 'grep -qxF -- "$id" <<<"$ways" && continue'
PRUNE_GUARDS: dict[str, Guards] = {
    "5-newest": {"((n <= keep)) && continue": ""},
    "4-pinned": {"[[ -e $ROOT/releases/$id/.deployer/pinned ]] && continue": ""},
    "3-in-use": {'grep -qxF -- "$id" <<<"$used" && continue': ""},
    # It is the latest way back as well, as long as the ledger is whole.
    "2-committed": {'[[ $id == "$current" || $id == "$previous"': '[[ $id == "$previous"', WAYS: ""},
    "1-good-before": {'|| $id == "$previous" ||': "||"},
    "0-under-way": {' || $id == "${ID:-}" ]] && continue': " ]] && continue"},
}


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[Path]:
    """Seven releases, each with a reason to stay but one, which has none."""
    names = [*PRUNE_GUARDS, "0-needless"]
    for name in names:
        (tmp_path / f"releases/{name}/.deployer").mkdir(parents=True)
        (tmp_path / f"releases/{name}/.deployer/identity").touch()
    (tmp_path / "releases/somebodys-own").mkdir()
    (tmp_path / "releases/4-pinned/.deployer/pinned").touch()
    (tmp_path / "current").symlink_to("releases/2-committed")
    staged = [f'{{"event":"staged","id":"{name}"}}\n' for name in reversed(names)]
    good = [f'{{"event":"good","id":"{name}","why":"deploy"}}\n' for name in ("1-good-before", "2-committed")]
    newest = ['{"event":"bad","id":"5-newest"}\n']
    (tmp_path / "ledger.jsonl").write_text("".join((*staged, *good, *newest)))
    with ExitStack() as stack:
        user = stack.enter_context(subprocess.Popen(["sleep", "100"], cwd=tmp_path / "releases/3-in-use"))
        stack.callback(user.kill)
        yield tmp_path


def test_what_has_a_reason_to_stay_is_never_removed(releases: Path) -> None:
    assert bash(releases, "ID=0-under-way; prunable 1", name="prune") == ["0-needless"]


@pytest.mark.parametrize("name", PRUNE_GUARDS)
def test_without_its_rule_a_release_would_be_removed(releases: Path, name: str) -> None:
    """Twin."""
    gone = bash(releases, "ID=0-under-way; prunable 1", name="prune", guards=PRUNE_GUARDS[name])
    assert sorted(gone) == sorted(["0-needless", name])


def test_bad_releases_take_no_place_from_good_ones(tmp_path: Path) -> None:
    outcomes = {"0": "bad", "1": "good", "2": "good", "3": "good", "4": "good", "5": "bad", "6": "bad", "7": "bad"}
    for name in outcomes:
        (tmp_path / f"releases/{name}/.deployer").mkdir(parents=True)
        (tmp_path / f"releases/{name}/.deployer/identity").touch()
    (tmp_path / "current").symlink_to("releases/4")
    lines = [f'{{"event":"{event}","id":"{name}","why":"deploy"}}\n' for name, event in outcomes.items()]
    (tmp_path / "ledger.jsonl").write_text("".join(lines))
    assert bash(tmp_path, "prunable 3", name="prune") == ["1", "0"]
    # Twin: three that failed in a row leave one way back.
    assert bash(tmp_path, "prunable 3", name="prune", guards={WAYS: ""}) == ["2", "1", "0"]


def test_what_is_not_ours_is_never_removed(releases: Path) -> None:
    assert "somebodys-own" not in bash(releases, "prunable 0", name="prune")
    # Twin.
    unmarked = {"[[ -f $directory/.deployer/identity && ! -L $directory ]] &&": ""}
    assert "somebodys-own" in bash(releases, "prunable 0", name="prune", guards=unmarked)


# -- records ------------------------------------------------------------------------------------------------------------

TORN = '{"event":"good","token":"t1","id":"1"}\n{"event":"good","token":"t2","i'


def test_a_torn_line_of_the_ledger_takes_nothing_else_along(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text(TORN)
    text = 'ledger event good token t3; ledger_has t3 && echo kept; ledger_has t2 || echo "torn is none"'
    assert bash(tmp_path, text, name="lib") == ["kept", "torn is none"]


def test_without_its_repair_the_next_line_would_be_lost_with_it(tmp_path: Path) -> None:
    """Twin."""
    (tmp_path / "ledger.jsonl").write_text(TORN)
    unrepaired = {'if [[ -s $LEDGER && $(tail -c 1 -- "$LEDGER" | od -An -tx1) != " 0a" ]]; then': "if false; then"}
    text = "ledger event good token t3; tail -n 1 $LEDGER"
    (last,) = bash(tmp_path, text, name="lib", guards=unrepaired)
    assert last.startswith('{"event":"good","token":"t2","i{"at":')


def test_without_the_look_at_its_end_a_torn_line_would_be_believed(tmp_path: Path) -> None:
    """Twin."""
    (tmp_path / "ledger.jsonl").write_text(TORN)
    credulous = {"| grep -a '^{.*}$' || true": ""}
    assert bash(tmp_path, "ledger_has t2 && echo believed", name="lib", guards=credulous) == ["believed"]


# A file may have 8 KiB at the most: what a full disk does, in the middle of a file.
SHORT_OF_ROOM = (
    "trap '' XFSZ; head -c 16384 /dev/zero | tr '\\0' n >$ROOT/new; printf old >$ROOT/file\n"
    "(ulimit -f 8; put 0600 $ROOT/new $ROOT/file 2>/dev/null) || true\n"
    "head -c 3 $ROOT/file; echo; ls $ROOT\n"
)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    assert bash(tmp_path, SHORT_OF_ROOM, name="lib") == ["old", "file", "new"]


def test_written_in_place_it_would_be_half_a_file(tmp_path: Path) -> None:
    """Twin."""
    in_place = {'put() { ready "$1" "$2" "$3" && rename "$3"; }': 'put() { cat -- "$2" >"$3"; }'}
    assert bash(tmp_path, SHORT_OF_ROOM, name="lib", guards=in_place) == ["nnn", "file", "new"]


STAGING = 'mkdir -p "$ROOT/releases/.staging-x"; exec 9<"$ROOT/releases/.staging-x"; flock -n 9; sweep_stagings; ls -A "$ROOT/releases"'


def test_a_staging_that_lives_is_not_swept_away(tmp_path: Path) -> None:
    assert bash(tmp_path, STAGING, name="lib") == [".staging-x"]
    assert bash(tmp_path, STAGING.replace("flock -n 9", "exec 9<&-"), name="lib") == [], "a dead one is"
    # Twin.
    assert bash(tmp_path, STAGING, name="lib", guards={'if flock -n "$fd"; then': "if true; then"}) == []


# -- whose directories --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guard", ["owner", "mode"])
def test_a_directory_that_others_could_change_is_refused(tmp_path: Path, guard: str) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    if guard == "mode":
        directory.chmod(0o777)
    elif os.geteuid() == 0:
        os.chown(directory, 65534, -1)
    owner, mode = "if [[ $owner != 0 ]]; then", "if (((8#$mode & 8#1000) == 0 && (8#$mode & 8#002"
    said = {"owner": " belongs to ", "mode": " may be written to by others than root (mode 777)"}
    # Whose the tests are is another's concern: where that is not root, every directory is somebody else's.
    others: Guards = {owner: "if false; then"} if guard == "mode" else {}
    assert said[guard] in "".join(bash(directory, "not_ours_alone", name="lib", guards=others))
    # Twin.
    off: Guards = {
        **others,
        **({owner: "if false; then"} if guard == "owner" else {mode: "if ((0 && (8#$mode & 8#002"}),
    }
    assert said[guard] not in "".join(bash(directory, "not_ours_alone", name="lib", guards=off))
