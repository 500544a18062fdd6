"""What a kind of release has to tell: how it is recognised, started, and spoken to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A release as it will lie on the host: names of its members, and the texts of the few that kinds read.

    Paths (of files and links, not of directories) are relative to the release's root, without `./` and without a single
    top directory. `executables` are those files whose mode lets everybody execute them (they are unpacked as root's,
    and the service is not root), and the links to such files or out of the tree.
    """

    paths: frozenset[str]
    executables: frozenset[str] = frozenset()
    texts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What a tarball was recognised as.

    Args:
        name: What the release calls itself; may be empty.
        version: What the release says; empty where it says nothing.
        why: The observations, each a sentence for `inspect`.
        erts: The version of the Erlang runtime that it brings along; empty where it brings none.
        start: The foreground command that the tree itself offers; empty where it offers none.
    """

    kind: str
    name: str
    version: str
    why: tuple[str, ...] = ()
    erts: str = ""
    start: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What the unit of a release needs to know of its kind.

    Args:
        exec_start: The foreground command; its program is relative to the release's root, or absolute. Empty where only
            the config can know it.
        environment: Defaults for this kind; the environment file wins over them.
        jit: The program writes its own machine code in a way that MemoryDenyWriteExecute= stops (BEAM does not).
        success_statuses: Exit statuses besides 0 that a clean stop ends with, as in SuccessExitStatus=.
    """

    exec_start: str
    environment: tuple[tuple[str, str], ...] = ()
    jit: bool = True
    success_statuses: tuple[str, ...] = ()


class Kind(Protocol):
    """One kind of release: what a module of this package defines. See docs/extending.md for how to add one."""

    name: str
    texts: tuple[str, ...]
    """Globs of the members whose text `detect` reads (at most 64 KiB of each is kept)."""

    def detect(self, tree: Tree) -> Release | None:
        """Return what the tree is, or None where it is not of this kind."""

    def launch(self, release: Release, *, app_name: str) -> Launch:
        """Return how it is started."""

    def commands(self, release: Release) -> Mapping[str, str]:
        """Return one-off commands by task: "console", "ping", "version"; each relative to the release's root."""
