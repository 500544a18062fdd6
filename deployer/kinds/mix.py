"""Elixir releases as `mix release` makes them (Elixir 1.9 and later).

Known by `releases/COOKIE`, or by `env.sh` and `elixir` in `releases/VERSION`, beside `releases/start_erl.data`.
`start` replaces its shell by the VM, so systemd watches the VM itself, and a SIGTERM ends it in order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from deployer.errors import ArtifactError
from deployer.kinds.base import Launch, Release, Tree

START_DATA = "releases/start_erl.data"
_NOT_THE_NAME = frozenset({"start_clean", "no_dot_erlang"})

name = "mix"
texts: tuple[str, ...] = (START_DATA,)


def detect(tree: Tree) -> Release | None:
    """Return the release, None where it is none of mix.

    Raises:
        ArtifactError: It is one, and lacks what it is started with.
    """
    erts, version = start_data(tree)
    home = f"releases/{version}"
    if not version or not (_has(tree, "releases/COOKIE") or _has(tree, f"{home}/env.sh", f"{home}/elixir")):
        return None
    called = _name(tree, home)
    program = f"bin/{called}"
    if program in tree.paths and program not in tree.executables:
        raise ArtifactError(
            f"{program} of this mix release is not executable for everybody, the service among them",
            hint="chmod -R a+rX on the release, then pack again",
        )
    if program not in tree.executables:
        raise ArtifactError(
            f"this mix release has no executable {program}",
            hint="mix release --overwrite, with the :tar step: steps: [:assemble, :tar]",
        )
    brings = any(path.startswith(f"erts-{erts}/") for path in tree.paths)
    server = "bin/server" in tree.executables
    return Release(
        kind=name,
        name=called,
        version=version,
        why=(
            f"{START_DATA} says version {version} on ERTS {erts}",
            "releases/COOKIE is there, as mix release writes it"
            if _has(tree, "releases/COOKIE")
            else f"{home}/env.sh and {home}/elixir are there, as mix release writes them",
            f"{program} starts it"
            + ("; bin/server does so with PHX_SERVER=true, as Phoenix makes it" if server else ""),
            f"erts-{erts}/ is there: it brings its own Erlang runtime"
            if brings
            else f"erts-{erts}/ is not there: the host needs an Erlang with ERTS {erts}",
        ),
        erts=erts if brings else "",
        start="bin/server" if server else f"{program} start",
    )


def launch(release: Release, *, app_name: str) -> Launch:
    """Return how it is started.

    The locale is there because without a UTF-8 one the VM takes file names and output for latin1; the crash dump has a
    place and a limit of ten seconds because the working directory is read-only and a dump delays the restart.
    """
    return Launch(
        exec_start=release.start,
        environment=(
            ("HOME", f"/var/lib/{app_name}"),
            ("LANG", "C.UTF-8"),
            ("RELEASE_TMP", f"/run/{app_name}"),
            ("ERL_CRASH_DUMP", f"/var/log/{app_name}/erl_crash.dump"),
            ("ERL_CRASH_DUMP_SECONDS", "10"),
        ),
        jit=False,
        success_statuses=("143",),
    )


def commands(release: Release) -> Mapping[str, str]:
    """Return the one-off commands. All but "version" speak to the running node, which needs its distribution on."""
    program = f"bin/{release.name}"
    return {
        "console": f"{program} remote",
        "ping": f"""{program} rpc 'IO.puts("pong")'""",
        "pid": f"{program} pid",
        "version": f"{program} version",
    }


def start_data(tree: Tree) -> tuple[str, str]:
    """Return the versions of ERTS and of the release that an Erlang release's start_erl.data gives, or two empty texts."""
    found = re.fullmatch(rb"\s*([0-9A-Za-z._+~-]+) ([0-9A-Za-z._+~-]+)\s*", tree.texts.get(START_DATA, b""))
    return (found[1].decode(), found[2].decode()) if found else ("", "")


def _has(tree: Tree, *paths: str) -> bool:
    return all(path in tree.paths for path in paths)


def _name(tree: Tree, home: str) -> str:
    rels = (re.fullmatch(rf"{re.escape(home)}/([^/]+)\.rel", path) for path in sorted(tree.paths))
    names = [found[1] for found in rels if found and found[1] not in _NOT_THE_NAME]
    if names:
        return names[0]
    programs = sorted(path[4:] for path in tree.executables if re.fullmatch(r"bin/[a-z][A-Za-z0-9_]*", path))
    return next((each for each in programs if each not in {"server", "migrate"}), "NAME")
