"""Guards of whole programs that go to a host, each with its twin; systemd and whoever else is at work are played.

Guards of single functions are in `test_twins.py`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.host.scripts import part
from tests.twins import Guards, without

NOTHING: Guards = {}


def program(root: Path, *names: str, guards: Guards = NOTHING) -> str:
    """Parts of the shell, at work below a directory of the test instead of in a host's own, without these guards."""
    places: Guards = {
        "UNIT_PATH=/etc/systemd/system/": f"UNIT_PATH={root}/etc/",
        "ENV_PATH=/etc/default/": f"ENV_PATH={root}/etc/",
        "TRIAL_PATH=/run/systemd/system.control/": f"TRIAL_PATH={root}/run/",
        "RUN_DIR=/run/deployer/": f"RUN_DIR={root}/run/deployer/",
    }
    return f"APP=shop ROOT={root}\n" + without("".join(part(name) for name in names), {**places, **guards})


def bash(text: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", text, "bash", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# -- a name that nobody can guess ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarded", [True, False])
def test_with_a_name_that_can_be_guessed_somebody_would_have_been_quicker(tmp_path: Path, *, guarded: bool) -> None:
    """And twin: who knows the name has a link there before, and root writes to where that leads."""
    (tmp_path / "releases/1/.deployer").mkdir(parents=True)
    (tmp_path / "releases/1/.deployer/trial.service").write_text("[Service]\n")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "shop.service").write_text("untouched")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (temporary / "shop").symlink_to(victim)
    own = {'directory=$(mktemp -d -p "$RUN_DIR")': f'directory=$(mktemp -d -p "{temporary}")'}
    fixed = {'directory=$(mktemp -d -p "$RUN_DIR")': f'directory="{temporary}/shop"; mkdir -p -- "$directory"'}
    text = "systemd-analyze() { :; }\n" + program(tmp_path, "lib", "verify", guards=own if guarded else fixed)
    done = bash(text, "1")
    assert (done.returncode, done.stdout) == (0, "verified\n"), done.stderr
    assert (victim / "shop.service").read_text() == ("untouched" if guarded else "[Service]\n")


# -- one upload of a tarball at a time ----------------------------------------------------------------------------------

TARBALL = hashlib.shake_256(b"a tarball").digest(200_000)
RECEIVE = f"""
DIGEST={hashlib.sha256(TARBALL).hexdigest()} SIZE={len(TARBALL)} ID=1 UNPACKED=0 MEMBERS=0
mkdir -p "$INCOMING"
receive
echo received
"""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One that is under way."""

    process: subprocess.Popen[bytes]

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().decode().rstrip("\n")

    def send(self, content: bytes) -> None:
        assert self.process.stdin
        while content:
            content = content[self.process.stdin.write(content) or 0 :]

    def ended(self) -> tuple[int, list[str]]:
        """Its status and what it said last, once its client has ended, too."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        said = self.process.stdout.read().decode().splitlines()
        return self.process.wait(60), said


def wait_for(what: Callable[[], object], *, timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.02)


