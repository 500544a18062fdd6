"""Any tree with a command of the config's: kind "exec". And the check that such a command's program is in its tree."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import PurePosixPath
from shlex import quote

from deployer.errors import ArtifactError
from deployer.kinds.base import Launch, Release, Tree
from deployer.sizes import counted

name = "exec"
texts: tuple[str, ...] = ()


def detect(tree: Tree) -> Release:
    """Return a release that says nothing of itself: any tree is one."""
    return Release(
        kind=name, name="", version="", why=(f"{counted(len(tree.paths), 'file')}, started as the config says",)
    )


def launch(release: Release, *, app_name: str) -> Launch:
    """Return the environment's defaults; what starts it is the config's to say."""
    return Launch(exec_start=release.start, environment=(("HOME", f"/var/lib/{app_name}"), ("LANG", "C.UTF-8")))


def commands(release: Release) -> Mapping[str, str]:  # noqa: ARG001 - the shape of every kind
    return {}


def check_program(tree: Tree, exec_start: str, *, top: str = "") -> None:
    """Make sure that a command's relative program is in the tree and executable. An absolute one is the host's.

    Raises:
        ArtifactError: It is not; the hint names the nearest that is, or what to change, where there is such.
    """
    program = program_of(exec_start)
    if not program or program.startswith(("/", "%", "$")):
        return
    path = str(PurePosixPath(program))
    if path in tree.executables:
        return
    if path in tree.paths:
        raise ArtifactError(
            f"{path}, which exec_start names, is not executable in the tarball for everybody, the service among them",
            hint=f"chmod a+rx {quote(path)}, then pack again",
        )
    raise ArtifactError(f"{path}, which exec_start names, is not in the tarball", hint=_near(tree, path, top))


def program_of(exec_start: str) -> str:
    """Return the program of a command as ExecStart= takes it: without its prefixes and quotes. May be empty."""
    text = exec_start.strip().lstrip("@-:+!|").strip()
    if text[:1] in {'"', "'"}:
        return text[1:].partition(text[0])[0]
    return text.split(maxsplit=1)[0] if text else ""


def _near(tree: Tree, path: str, top: str) -> str:
    within = path.removeprefix(f"{top}/")
    if top and within in tree.executables:
        return f'write exec_start = "{within}": the top directory {top}/ is taken off'
    base = PurePosixPath(path).name
    same_name = sorted(each for each in tree.executables if PurePosixPath(each).name == base)
    near = same_name or difflib.get_close_matches(path, sorted(tree.executables), n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    if "/" not in path:
        return f"for a program of the host write its whole path, such as /usr/bin/{path}"
    return ""  # whoever knows the file says how to look into it
