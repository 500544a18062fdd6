"""Judges an archive member by member: what would be unpacked outside the tree, or as another thing than a file, is refused.

One pass over the stream. What is accepted unpacks to exactly the tree that is returned, whoever unpacks it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from deployer.artifact import links
from deployer.artifact.tar import Header, TarReader
from deployer.artifact.values import FileMember, LinkMember, RefusedError, glob_matches, shown
from deployer.model import MAX_MEMBERS

LONGEST_NAME_BYTES: Final = 2048
LONGEST_TEXT_BYTES: Final = 64 * 1024
MOST_TEXTS: Final = 256
OURS: Final = ".deployer"

_DISK_BLOCK: Final = 4096
_FLAT: Final = ("bin", "lib", "releases")
_FROM_INSIDE: Final = "make the tarball from inside the release: tar -czf NAME-VERSION.tar.gz -C DIRECTORY ."
# Joiners are parts of emoji and of some languages' words; other format characters reorder or hide text.
_JOINERS: Final = "\u200c\u200d"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The tree of an archive, as it lies on a host: see `values.Artifact` for the fields of the same names."""

    strip: int
    top: str
    files: tuple[FileMember, ...]
    links: tuple[LinkMember, ...]
    executables: frozenset[str]
    texts: dict[str, bytes]
    members: int
    unpacked_bytes: int
    warnings: tuple[str, ...]


def judge(
    reader: TarReader, *, allow_links: Iterable[str] = (), texts: Iterable[str] = (), most_members: int = MAX_MEMBERS
) -> Judged:
    """Read an archive to its end and return its tree.

    Args:
        allow_links: Globs of the symbolic links that may point out of the tree.
        texts: Globs of the files of which the first 64 KiB are kept.

    Raises:
        RefusedError: It must not be unpacked, or cannot be read; the sentence names the member.
    """
    judge_ = _Judge(tuple(texts))
    for count, header in enumerate(reader, start=1):
        if count > most_members:
            raise RefusedError(
                f"has more than {most_members} members",
                hint="leave out what the service does not need, or raise [artifact] max_members",
            )
        judge_.add(header, reader)
    return judge_.result(tuple(allow_links))


