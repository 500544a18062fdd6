"""Trees that no kind takes: what they look like, so that a message can say what to set."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployer.kinds.base import Tree
from deployer.kinds.mix import start_data

_MOST_NAMES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """What a tree looks like ("a relx release"), and what starts such a thing in the foreground."""

    what: str
    exec_start: str


def looks_like(tree: Tree) -> Likeness | None:
    """Return what kind of release a tree seems to be, of those that are not supported by themselves.

    Told apart by their files: distillery 2 by `bin/NAME_rc_exec.sh` and `libexec/commands`, exrm by `bin/nodetool` and
    `releases/VERSION/NAME.sh`, relx by `bin/nodetool` or `bin/NAME-VERSION`, and a Gleam shipment by its entry point.
    """
    version = start_data(tree)[1]
    if not version:
        gleam = "entrypoint.sh" in tree.paths and _any(tree, r"[^/]+/ebin/[^/]+\.app")
        return Likeness(what="a Gleam shipment", exec_start="entrypoint.sh run") if gleam else None
    home = rf"releases/{re.escape(version)}"
    start = f"bin/{_program(tree, home, version)} foreground"
    if _any(tree, r"bin/[^/]+_rc_exec\.sh") or _any(tree, rf"{home}/libexec/commands/.+"):
        return Likeness(what="a distillery release", exec_start=start)
    if "bin/nodetool" in tree.paths and _any(tree, rf"{home}/[^/]+\.sh"):
        return Likeness(what="an exrm release", exec_start=start)
    if (
        "bin/nodetool" in tree.paths
        or _any(tree, rf"bin/.+-{re.escape(version)}")
        or _any(tree, rf"{home}/start\.boot")
    ):
        return Likeness(what="a relx release", exec_start=start)
    return None


def seen(tree: Tree) -> str:
    """Return a sentence's end about what is in a tree: "it holds bin/, lib/ and app.py"."""
    tops = sorted({f"{first}/" if slash else first for first, slash, _ in (path.partition("/") for path in tree.paths)})
    names = [repr(top)[1:-1] for top in tops[:_MOST_NAMES]]
    rest = f" and {len(tops) - _MOST_NAMES} more" if len(tops) > _MOST_NAMES else ""
    without = "" if "releases/start_erl.data" in tree.paths else "; there is no releases/start_erl.data"
    return f"it holds {', '.join(names)}{rest}{without}"


def _any(tree: Tree, pattern: str) -> bool:
    return any(re.fullmatch(pattern, path) for path in tree.paths)


def _program(tree: Tree, home: str, version: str) -> str:
    rels = (re.fullmatch(rf"{home}/([^/]+)\.rel", path) for path in sorted(tree.paths))
    named = [found[1] for found in rels if found and found[1] not in {"start_clean", "no_dot_erlang"}]
    bins = [path[4:] for path in sorted(tree.executables) if re.fullmatch(r"bin/[a-z][A-Za-z0-9_]*", path)]
    versioned = [path for path in bins if f"bin/{path}-{version}" in tree.paths]
    return next(iter([*named, *versioned, *(each for each in bins if each != "nodetool")]), "NAME")
