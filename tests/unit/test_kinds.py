from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest

from deployer import kinds
from deployer.errors import ArtifactError
from deployer.kinds.base import Launch, Release, Tree
from deployer.kinds.command import program_of
from deployer.model import App, Config, Service

MIX = (
    "bin/shop",
    "erts-13.1.5/bin/beam.smp",
    "lib/shop-1.4.2/ebin/shop.app",
    "releases/COOKIE",
    "releases/start_erl.data",
    "releases/1.4.2/env.sh",
    "releases/1.4.2/elixir",
    "releases/1.4.2/shop.rel",
    "releases/1.4.2/start.boot",
)


def tree(paths: Iterable[str], *, data: bytes = b"13.1.5 1.4.2", executables: Iterable[str] | None = None) -> Tree:
    paths = frozenset(paths)
    runs = (
        frozenset(path for path in paths if path.startswith("bin/")) if executables is None else frozenset(executables)
    )
    texts = {"releases/start_erl.data": data} if "releases/start_erl.data" in paths else {}
    return Tree(paths=paths, executables=runs, texts=texts)


def config(**service: str) -> Config:
    app = App(name="my_shop", user="shop", description="", root=PurePosixPath("/opt/my_shop"), keep=5)
    return Config(path=Path("deploy.toml"), app=app, service=Service(**service))  # type: ignore[arg-type] # texts alone


def refusal(of: Tree, *, kind: str = "auto", exec_start: str = "", top: str = "") -> tuple[str, str]:
    with pytest.raises(ArtifactError) as caught:
        kinds.recognise(of, kind=kind, exec_start=exec_start, top=top)
    return caught.value.message, caught.value.hint


def test_a_mix_release_is_known_by_its_files() -> None:
    assert kinds.recognise(tree(MIX)) == Release(
        kind="mix",
        name="shop",
        version="1.4.2",
        why=(
            "releases/start_erl.data says version 1.4.2 on ERTS 13.1.5",
            "releases/COOKIE is there, as mix release writes it",
            "bin/shop starts it",
            "erts-13.1.5/ is there: it brings its own Erlang runtime",
        ),
        erts="13.1.5",
        start="bin/shop start",
    )


def test_a_mix_release_without_its_cookie_or_runtime_is_still_one() -> None:
    found = kinds.recognise(tree(path for path in MIX if "COOKIE" not in path and "erts" not in path), kind="mix")
    assert (found.kind, found.erts) == ("mix", "")
    assert found.why[1] == "releases/1.4.2/env.sh and releases/1.4.2/elixir are there, as mix release writes them"
    assert found.why[3] == "erts-13.1.5/ is not there: the host needs an Erlang with ERTS 13.1.5"


def test_phoenix_own_server_script_starts_it() -> None:
    found = kinds.recognise(tree([*MIX, "bin/server", "bin/migrate"]))
    assert (found.name, found.start) == ("shop", "bin/server")


def test_the_name_is_of_the_rel_file_else_of_the_program() -> None:
    without = [path for path in MIX if not path.endswith(".rel")]
    assert kinds.recognise(tree([*without, "bin/server", "bin/migrate"])).name == "shop"


def test_a_mix_release_without_its_program_is_refused() -> None:
    message, hint = refusal(tree(MIX, executables=()))
    assert message == "bin/shop of this mix release is not executable for everybody, the service among them"
    assert hint == "chmod -R a+rX on the release, then pack again"
    message, hint = refusal(tree(path for path in MIX if path != "bin/shop"))
    assert message == "this mix release has no executable bin/shop"
    assert ":tar" in hint


@pytest.mark.parametrize("data", [b"", b"13.1.5", b"13.1.5 ../../etc", b"a b c", b"13 \xff"])
def test_start_data_that_cannot_be_read_makes_no_mix_release(data: bytes) -> None:
    message, _ = refusal(tree(MIX, data=data), kind="mix")
    assert message.startswith("this is no mix release: it holds bin/, erts-13.1.5/, lib/, releases/")


def test_how_a_mix_release_is_started() -> None:
    assert kinds.launch_of(kinds.recognise(tree(MIX)), config()) == Launch(
        exec_start="bin/shop start",
        environment=(
            ("HOME", "/var/lib/my_shop"),
            ("LANG", "C.UTF-8"),
            ("RELEASE_TMP", "/run/my_shop"),
            ("ERL_CRASH_DUMP", "/var/log/my_shop/erl_crash.dump"),
            ("ERL_CRASH_DUMP_SECONDS", "10"),
        ),
        jit=False,
        success_statuses=("143",),
    )


def test_the_configs_command_wins_over_the_kinds() -> None:
    release = kinds.recognise(tree(MIX), exec_start="bin/shop start_iex")
    launch = kinds.launch_of(release, config(exec_start="bin/shop start_iex"))
    assert (launch.exec_start, launch.jit) == ("bin/shop start_iex", False)


def test_commands_of_a_mix_release() -> None:
    assert kinds.commands(Release(kind="mix", name="shop", version="")) == {
        "console": "bin/shop remote",
        "ping": "bin/shop rpc 'IO.puts(\"pong\")'",
        "pid": "bin/shop pid",
        "version": "bin/shop version",
    }


