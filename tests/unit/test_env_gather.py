from __future__ import annotations

import os
import subprocess
import time
import traceback
from pathlib import Path, PurePosixPath

import pytest

from deployer import local
from deployer.env import collect, for_host, gather
from deployer.errors import EnvError
from deployer.model import App, Config, EnvSource, Host, Secret

MARK = "hunter2"


def config(directory: Path, env: EnvSource) -> Config:
    app = App(name="shop", user="app", description="shop", root=PurePosixPath("/opt/shop"), keep=5)
    return Config(path=directory / "deploy.toml", app=app, env=env)


def host(**env: str) -> Host:
    return Host(name="prod1", address="127.0.0.1", env=tuple(env.items()))


def written(path: Path, content: bytes | str, mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def faults_of(env: EnvSource, directory: Path, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(EnvError) as caught:
        gather(config(directory, env), host(), environ=environ or {})
    shown = "".join(traceback.format_exception(caught.value))
    with_locals = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert MARK not in f"{caught.value!r} {caught.value.details} {caught.value.hint} {shown} {with_locals}"
    assert caught.value.exit_code == 2
    return list(caught.value.details)


def test_later_sources_win_in_the_documented_order(tmp_path: Path) -> None:
    file = written(tmp_path / "a.env", "A=file\nB=file\nC=file\nD=file\nE=file\n")
    command = "printf 'B=command\\nC=command\\nD=command\\nE=command\\n'"
    env = EnvSource(
        file=file,
        command=command,
        set=(("C", "set"), ("D", "set"), ("E", "set")),
        inherit=("D", "E"),
        required=("A", "E"),
    )
    found = gather(
        config(tmp_path, env), host(E="host"), environ={"D": "inherit", "E": "inherit", "X": "not asked for"}
    )
    assert {name: value.reveal() for name, value in found.values.items()} == {
        "A": "file",
        "B": "command",
        "C": "set",
        "D": "inherit",
        "E": "host",
    }
    assert found.origins == {
        "A": f"{file}:1",
        "B": "[env] command, line 1",
        "C": "[env] set",
        "D": "[env] inherit",
        "E": "[hosts.prod1] env",
    }
    assert found.notes == ()
    assert "file" not in repr(found.values)


def test_command_runs_in_the_directory_of_the_config_and_once_for_all_hosts(tmp_path: Path) -> None:
    whole = config(tmp_path, EnvSource(command='echo run >> runs; echo "A=$PWD"'))
    sources = collect(whole, environ={})
    for each in (host(), host(B="1")):
        assert for_host(whole, each, sources).values["A"].reveal() == str(tmp_path)
    assert (tmp_path / "runs").read_text() == "run\n"


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path / "a.env", f"A={MARK}\nA={MARK}\nB-C={MARK}\nEMPTY=\n{MARK}\nBAD=x\ufffe{MARK}\n")
    env = EnvSource(file=file, set=(("S", "x\0"),), required=("EMPTY", "GONE", "A"))
    details = faults_of(env, tmp_path)
    assert details == [
        f"{file}:2: A: given twice, first on line 1",
        f'{file}:3: what stands before "=" has a hyphen in it; a name is of letters, digits and "_", and begins with no digit',
        f'{file}:5: no "=" on this line; a value of several lines needs "…" or \'…\' around it',
        f"{file}:6: BAD: its value has a Unicode noncharacter in it (such as U+FFFE), which systemd refuses",
        "[env] set: S: its value has a NUL in it, which no environment can hold",
        f"EMPTY is required and empty ({file}:4)",
        f"GONE is required and missing; looked for in {file}, [env] set",
    ]


def test_an_empty_value_that_nobody_requires_is_fine(tmp_path: Path) -> None:
    file = written(tmp_path / "a.env", "A=\n")
    assert gather(config(tmp_path, EnvSource(file=file)), host(), environ={}).values["A"].reveal() == ""


def test_a_file_that_is_not_there_is_the_only_fault(tmp_path: Path) -> None:
    file = tmp_path / "gone.env"
    details = faults_of(EnvSource(file=file, required=("A",)), tmp_path)
    assert details == [f"there is no file {file}, which [env] file names"]


def test_the_hint_can_be_typed_whatever_the_file_is_called(tmp_path: Path) -> None:
    with pytest.raises(EnvError) as caught:
        gather(config(tmp_path, EnvSource(file=tmp_path / "my prod.env")), host(), environ={})
    assert caught.value.hint.endswith(f"install -m 600 /dev/null '{tmp_path}/my prod.env' (then fill it in)")


def test_a_missing_file_is_made_of_its_example_where_there_is_one(tmp_path: Path) -> None:
    file, example = tmp_path / "prod.env", tmp_path / "prod.env.example"
    for source in ("/dev/null", str(example)):
        with pytest.raises(EnvError) as caught:
            gather(config(tmp_path, EnvSource(file=file)), host(), environ={})
        assert f"install -m 600 {source} {file}" in caught.value.hint
        example.write_text("A=\n")


def test_a_directory_in_place_of_the_file_is_a_fault(tmp_path: Path) -> None:
    assert faults_of(EnvSource(file=tmp_path), tmp_path) == [f"{tmp_path} cannot be read: Is a directory"]


def test_bytes_that_are_not_utf_8_are_told_by_name(tmp_path: Path) -> None:
    file = written(tmp_path / "a.env", b"A=hunter2\xff\n")
    assert faults_of(EnvSource(file=file), tmp_path) == [f"{file}:1: A: its value is not UTF-8, which systemd refuses"]


def test_a_failing_command_shows_its_stderr_and_never_its_stdout(tmp_path: Path) -> None:
    written(tmp_path / "vault", f"A={MARK}\n")
    env = EnvSource(command="cat vault; echo no key >&2; exit 3", required=("A",))
    assert faults_of(env, tmp_path) == ["[env] command ended with status 3", "  no key"]


def test_a_failing_command_is_not_repeated_for_a_token_may_stand_in_it(tmp_path: Path) -> None:
    with pytest.raises(EnvError) as caught:
        gather(config(tmp_path, EnvSource(command=f"TOKEN={MARK} false")), host(), environ={})
    assert caught.value.hint == f"see it by hand: cd {tmp_path}  # and there what [env] command says"
    assert MARK not in f"{caught.value} {caught.value.details}"


@pytest.mark.parametrize("secret", ["x", "hunter22", "hunter22 and more", "'"])
def test_what_a_failing_command_has_printed_is_masked_in_what_it_said(
    tmp_path: Path, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vault").write_text(f'A="{secret}"\n')
    (tmp_path / "said").write_text(f"+ TOKEN={secret}\n+ echo A={secret}\nno more hunter33\n")
    env = EnvSource(command="cat vault; cat said >&2; exit 1", inherit=("CI_TOKEN",))
    with pytest.raises(EnvError) as caught:
        gather(config(tmp_path, env), host(), environ={"CI_TOKEN": "hunter33"})
    assert caught.value.details == (
        "[env] command ended with status 1",
        "  + TOKEN=***",
        "  + echo A=***",
        "  no more ***",
    )


def test_a_child_in_the_background_does_not_hold_up_a_command(tmp_path: Path) -> None:
    began = time.monotonic()
    env = EnvSource(command="sleep 50 & setsid sleep 50 & echo A=b")
    assert gather(config(tmp_path, env), host(), environ={}).values == {"A": Secret("b")}
    assert time.monotonic() - began < 10


def test_a_command_that_is_killed_is_a_fault(tmp_path: Path) -> None:
    assert faults_of(EnvSource(command="kill -KILL $$"), tmp_path) == ["[env] command was ended by signal 9"]


def test_a_command_that_prints_nothing_is_a_fault(tmp_path: Path) -> None:
    assert faults_of(EnvSource(command="false | cat"), tmp_path) == ["[env] command ended well and printed no variable"]


def test_a_command_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.env.sources.COMMAND_TIMEOUT_S", 0.2)
    written(tmp_path / "vault", f"A={MARK}\n")
    env = EnvSource(command="cat vault; echo waiting >&2; sleep 60")
    assert faults_of(env, tmp_path) == ["[env] command did not end within 0.2 s", "  waiting"]


def test_a_fault_in_what_a_command_prints_is_told_by_line(tmp_path: Path) -> None:
    written(tmp_path / "vault", f"A=1\nA={MARK}\n")
    details = faults_of(EnvSource(command="cat vault"), tmp_path)
    assert details == ["[env] command, line 2: A: given twice, first on line 1"]


def test_inherited_name_that_is_not_set_is_noted(tmp_path: Path) -> None:
    env = EnvSource(set=(("B", "1"),), inherit=("A", "B"))
    (note,) = gather(config(tmp_path, env), host(), environ={}).notes
    assert (note.level, note.text) == (
        "warning",
        "[env] inherit: A is not set in the environment of this command, so the service goes without it",
    )


def test_inherited_bytes_that_are_not_utf_8_are_told_by_name(tmp_path: Path) -> None:
    environ = {"A": os.fsdecode(b"\xff") + MARK}
    with pytest.raises(EnvError) as caught:
        gather(config(tmp_path, EnvSource(inherit=("A",))), host(), environ=environ)
    assert caught.value.details == ("[env] inherit: A: its value is not UTF-8, which systemd refuses",)


def test_required_and_inherited_says_where_it_was_looked_for(tmp_path: Path) -> None:
    env = EnvSource(inherit=("A",), required=("A",))
    assert faults_of(env, tmp_path) == ["A is required and missing; looked for in [env] inherit"]


def test_required_without_any_source_says_so(tmp_path: Path) -> None:
    assert faults_of(EnvSource(required=("A",)), tmp_path) == [
        "A is required and missing; looked for in nothing: [env] names no source"
    ]


def test_too_much_in_all_is_a_fault(tmp_path: Path) -> None:
    env = EnvSource(set=tuple((f"V{number}", "x" * 70_000) for number in range(40)))
    (detail,) = faults_of(env, tmp_path)
    assert "the variables together take" in detail


def test_a_wrong_file_does_not_fill_the_screen(tmp_path: Path) -> None:
    file = written(tmp_path / "a.env", f"{MARK}\n" * 500)
    details = faults_of(EnvSource(file=file), tmp_path)
    assert len(details) == 21
    assert details[-1] == "… and 480 more lines"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    file = written(tmp_path / "a.env", "A=1\n", mode)
    (note,) = gather(config(tmp_path, EnvSource(file=file)), host(), environ={}).notes
    assert note.text == f"{file} can be read by others on this machine (mode {mode:04o})"
    assert note.hint == f"chmod 600 {file}"


def test_a_file_that_git_tracks_is_warned_of(tmp_path: Path) -> None:
    file = written(tmp_path / "a.env", "A=1\n")
    whole = config(tmp_path, EnvSource(file=file))
    subprocess.run(("git", "init", "--quiet", str(tmp_path)), check=True)
    assert gather(whole, host(), environ={}).notes == ()
    done = local.run(("git", "add", "-f", "a.env"), timeout_s=10, cwd=tmp_path)
    assert done.status == 0
    (note,) = gather(whole, host(), environ={}).notes
    assert note.text == f"{file} is tracked by git, with the secrets in it"


def test_without_git_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a.env", "A=1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gather(config(tmp_path, EnvSource(file=file)), host(), environ={}).notes == ()


def test_notes_of_the_file_name_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "a.env", "export A=1\n")
    monkeypatch.chdir(tmp_path)
    (note,) = gather(config(tmp_path, EnvSource(file=tmp_path / "a.env")), host(), environ={}).notes
    assert (note.level, note.text) == ("info", 'a.env:1: "export" before the name is dropped')
