"""Is a commit safe against a power cut at any of its instants? Judged by the order of what was done to files. Pure.

A model of a disk that loses all that was not synced: content until fsync(2) of the file, a name until fsync(2) of its
directory, both until syncfs(2). The rules of a commit, in `_Judge`, are asked of it whenever something happens that
others will build upon. What is below /run is forgotten by a power cut anyway: of it only the order counts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.host.faults.syscalls import Event


def violations(
    events: Iterable[Event], *, app: str = "shop", root: str = "/opt/shop", existed: Iterable[str] = ()
) -> list[str]:
    """What is out of order, a sentence each; none where a power cut at any instant does no harm.

    Args:
        existed: Files that were on the disk before, so that to open them gives them no new name.
    """
    judge = _Judge(app=app, root=root, disk=_Disk(known=set(existed)))
    for event in events:
        judge.see(event)
    judge.see_the_end()
    return judge.found


@dataclass
class _Disk:
    """What a power cut would take: content by file, and names by path."""

    content: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)

    def apply(self, event: Event) -> None:
        path = event.path
        match event.kind:
            case "create" | "write":
                self.content.add(path)
                if event.kind == "create" and path not in self.known:
                    self.names.add(path)
                self.known.add(path)
            case "link" | "mkdir":
                self.names.add(path)
            case "rename":
                self.content = {_moved(each, path, event.to) for each in self.content - {event.to}}
                self.names = {_moved(each, path, event.to) for each in self.names} | {event.to}
                self.known = {_moved(each, path, event.to) for each in self.known}
            case "remove":
                self.content.discard(path)
                self.names.discard(path)
                self.known.discard(path)
            case "sync":
                self.content.discard(path)
                self.names = {each for each in self.names if posixpath.dirname(each) != path}
            case "sync-all":
                self.content.clear()
                self.names.clear()

    def lost_below(self, path: str) -> list[str]:
        """What would be lost of a file, or of a directory and all in it; its own name not counted."""
        return sorted([*_below(self.content, path), *_below(self.names - {path}, path)])


class _Judge:
    """Keeps what has happened so far, and says what should not have happened yet."""

    def __init__(self, *, app: str, root: str, disk: _Disk) -> None:
        self.found: list[str] = []
        self._disk = disk
        self._root = root
        self._ledger = f"{root}/ledger.jsonl"
        self._record = f"{root}/committing"
        self._marker = f"/run/deployer/{app}/trial"
        self._trial = f"/run/systemd/system.control/{app}.service"
        self._committed = (f"/etc/default/{app}.env", f"/etc/systemd/system/{app}.service", f"{root}/current")
        self._guard = f"/etc/systemd/system/deployer-recover@{app}.service"
        # Never written to under their own names.
        self._whole = {*self._committed, self._guard, self._record}
        self._in_place: set[str] = set()
        self._said: set[str] = set()
        self._has_record = self._has_marker = self._is_record_back = False

    def see(self, event: Event) -> None:
        path = event.path
        if event.kind in ("create", "write", "link") and path in self._whole:
            self._say(f"{path} was written to under its own name")
        if event.kind == "write" and path == self._ledger:
            self._said |= {word for word in ("activating", "good", "bad") if f'"event":"{word}"' in event.text}
        if event.kind == "rename":
            self._see_rename(path, event.to)
        if event.kind == "remove" and path == self._record and self._has_record:
            self._see_commit_end()
        if event.kind == "remove" and path == self._marker and self._has_marker:
            self._see_trial_end()
        self._disk.apply(event)
        if self._is_record_back and self._is_synced(event, self._root):
            self._is_record_back = False

    def see_the_end(self) -> None:
        """What must be on the disk when all is over."""
        if self._is_record_back:
            self._say("the record's removal was never synced: a power cut brings it back")
        for path in self._lost():
            self._say(f"{path} was never synced")

    def _see_rename(self, old: str, new: str) -> None:
        is_release = posixpath.dirname(new) == f"{self._root}/releases" and not posixpath.basename(new).startswith(".")
        if (new in self._whole or is_release) and (lost := self._disk.lost_below(old)):
            self._say(f"{new} got its name before its content was synced ({', '.join(lost[:3])})")
        if new in self._committed:
            self._in_place.add(new)
            if not self._has_record:
                self._say(f"{new} was put in place without a record")
            elif self._record in self._disk.names:
                self._say(f"{new} was put in place before the record's name was synced")
        if new == self._record:
            self._has_record, self._is_record_back = True, False
            self._in_place.clear()
            self._said.discard("good")
            for path in (*self._disk.lost_below(f"{self._root}/releases"), *self._lost_of(self._guard)):
                if "/evidence" not in path:
                    self._say(f"the record was written before {path} was synced")
        if new == self._marker:
            self._has_marker = True
        if new == self._trial and ("activating" not in self._said or self._ledger in self._disk.content):
            self._say("the trial began before the ledger's line of it was synced")

    def _see_commit_end(self) -> None:
        for path in self._committed:
            if path not in self._in_place:
                self._say(f"the record was removed before {path} was put in place")
        for path in self._lost():
            self._say(f"the record was removed before {path} was synced")
        if "good" not in self._said:
            self._say("the record was removed before the ledger had its line")
        if self._has_marker:
            self._say("the record was removed before the trial's marker")
        self._has_record, self._is_record_back = False, True

    def _see_trial_end(self) -> None:
        self._has_marker = False
        if not self._said & {"good", "bad"} or self._ledger in self._disk.content:
            self._say("the trial's marker was removed before the ledger's verdict was synced")

    def _lost(self) -> list[str]:
        """What a power cut would take of the committed state: of the files, the links of `enable`, the ledger."""
        return sorted(
            {
                *(lost for path in (*self._committed, self._guard, self._ledger) for lost in self._lost_of(path)),
                *(path for path in self._disk.names if path.startswith("/etc/systemd/system/") and not _is_new(path)),
            }
        )

    def _lost_of(self, path: str) -> Iterator[str]:
        if path in self._disk.content or path in self._disk.names:
            yield path

    def _is_synced(self, event: Event, directory: str) -> bool:
        return event.kind == "sync-all" or (event.kind == "sync" and event.path == directory)

    def _say(self, what: str) -> None:
        if what not in self.found:
            self.found.append(what)


def _moved(path: str, old: str, new: str) -> str:
    return new + path[len(old) :] if path == old or path.startswith(f"{old}/") else path


def _below(paths: Iterable[str], directory: str) -> Iterator[str]:
    return (path for path in paths if path == directory or path.startswith(f"{directory}/"))


def _is_new(path: str) -> bool:
    """Is it a name that a file has until it is renamed: ours, or the one of systemd (".#…")?"""
    return path.endswith(".deployer-new") or posixpath.basename(path).startswith(".#")