def test_any_tree_with_a_command_is_exec() -> None:
    found = kinds.recognise(tree(["bin/server", "VERSION"]), exec_start="bin/server --port ${PORT}")
    assert found == Release(kind="exec", name="", version="", why=("2 files, started as the config says",))
    launch = kinds.launch_of(found, config(exec_start="bin/server"))
    assert launch == Launch(exec_start="bin/server", environment=(("HOME", "/var/lib/my_shop"), ("LANG", "C.UTF-8")))
    assert kinds.commands(found) == {}


def test_exec_is_taken_for_a_mix_release_where_the_config_says_so() -> None:
    assert kinds.recognise(tree(MIX), kind="exec", exec_start="bin/shop daemon").kind == "exec"
    # With a unit of the user's own there is no exec_start.
    assert kinds.recognise(tree(["a"]), kind="exec").kind == "exec"


def test_an_unknown_tree_is_told_what_was_seen_and_what_to_set() -> None:
    paths = ["run.sh", "app.py", *(f"d{n}/x" for n in range(9))]
    message, hint = refusal(tree(paths, executables=["run.sh"]))
    assert message == (
        "this is no release of a known kind: it holds app.py, d0/, d1/, d2/, d3/, d4/, d5/, d6/ and 3 more; "
        "there is no releases/start_erl.data"
    )
    assert hint == 'set [service] exec_start to what starts it, such as exec_start = "run.sh"'


@pytest.mark.parametrize(
    ("paths", "what", "start"),
    [
        (
            ["bin/shop_rc_exec.sh", "releases/1.4.2/libexec/commands/ping.sh"],
            "a distillery release",
            "bin/shop foreground",
        ),
        (["bin/nodetool", "releases/1.4.2/shop.sh"], "an exrm release", "bin/shop foreground"),
        (["bin/nodetool", "bin/shop-1.4.2", "releases/1.4.2/start.boot"], "a relx release", "bin/shop foreground"),
        (["bin/shop-1.4.2"], "a relx release", "bin/shop foreground"),
    ],
)
def test_other_erlang_releases_are_named(paths: list[str], what: str, start: str) -> None:
    message, hint = refusal(tree(["bin/shop", "releases/start_erl.data", "releases/1.4.2/shop.rel", *paths]))
    assert message == f"this looks like {what}, which is not supported by itself yet"
    assert hint == f'set [service] kind = "exec" and exec_start = "{start}"'


def test_a_gleam_shipment_is_named() -> None:
    message, hint = refusal(tree(["entrypoint.sh", "shop/ebin/shop.app"], executables=["entrypoint.sh"]))
    assert "a Gleam shipment" in message
    assert 'exec_start = "entrypoint.sh run"' in hint


@pytest.mark.parametrize(
    ("exec_start", "message", "hint"),
    [
        ("bin/sever", "bin/sever, which exec_start names, is not in the tarball", 'did you mean "bin/server"?'),
        ("server -v", "server, which exec_start names, is not in the tarball", 'did you mean "bin/server"?'),
        (
            "app/bin/server",
            "app/bin/server, which exec_start names, is not in the tarball",
            'write exec_start = "bin/server": the top directory app/ is taken off',
        ),
        (
            "VERSION",
            "VERSION, which exec_start names, is not executable in the tarball for everybody, the service among them",
            "chmod a+rx VERSION, then pack again",
        ),
        (
            "python3 app.py",
            "python3, which exec_start names, is not in the tarball",
            "for a program of the host write its whole path, such as /usr/bin/python3",
        ),
        ("-bin/nothing", "bin/nothing, which exec_start names, is not in the tarball", ""),
    ],
)
def test_a_command_whose_program_is_missing_is_refused(exec_start: str, message: str, hint: str) -> None:
    assert refusal(tree(["bin/server", "VERSION"]), exec_start=exec_start, top="app") == (message, hint)


@pytest.mark.parametrize(
    "paths", [["app.py"], ["bin/shop-1.4.2", "releases/start_erl.data"], ["bin/nodetool", "releases/start_erl.data"]]
)
def test_with_a_unit_file_of_the_users_own_any_tree_is_taken(paths: list[str]) -> None:
    assert kinds.recognise(tree(paths), own_unit=True).kind == "exec"
    assert kinds.recognise(tree(MIX), own_unit=True).kind == "mix"


def test_an_absolute_program_is_the_hosts() -> None:
    assert kinds.recognise(tree(["app.py"]), exec_start="/usr/bin/python3 app.py").kind == "exec"


@pytest.mark.parametrize(
    ("exec_start", "program"),
    [
        ("bin/server", "bin/server"),
        ("bin/server -x", "bin/server"),
        ("-bin/server -x", "bin/server"),
        ("@-:bin/server name", "bin/server"),
        ('"bin/a b" c', "bin/a b"),
        ("./bin/server", "./bin/server"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_the_program_of_a_command(exec_start: str, program: str) -> None:
    assert program_of(exec_start) == program


def test_a_kind_that_does_not_exist_is_refused() -> None:
    message, hint = refusal(tree(MIX), kind="relx")
    assert message == "there is no kind of release named 'relx'"
    assert hint == 'use "auto" or one of "mix", "exec"'
