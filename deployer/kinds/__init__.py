"""Kinds of release: one module each, and the order in which they are asked.

A kind knows its tree and its commands. How a unit looks is the unit's room; what a tarball may hold, the artifact's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from deployer.errors import ArtifactError
from deployer.kinds import command, foreign, mix
from deployer.kinds.base import Kind, Launch, Release, Tree
from deployer.model import Config

KINDS: Final[tuple[Kind, ...]] = (mix, command)
"""In the order in which `auto` asks them. `command` takes any tree, and stays last."""


def text_globs() -> tuple[str, ...]:
    """Return the globs of all members whose text some kind reads."""
    return tuple(dict.fromkeys(glob for kind in KINDS for glob in kind.texts))


def recognise(
    tree: Tree, *, kind: str = "auto", exec_start: str = "", own_unit: bool = False, top: str = ""
) -> Release:
    """Return what a tree is.

    Args:
        kind: "auto", or the name of the kind that it must be. `auto` takes a tree that no kind knows as "exec" where
            the config gives a command, or a unit file that has one.
        exec_start: The command that the config gives, or nothing.
        own_unit: The config gives a unit file of the user's own.
        top: The top directory that was taken off, for hints.

    Raises:
        ArtifactError: It is of no kind that we know, or not of this one; or `exec_start` names a program that it lacks.
    """
    command.check_program(tree, exec_start, top=top)
    if kind != "auto":
        found = by_name(kind).detect(tree)
        if found is None:
            raise ArtifactError(
                f"this is no {kind} release: {foreign.seen(tree)}", hint='set [service] kind = "auto" to see what it is'
            )
        return found
    for each in KINDS:
        if each.name != command.name and (found := each.detect(tree)):
            return found
    if exec_start or own_unit:
        return command.detect(tree)
    raise _unknown(tree)


def launch_of(release: Release, config: Config) -> Launch:
    """Return how a release is started; a command that the config gives wins over the kind's own."""
    known = by_name(release.kind).launch(release, app_name=config.app.name)
    given = config.service.exec_start
    return replace(known, exec_start=given) if given else known


def commands(release: Release) -> Mapping[str, str]:
    """Return the one-off commands that the kind offers, by task ("console", "ping", "pid", "version")."""
    return by_name(release.kind).commands(release)


def by_name(name: str) -> Kind:
    """Return a kind.

    Raises:
        ArtifactError: There is none of that name.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    names = ", ".join(f'"{kind.name}"' for kind in KINDS)
    raise ArtifactError(f"there is no kind of release named {name!r}", hint=f'use "auto" or one of {names}')


def _unknown(tree: Tree) -> ArtifactError:
    like = foreign.looks_like(tree)
    if like:
        return ArtifactError(
            f"this looks like {like.what}, which is not supported by itself yet",
            hint=f'set [service] kind = "exec" and exec_start = "{like.exec_start}"',
        )
    programs = sorted(tree.executables, key=lambda path: (path.count("/"), path))
    example = programs[0] if programs else "bin/server"
    return ArtifactError(
        f"this is no release of a known kind: {foreign.seen(tree)}",
        hint=f'set [service] exec_start to what starts it, such as exec_start = "{example}"',
    )
