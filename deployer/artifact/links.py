"""Where the symbolic links of a tree lead. Pure: the links and files of a tree in, an answer out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from deployer.artifact.values import RefusedError, glob_matches, shown

_LONGEST_CHAIN: Final = 40
"""As many links as Linux follows for one path (path_resolution(7))."""


class _OutOfTreeError(Exception):
    pass


class _LoopError(Exception):
    pass


def check(targets: Mapping[str, str], *, allowed: Iterable[str]) -> frozenset[str]:
    """Return the links that lead out of the tree, each of them allowed.

    Args:
        targets: Each link's path and its target as written.
        allowed: Globs of the links that may lead out.

    Raises:
        RefusedError: A link leads out and is not allowed to, or in a circle.
    """
    allowed = tuple(allowed)
    outward = set()
    for path in sorted(targets):
        try:
            _resolve(path, targets)
        except _OutOfTreeError as error:
            if not any(glob_matches(path, glob) for glob in allowed):
                raise _leads_out(path, targets) from error
            outward.add(path)
        except _LoopError as error:
            raise RefusedError(
                f"must not be unpacked: the link {shown(path)} to {shown(targets[path])} leads in a circle",
                hint="leave it out of the tarball",
            ) from error
    return frozenset(outward)


def end(path: str, targets: Mapping[str, str]) -> str:
    """Return the path in the tree that a checked link, which stays in it, leads to."""
    return "/".join(_resolve(path, targets))


def _leads_out(path: str, targets: Mapping[str, str]) -> RefusedError:
    target = targets[path]
    how = "is absolute" if target.startswith("/") else "leads out of the release"
    return RefusedError(
        f"must not be unpacked: the link {shown(path)} to {shown(target)} {how}",
        hint=f'leave it out, make it relative, or set [artifact] allow_links = ["{path}"]',
    )


def _resolve(path: str, targets: Mapping[str, str]) -> list[str]:
    """Follow a path as the kernel does, from the tree's root, through every link on the way."""
    todo = path.split("/")[::-1]
    at: list[str] = []
    followed = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            # Above what is not there the kernel would stop; going on by name errs on the safe side.
            if not at:
                raise _OutOfTreeError
            at.pop()
            continue
        at.append(part)
        target = targets.get("/".join(at))
        if target is None:
            continue
        followed += 1
        if followed > _LONGEST_CHAIN:
            raise _LoopError
        if target.startswith("/"):
            raise _OutOfTreeError
        at.pop()
        todo += target.split("/")[::-1]
    return at