@pytest.mark.parametrize("locked", [True, False])
def test_without_the_lock_two_uploads_of_a_tarball_would_spoil_each_other(tmp_path: Path, *, locked: bool) -> None:
    """And twin: with it, the second waits for the first, and finds everything there."""
    guards = {'stage "$@"\n': "", **({} if locked else {"if ! flock -n 8; then": "if false; then"})}
    text = "DOT=x VERSION=1 WHO=me STALL_S=30\n" + program(tmp_path, "lib", "stage", guards=guards) + RECEIVE
    half = len(TARBALL) // 2
    with ExitStack() as stack:

        def upload(*says: str) -> Upload:
            started = stack.enter_context(
                subprocess.Popen(["bash", "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            )
            made = Upload(process=started)
            assert [made.line() for _ in says] == [*says]
            return made

        def until(size: int) -> None:
            wait_for(lambda: next((tmp_path / "incoming").glob("*.part")).stat().st_size == size)

        first = upload("phase upload", "offset 0")
        first.send(TARBALL[:half])
        until(half)
        if locked:
            second = upload("phase wait")
            first.send(TARBALL[half:])
            assert first.ended() == (0, ["received"])
            assert second.ended() == (0, ["phase upload", f"offset {len(TARBALL)}", "received"])
        else:
            second = upload("phase upload", f"offset {half}")
            first.send(TARBALL[half:])
            second.send(TARBALL[half:])
            until(half * 3)
            for status, (line,) in (first.ended(), second.ended()):
                assert (status, json.loads(line.removeprefix("error "))["code"]) == (64, "cut")


# -- a host that goes down ----------------------------------------------------------------------------------------------

# systemd, as it shuts the host down: it tells of a service that runs, and restarts nothing any more.
GOING_DOWN = """
systemctl() {
    case $1 in
        is-system-running) echo stopping; return 1 ;;
        show) printf 'ActiveState=active\\nSubState=running\\nInvocationID=new\\nMainPID=10\\nNRestarts=0\\n' ;;
        daemon-reload | reset-failed) ;;
        *) echo "Shutdown is in progress." >&2; return 1 ;;
    esac
}
journalctl() { :; }
sleep() { :; }
"""
DOWN_GUARD: Guards = {
    "is_going_down() { [[ $(systemctl is-system-running 2>/dev/null) == stopping ]]; }": "is_going_down() { false; }"
}
PARTS = ("lib", "health", "masked", "commit", "prune", "activate")


def host_program(root: Path, text: str, guards: Guards) -> subprocess.CompletedProcess[str]:
    """The program of 2 does this, without these guards, where 1 is the committed release."""
    for name in ("1", "2"):
        release = root / f"releases/{name}/.deployer"
        release.mkdir(parents=True)
        for file in ("settings", "env", "committed.service", "trial.service", "activate"):
            (release / file).touch(mode=0o700)
    (root / "current").symlink_to("releases/1")
    for name in ("etc", "run/deployer/shop"):
        (root / name).mkdir(parents=True)
    whole = program(root, *PARTS, guards={'load_release "$ID"\nmain "$@"\n': "", **guards})
    return bash(f"ID=2\n{whole}\n{text}\n")


def going_down(root: Path, text: str, *, guarded: bool) -> list[dict[str, str]]:
    """The ledger's lines, after the program did this on a host that goes down."""
    done = host_program(root, GOING_DOWN + text, {} if guarded else DOWN_GUARD)
    assert done.returncode == 0, done.stderr
    ledger = root / "ledger.jsonl"
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


MARKER = "to 2\nfrom 1\ntoken t\nwhy deploy\nkeep 5\nwho me\nforeign no\nwas old\ncursor \n"
# The trial did not hold: what it needs was stopped before it, say.
FAILED = """
try_out() { cp -- "$ROOT/marker" "$MARKER"; CAUSE="it exited with status 1"; return 1; }
run t 1 deploy 5 no me
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_on_a_host_that_goes_down_a_trial_that_is_cut_off_would_be_held_against_its_release(
    tmp_path: Path, *, guarded: bool
) -> None:
    """And twin: with the guard, the next boot brings up what is committed, and nothing is said of the release."""
    (tmp_path / "marker").write_text(MARKER)
    said = going_down(tmp_path, 'mkdir -p "$RUN_DIR"; cp -- "$ROOT/marker" "$MARKER"; recover', guarded=guarded)
    assert [(line["event"], line["end"]) for line in said] == ([] if guarded else [("bad", "needs-person")])
    assert not (tmp_path / "run/deployer/shop/trial").exists()


@pytest.mark.parametrize("guarded", [True, False])
def test_on_a_host_that_goes_down_a_trial_that_ends_would_be_held_against_its_release(
    tmp_path: Path, *, guarded: bool
) -> None:
    """And twin."""
    (tmp_path / "marker").write_text(MARKER)
    (_, *said) = going_down(tmp_path, FAILED, guarded=guarded)
    assert [(line["event"], line["end"]) for line in said] == ([] if guarded else [("bad", "needs-person")])


# -- behind the record --------------------------------------------------------------------------------------------------

# From the record on, there is no room for the content of a file: what is there can be renamed.
FULL_BEHIND_THE_RECORD = """
systemctl() { :; }
install_guard() { :; }
cat() { [[ ! -e $WRITE_AHEAD ]] || { echo "No space left on device" >&2; return 1; }; command cat "$@"; }
TOKEN=t FROM=1 WHYFOR=deploy WHO=me KEEP=5
begin_commit && echo begun
finish_commit && echo finished
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_what_is_not_made_ready_before_the_record_could_not_be_finished_behind_it(
    tmp_path: Path, *, guarded: bool
) -> None:
    """And twin: the environment and the unit are made ready before, so that a full disk is met before, too."""
    unready = {
        'ready 0600 "$release/env" "$ENV_PATH" &&': "true &&",
        'ready 0644 "$release/committed.service" "$UNIT_PATH" &&': "true &&",
    }
    done = host_program(tmp_path, FULL_BEHIND_THE_RECORD, {} if guarded else unready)
    assert done.stdout.split() == (["begun", "finished"] if guarded else ["begun"]), done.stderr
    assert (tmp_path / "committing").exists() != guarded
    assert (tmp_path / "etc/shop.service").exists() == guarded
