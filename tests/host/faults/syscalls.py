"""What strace(1) wrote, as a list of what was done to files. Pure.

Of interest are the calls that change files or put them on the disk; those that failed changed nothing. Read is the
output of `strace -f -y` with the calls of `TRACED`.
"""

from __future__ import annotations

import codecs
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["create", "write", "sync", "sync-all", "rename", "link", "mkdir", "remove"]

_RENAMES = ("rename", "renameat", "renameat2")
_LINKS = ("symlink", "symlinkat", "link", "linkat")
_REMOVALS = ("unlink", "unlinkat", "rmdir")
_DIRECTORIES = ("mkdir", "mkdirat")
_OPENS = ("open", "openat", "openat2", "creat")
_WRITES = ("write", "writev", "pwrite64", "ftruncate", "sendfile", "copy_file_range")
_SYNCS = ("fsync", "fdatasync")
_SYNCS_ALL = ("syncfs", "sync")
TRACED = (*_RENAMES, *_LINKS, *_REMOVALS, *_DIRECTORIES, *_OPENS, *_WRITES, *_SYNCS, *_SYNCS_ALL)

_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<words>.*)\) += (?P<result>.*)")
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_TEXT = r'"(?P<text>(?:[^"\\]|\\.)*)"'
# A name stands alone, or behind the directory that it starts from: AT_FDCWD</root>, "name".
_NAME = re.compile(rf"(?:(?:AT_FDCWD|\d+)(?:<(?P<directory>[^>]*)>)?, )?{_TEXT}")
_FILE = re.compile(r"\d+<(?P<path>/[^>]*)>")
_FOR_WRITING = re.compile(r"\bO_(?:WRONLY|RDWR|CREAT|TRUNC)\b")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing done to `path`, absolute: `to` is a rename's new name, `text` the begin of what a write wrote."""

    kind: Kind
    path: str
    to: str = ""
    text: str = ""


def events(trace: str) -> list[Event]:
    """All that a trace tells, in the order in which the calls ended."""
    return [event for name, words, result in _calls(trace) for event in _event(name, words, result)]


def _calls(trace: str) -> Iterator[tuple[str, str, str]]:
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if not (found := _LINE.fullmatch(line)):
            continue
        pid, rest = found["pid"], found["rest"]
        if rest.endswith(_UNFINISHED):
            begun[pid] = rest.removesuffix(_UNFINISHED)
            continue
        if resumed := _RESUMED.fullmatch(rest):
            rest = begun.pop(pid, "") + resumed["rest"]
        if (call := _CALL.fullmatch(rest)) and not call["result"].startswith(("-1", "?")):
            yield call["name"], call["words"], call["result"]


def _event(name: str, words: str, result: str) -> Iterator[Event]:
    names = [
        posixpath.normpath(posixpath.join("/", found["directory"] or "", _plain(found["text"])))
        for found in _NAME.finditer(words)
    ]
    if name in _SYNCS_ALL:
        yield Event(kind="sync-all", path="/")
    elif name in _OPENS:
        if (opened := _FILE.match(result)) and (name == "creat" or _FOR_WRITING.search(words)):
            yield Event(kind="create", path=opened["path"])
    elif name in _SYNCS:
        if file := _FILE.match(words):
            yield Event(kind="sync", path=file["path"])
    elif name in _WRITES:
        files = [found["path"] for found in _FILE.finditer(words)]
        text = re.search(_TEXT, words)
        if files:
            # The second of copy_file_range(2) is written to; of sendfile(2) the first.
            path = files[-1] if name == "copy_file_range" else files[0]
            yield Event(kind="write", path=path, text=_plain(text["text"]) if text else "")
    elif name in _RENAMES:
        yield Event(kind="rename", path=names[0], to=names[1])
    elif name in _LINKS:
        yield Event(kind="link", path=names[-1])
    elif name in _DIRECTORIES:
        yield Event(kind="mkdir", path=names[0])
    elif name in _REMOVALS:
        yield Event(kind="remove", path=names[0])


def _plain(text: str) -> str:
    return codecs.decode(text.encode("latin-1", "replace"), "unicode_escape")
