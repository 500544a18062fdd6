"""The command that takes scripts on a host, run by the bash of this machine."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from deployer import local
from deployer.model import Secret
from deployer.transport.scripts import Elevation, framed_script, reader_command, sized

MARK = "0123456789abcdef"
COMMAND = reader_command(MARK, name="try", elevation=Elevation())


def take(data: bytes) -> local.Completed:
    # sshd hands the command to the login shell in just this way.
    return local.run(("/bin/sh", "-c", COMMAND), timeout_s=20, stdin=data)


def test_a_script_runs_with_what_follows_as_its_input() -> None:
    done = take(framed_script('read -r first; echo "<$first>"; cat; exit 7', MARK) + b"one\ntwo\x00\xff")
    assert (done.status, done.stdout) == (7, f"{MARK}\n<one>\n".encode() + b"two\x00\xff")


def test_a_script_that_arrives_in_part_never_runs(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    whole = framed_script(f"touch '{proof}'\n# é", MARK)
    for size in (*range(0, len(whole), 7), len(whole) - 1):
        done = take(whole[:size])
        assert done.status != 0, size
        assert not proof.exists(), size
    assert take(whole).status == 0
    assert proof.exists()
    # Twin: a shell that reads its script as it comes runs the part that came.
    proof.unlink()
    local.run(("/bin/bash", "-s"), timeout_s=20, stdin=f"touch '{proof}'\nech".encode())
    assert proof.exists()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_large_script_of_many_bytes_a_letter_arrives_whole(locale: str) -> None:
    script = "# é→𝄞\n" * 30_000 + "echo ${#x}; wc -c"
    framed = framed_script("x=é; " + script, MARK)
    line = f"LC_ALL={locale} {COMMAND}"
    done = local.run(("/bin/sh", "-c", line), timeout_s=20, stdin=framed + b"z" * 100_000)
    # The script itself runs in the locale that it found.
    letters = "1" if locale == "C.UTF-8" else "2"
    assert done.stdout.decode().split() == [MARK, letters, "100000"]


def test_what_comes_before_the_mark_is_not_executed(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    done = take(f"touch {proof}\n".encode() + framed_script("echo ok", MARK))
    assert done.stdout == f"{MARK}\nok\n".encode()
    assert not proof.exists()


def test_input_that_a_broken_script_leaves_is_not_executed(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    for broken in ("if", "echo ${a b}", "set -u; echo $nothing", "return", "exit 3", "kill -9 $BASHPID", "exec false"):
        take(framed_script(broken, MARK) + f"touch {proof}\n".encode())
        assert not proof.exists(), broken
    # The twin: executed it would leave its proof.
    take(framed_script(". /dev/stdin", MARK) + f"touch {proof}\n".encode())
    assert proof.exists()


def test_errors_name_the_step_and_the_line() -> None:
    done = take(framed_script("set -euo pipefail\n\necho $undefined", MARK))
    assert b"deployer-try: line 3: undefined: unbound variable" in done.stderr


def test_a_script_sees_no_variable_of_ours() -> None:
    assert (
        take(framed_script('set -u; echo "${l-none} ${n-none} $#"', MARK)).stdout == f"{MARK}\nnone none 0\n".encode()
    )


def test_the_command_passes_through_any_login_shell() -> None:
    inner = COMMAND.split("'")
    assert len(inner) == 3
    assert not set("!\\\n\r") & set(COMMAND)


def test_the_command_shows_no_password() -> None:
    elevation = Elevation(words="sudo -S --", password=Secret("hunter2"))
    command = reader_command(MARK, name="try", elevation=elevation)
    assert command.startswith("sudo -S -- /bin/bash -c ")
    assert "hunter2" not in command


def test_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        sized("a\0b")


def follow(script: str, *, until: Path) -> local.Completed:
    """Run a follower whose client goes away when there is a file at `until`."""
    text = resources.files("deployer.transport").joinpath("follow.sh").read_text("utf-8")
    client = f"{{ cat; while [ ! -e '{until}' ]; do sleep 0.02; done; }} | {COMMAND}"
    return local.run(("/bin/sh", "-c", client), timeout_s=20, stdin=framed_script(text, MARK) + sized(script))


def test_a_follower_ends_with_its_client(tmp_path: Path) -> None:
    up, ended = tmp_path / "up", tmp_path / "ended"
    done = follow(f"trap 'touch {ended}; exit 5' TERM; touch {up}; while :; do sleep 0.05; done", until=up)
    assert (done.status, done.timed_out) == (5, False)
    assert ended.exists()


def test_a_follower_that_ends_by_itself_gives_its_status_and_leaves_nobody(tmp_path: Path) -> None:
    child, over = tmp_path / "child", tmp_path / "over"
    done = follow(f"sleep 60 & echo $! >{child}; trap 'touch {over}' EXIT; exit 4", until=over)
    assert done.status == 4
    # A process that has ended and that nobody has asked about yet is a zombie, with no command line.
    assert not b"".join(each.read_bytes() for each in Path("/proc", child.read_text().strip()).glob("cmdline"))


def test_a_follower_is_not_run_in_part(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    text = resources.files("deployer.transport").joinpath("follow.sh").read_text("utf-8")
    cut = sized(f"touch {proof}")[:-1]
    done = local.run(("/bin/sh", "-c", COMMAND), timeout_s=20, stdin=framed_script(text, MARK) + cut)
    assert done.status == 97
    assert not proof.exists()
