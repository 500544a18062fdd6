"""What is known of a tarball once it was judged: its files, links and release. No input, no output."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from deployer.kinds.base import Release

_UNSAFE = re.compile(r"[^A-Za-z0-9._+~-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileMember:
    """A regular file, or a further name of one (a hard link). `path` is relative to the release's root."""

    path: str
    size_bytes: int
    mode: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkMember:
    """A symbolic link. `outward` where it leaves the tree, as the config allowed it to."""

    path: str
    target: str
    outward: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A tarball that may be unpacked on a host.

    Args:
        path: The file on this machine.
        strip: What `tar --strip-components=` needs: 0 for a flat tarball, 1 for a single top directory `top`, 2 where
            the names begin with `./` besides.
        members: How many files, links and directories it makes (inodes), directories that are only implied among them.
        unpacked_bytes: What the tree takes on a disk with blocks of 4 KiB.
        files, links: Sorted by path; as the tree lies on the host, without the top directory.
        warnings: Sentences about what is allowed and yet likely to be a mistake.
    """

    path: Path
    sha256: str
    size_bytes: int
    file_name: str
    version: str
    release: Release
    strip: int
    top: str
    members: int
    unpacked_bytes: int
    files: tuple[FileMember, ...]
    links: tuple[LinkMember, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`VERSION-DIGEST8`, safe as the name of a directory."""
        version = _UNSAFE.sub("-", self.version).lstrip(".-")[:100] or "0"
        return f"{version}-{self.sha256[:8]}"


class RefusedError(Exception):
    """An archive that must not be unpacked: a sentence that follows the file's name, and a hint.

    Raised by the readers and judges here, which do not know the file's name, and turned into an `ArtifactError` where it is known.
    """

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


def shown(name: str | bytes, *, longest: int = 200) -> str:
    """Return a name as it may stand in a message, in quotes: one line, with no character that moves a cursor."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    safe = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
    return f"'{safe}'" if len(safe) <= longest else f"'{safe[:longest]}…'"


def glob_matches(path: str, pattern: str) -> bool:
    """Tell whether a path matches a glob, part by part: `*` stays within a part, `**` is any number of parts."""
    return _parts_match(path.split("/"), pattern.removeprefix("./").split("/"))


def _parts_match(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_parts_match(parts[at:], patterns[1:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _parts_match(parts[1:], patterns[1:])