class _Judge:
    """The tree so far. Paths are normalised, with a single top directory still before them."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._globs = texts
        self._files: dict[str, FileMember] = {}
        self._links: dict[str, str] = {}
        self._directories: set[str] = set()
        self._modes: dict[str, int] = {}
        self._texts: dict[str, bytes] = {}
        self._beginnings: dict[bool, str] = {}

    def add(self, header: Header, reader: TarReader) -> None:
        path = self._path(header.name, directory=header.type == "directory")
        if header.mode & 0o6000:
            raise _refused(path, f"has a set-user-id or set-group-id bit (mode {header.mode:04o})", "chmod ug-s it")
        if not path:
            if header.type != "directory":
                raise RefusedError("must not be unpacked: its root is not a directory", hint=_FROM_INSIDE)
            return
        self._place(path)
        if header.type == "directory":
            self._conflict(path, "a directory", self._files, self._links)
            self._directories.add(path)
            self._modes[path] = header.mode
        elif header.type == "symlink":
            self._add_link(path, header.target)
        elif header.type == "hardlink":
            self._add_hard_link(path, header.target)
        else:
            self._add_file(path, header, reader)

    def result(self, allow_links: tuple[str, ...]) -> Judged:
        if not self._files:
            raise RefusedError("holds no file", hint=_FROM_INSIDE)
        top = self._top()
        if top and len(self._beginnings) > 1:
            first, second = self._beginnings.values()
            raise RefusedError(
                f"names some members with ./ at the beginning and some without ({shown(first)}, {shown(second)}), so "
                f"that its top directory {shown(top)} cannot be taken off",
                hint=_FROM_INSIDE,
            )
        cut = len(top) + 1 if top else 0
        directories = {each[cut:] for each in self._directories} - {""}
        files = {path[cut:]: file for path, file in self._files.items()}
        targets = {path[cut:]: target for path, target in self._links.items()}
        _refuse_ours([*files, *targets, *directories])
        outward = links.check(targets, allowed=allow_links)
        executables = {path for path, file in files.items() if file.mode & 0o001}
        executables |= {path for path in targets if path in outward or links.end(path, targets) in executables}
        sizes = {id(file): file.size_bytes for file in self._files.values()}
        return Judged(
            strip=(1 + (True in self._beginnings)) if top else 0,
            top=top,
            files=tuple(
                FileMember(path=path, size_bytes=file.size_bytes, mode=file.mode, sha256=file.sha256)
                for path, file in sorted(files.items())
            ),
            links=tuple(
                LinkMember(path=path, target=target, outward=path in outward)
                for path, target in sorted(targets.items())
            ),
            executables=frozenset(executables),
            texts=self._wanted_texts(cut),
            members=len(files) + len(targets) + len(directories),
            unpacked_bytes=sum(-(-size // _DISK_BLOCK) * _DISK_BLOCK for size in sizes.values())
            + len(directories) * _DISK_BLOCK,
            warnings=_closed(files, {path[cut:]: mode for path, mode in self._modes.items()}),
        )

    def _path(self, raw: bytes, *, directory: bool, what: str = "") -> str:
        """Return a member's path: relative, in plain parts; empty for the root itself."""
        name = _text(raw)
        if name.startswith("/"):
            raise _refused(name, f"{what}is an absolute path", _FROM_INSIDE)
        parts = name.split("/")
        if ".." in parts:
            raise _refused(name, f'{what}has ".." in its path', _FROM_INSIDE)
        if directory and parts[-1] == "" and len(parts) > 1:
            parts.pop()
        dotted = parts[0] == "."
        if dotted:
            del parts[0]
        if "" in parts or "." in parts:
            raise _refused(name, f"{what}has an empty part or a dot in its path", _FROM_INSIDE)
        if parts:
            self._beginnings.setdefault(dotted, name)
        if len(raw) > LONGEST_NAME_BYTES or any(len(part.encode()) > 255 for part in parts):
            raise _refused(name, f"{what}is too long a name", "shorten it")
        return "/".join(parts)

    def _place(self, path: str) -> None:
        """Make sure of the directories above a path: none may be something else."""
        parent = path.rpartition("/")[0]
        while parent and parent not in self._directories:
            if parent in self._links:
                raise _refused(path, f"would be written through the link {shown(parent)}", "leave one of the two out")
            if parent in self._files:
                raise _refused(path, f"lies below {shown(parent)}, which is a file", "leave one of the two out")
            self._directories.add(parent)
            parent = parent.rpartition("/")[0]

    def _conflict(self, path: str, what: str, *others: Iterable[str]) -> None:
        if any(path in other for other in others):
            raise _refused(path, f"is there twice: as {what}, and as something else", "leave one of the two out")

    def _add_file(self, path: str, header: Header, reader: TarReader) -> None:
        self._conflict(path, "a file", self._links, self._directories)
        wanted = len(self._texts) < MOST_TEXTS and any(
            glob_matches(path, glob) or glob_matches(path.partition("/")[2], glob) for glob in self._globs
        )
        digest, text = hashlib.sha256(), b""
        for chunk in reader.content():
            digest.update(chunk)
            if wanted and len(text) < LONGEST_TEXT_BYTES:
                text = (text + chunk)[:LONGEST_TEXT_BYTES]
        file = FileMember(path=path, size_bytes=header.size_bytes, mode=header.mode, sha256=digest.hexdigest())
        # `mix release` packs the files of an overlay twice, which does no harm.
        if path in self._files and self._files[path].sha256 != file.sha256:
            raise _refused(path, "is there twice, with two contents", "leave one of the two out")
        self._files[path] = file
        if wanted:
            self._texts[path] = text

    def _add_link(self, path: str, raw: bytes) -> None:
        self._conflict(path, "a link", self._files, self._directories)
        target = _text(raw)
        if not target or len(raw) > LONGEST_NAME_BYTES:
            raise _refused(path, f"is a link with a target of {len(raw)} bytes", "leave it out")
        if self._links.setdefault(path, target) != target:
            raise _refused(path, "is there twice, with two targets", "leave one of the two out")

    def _add_hard_link(self, path: str, raw: bytes) -> None:
        self._conflict(path, "a hard link", self._links, self._directories)
        target = self._path(raw, directory=False, what=f"the target of the hard link {shown(path)} ")
        if target not in self._files:
            raise _refused(
                path, f"is a hard link to {shown(target)}, which is no file before it in the archive", "copy the file"
            )
        # The very object: two names of one file take its room on a disk once.
        if self._files.setdefault(path, self._files[target]).sha256 != self._files[target].sha256:
            raise _refused(path, "is there twice, with two contents", "leave one of the two out")

    def _top(self) -> str:
        """Return the single top directory that is to be taken off, or nothing."""
        tops = {path.partition("/")[0] for paths in (self._files, self._links) for path in paths}
        tops |= {path for path in self._directories if "/" not in path}
        (top, *more) = tops
        flat = top in _FLAT or top.startswith("erts-")
        return "" if more or flat or top in self._files or top in self._links else top

    def _wanted_texts(self, cut: int) -> dict[str, bytes]:
        kept = {path[cut:]: text for path, text in self._texts.items()}
        return {path: text for path, text in kept.items() if any(glob_matches(path, glob) for glob in self._globs)}


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"must not be unpacked: the name {shown(raw)} is not UTF-8", hint="rename it, then pack again"
        ) from error
    for each in text:
        if each not in _JOINERS and unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp"}:
            raise RefusedError(
                f"must not be unpacked: the name {shown(text)} holds a control character (U+{ord(each):04X})",
                hint="rename it, then pack again",
            )
    return text


def _refused(name: str, why: str, hint: str) -> RefusedError:
    return RefusedError(f"must not be unpacked: {shown(name)} {why}", hint=hint)


def _refuse_ours(paths: Iterable[str]) -> None:
    for path in paths:
        if path.partition("/")[0] == OURS:
            raise _refused(
                path, f"takes the place of {OURS}, where deployer keeps a release's unit and environment", "rename it"
            )


def _closed(files: dict[str, FileMember], directories: dict[str, int]) -> tuple[str, ...]:
    """Return what the service could not use: the tree is unpacked as root's, so the last three bits are the service's."""
    modes = {path: file.mode for path, file in files.items()}
    closed = {path: mode for path, mode in directories.items() if path and mode & 0o005 != 0o005}
    unreadable = {path: mode for path, mode in modes.items() if not mode & 0o004}
    programs = {path: mode for path, mode in modes.items() if mode & 0o105 == 0o104}
    return tuple(
        f"{shown(first)}{f' and {len(found) - 1} more' if len(found) > 1 else ''} will be {what} by root alone "
        f"(mode {found[first]:04o}), not by the service: chmod -R a+rX, then pack"
        for what, found in (("entered", closed), ("readable", unreadable), ("executable", programs))
        for first in sorted(found)[:1]
    )
