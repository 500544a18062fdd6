"""Fetches a tarball over https into the cache: verified, resumed, and never waiting for ever.

What arrives counts only with the digest that was wanted. A part that stays behind is gone on with by the next call.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from shlex import quote
from typing import Final

from deployer.artifact import checksum, https
from deployer.artifact.address import Address
from deployer.artifact.part import KeepError, Part
from deployer.errors import ArtifactError
from deployer.events import Emit, Note, Progress

LIMIT_BYTES: Final = 4 << 30
_CHUNK: Final = 256 * 1024
_MOST_ATTEMPTS: Final = 20
_MOST_ATTEMPTS_WITHOUT_A_BYTE: Final = 4
_PROGRESS_EVERY_S: Final = 0.1
_CACHED: Final = 10
_KEPT_S: Final = 24 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a fetch waits: for a connection or the next bytes, and before it tries again."""

    stall_s: float = 30.0
    pause_s: float = 1.0


class _CutError(Exception):
    """The answer ended before its end; what came is kept. `got` counts the bytes of this answer."""

    def __init__(self, why: str, *, got: int) -> None:
        super().__init__(why)
        self.got = got


def fetch(
    address: Address,
    *,
    sha256: str,
    cache: Path,
    emit: Emit,
    patience: Patience = Patience(),
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Return the file of an address, fetched unless the cache has it.

    Args:
        sha256: The digest that it must have; without one it is looked for in the address and in a `.sha256` beside it.
        cache: Where files are kept, each in a directory named by its digest.

    Raises:
        ArtifactError: It cannot be had, or has another digest. Nothing secret of the address is in the message.
    """
    server = https.Server(timeout_s=patience.stall_s)
    wanted = sha256 or address.sha256 or _published_digest(server, address, patience=patience, sleep=sleep)
    wanted = wanted.lower()
    place = cache / wanted
    target = place / address.file_name
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place, emit):
            if target.is_file() and checksum.of_file(target) == wanted:
                emit(Note(level="info", text=f"{address.file_name} was fetched before: {target}"))
            else:
                part = Part(place / "part")
                _Download(address, part, server=server, emit=emit, patience=patience, sleep=sleep).run(wanted)
                part.path.replace(target)
            os.utime(place)
        _prune(cache, keep=place)
    except (OSError, KeepError) as error:
        why = error.why if isinstance(error, KeepError) else error.strerror
        raise ArtifactError(
            f"{address.file_name} cannot be kept in {place}: {why}",
            hint=f"df -h {quote(str(cache))}",
        ) from error
    return target


def _published_digest(
    server: https.Server, address: Address, *, patience: Patience, sleep: Callable[[float], None]
) -> str:
    beside = address.beside(".sha256")
    hint = f"publish {beside.file_name} beside it, set [artifact] sha256, or append #sha256=DIGITS to the address"
    for attempt in range(1, _MOST_ATTEMPTS_WITHOUT_A_BYTE + 1):
        try:
            with server.get(beside) as answer:
                text = answer.read(64 * 1024).decode("utf-8", "replace")
            break
        except https.NotThereError as error:
            raise ArtifactError(
                f"{address.shown} has no digest to be checked against: the server answers {error.status} for {beside.file_name}",
                hint=error.hint if error.is_about_login else hint,
            ) from error
        except (OSError, HTTPException) as error:
            if not https.may_pass(error):
                raise ArtifactError(
                    f"{beside.shown} cannot be fetched: {https.why(error)}", hint=https.hint(error)
                ) from error
            if attempt == _MOST_ATTEMPTS_WITHOUT_A_BYTE:
                raise ArtifactError(
                    f"{beside.shown} cannot be fetched: {https.why(error)}", hint="run the same command again"
                ) from error
        sleep(patience.pause_s * 2**attempt)
    found = checksum.of_text(text, address.file_name)
    if not found:
        raise ArtifactError(f"{beside.shown} holds no sha256 of {address.file_name}", hint=hint)
    return found


@contextlib.contextmanager
def _alone(place: Path, emit: Emit) -> Iterator[None]:
    """Wait until no other process fetches into a directory. The other one's own time limits end the wait."""
    with (place / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            emit(Note(level="info", text="another deployer fetches the same file; waiting for it"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prune(cache: Path, *, keep: Path) -> None:
    """Forget all but the last few files, and none of the last day."""
    old = sorted((each for each in cache.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime)
    for place in old[:-_CACHED]:
        if place != keep and time.time() - place.stat().st_mtime > _KEPT_S:
            shutil.rmtree(place, ignore_errors=True)


class _Download:
    """One file on its way into `part`."""

    def __init__(
        self,
        address: Address,
        part: Part,
        *,
        server: https.Server,
        emit: Emit,
        patience: Patience,
        sleep: Callable[[float], None],
    ) -> None:
        self._server = server
        self._address = address
        self._part = part
        self._emit = emit
        self._patience = patience
        self._sleep = sleep
        self._told_at = 0.0
        self._joined = False

    def run(self, wanted: str) -> None:
        """Fetch the file, verified. What was joined from several answers may be of two files: then once more, anew.

        That is seen by the digest alone: not every server says which of its files an answer is of.
        """
        self._until_complete()
        if self._joined and checksum.of_file(self._part.path) != wanted:
            self._part.forget()
            self._joined = False
            self._until_complete()
        found = checksum.of_file(self._part.path)
        if found != wanted:
            self._part.forget()
            raise ArtifactError(
                f"{self._address.shown} has the sha256 {found}, and {wanted} is wanted",
                hint="ask who published it, or correct the digest in [artifact] sha256",
            )
        self._part.unmark()

    def _until_complete(self) -> None:
        idle = attempts = 0
        while attempts < _MOST_ATTEMPTS:
            try:
                if self._attempt():
                    return
                # A piece, sound as far as it goes: no failed attempt.
                idle = 0
                continue
            except https.NotThereError as error:
                raise ArtifactError(f"{self._address.shown} answers {error}", hint=error.hint) from error
            except _CutError as error:
                last: Exception = error.__cause__ if isinstance(error.__cause__, Exception) else error
                idle = 0 if error.got else idle + 1
            except (OSError, HTTPException) as error:
                if not https.may_pass(error):
                    raise ArtifactError(
                        f"{self._address.shown} cannot be fetched: {https.why(error)}", hint=https.hint(error)
                    ) from error
                last, idle = error, idle + 1
            attempts += 1
            if idle >= _MOST_ATTEMPTS_WITHOUT_A_BYTE:
                break
            self._emit(
                Note(
                    level="warning",
                    text=f"the download of {self._address.file_name} broke off ({https.why(last)}); going on",
                )
            )
            self._sleep(self._patience.pause_s * 2**idle)
        raise ArtifactError(
            f"{self._address.shown} cannot be fetched: {https.why(last)}; {self._part.have()} bytes are there",
            hint="run the same command again: it goes on from there",
        ) from last

    def _attempt(self) -> bool:
        """Ask once, and take in what comes; tell whether that was the last of it."""
        have = self._part.have()
        with self._server.get(self._address, self._headers(have)) as answer:
            if answer.status == https.RANGE_NOT_THERE:
                # Complete already, or of another file: the digest tells.
                self._joined = True
                if https.total(answer) != have:
                    self._part.forget()
                    raise _CutError("the server has another file now", got=0)
                return True
            start, total = https.content_range(answer)
            if start not in (0, have):
                self._part.forget()
                raise _CutError("the server sent another range than was asked for", got=0)
            if start:
                self._joined = True
            self._part.mark(https.validator(answer))
            return self._receive(answer, start, total)

    def _headers(self, have: int) -> dict[str, str]:
        if not have:
            return {}
        tag = self._part.tag()
        return {"Range": f"bytes={have}-", **({"If-Range": tag} if tag else {})}

    def _receive(self, answer: HTTPResponse, start: int, whole: int) -> bool:
        """Take in an answer from `start` on; `whole` is the file's size where the answer says it (0 where not)."""
        end = start + answer.length if answer.length is not None else 0
        total = max(whole, end)
        if total > LIMIT_BYTES:
            raise ArtifactError(
                f"{self._address.shown} has {total} bytes, more than the {LIMIT_BYTES >> 30} GiB that are fetched",
                hint="leave out what the service does not need",
            )
        done = start
        with self._part.opened(start) as part:
            while chunk := self._next(answer, done - start):
                part.write(chunk)
                done += len(chunk)
                if done > LIMIT_BYTES:
                    raise ArtifactError(
                        f"{self._address.shown} does not end after {done} bytes", hint="open the address"
                    )
                self._tell(done, total, start)
        if end and done < end:
            raise _CutError(f"the server ended at {done} of {total} bytes", got=done - start)
        if done < total:
            if done == start:
                raise _CutError("the server sent an empty range", got=0)
            return False
        self._tell(done, total or done, start, last=True)
        return True

    def _next(self, answer: HTTPResponse, got: int) -> bytes:
        try:
            return answer.read1(_CHUNK)
        except (OSError, HTTPException) as error:
            raise _CutError(https.why(error), got=got) from error

    def _tell(self, done: int, total: int, start: int, *, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._told_at >= _PROGRESS_EVERY_S:
            self._told_at = now
            self._emit(Progress(host="", phase="fetch", done_bytes=done, total_bytes=total, resumed_bytes=start))
