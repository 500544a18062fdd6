"""Works on many hosts at once: one thread and one connection each, bounded, with phases told as events.

What is done to a host is somebody else's (`switch`, `verbs/`). Here is how hosts are reached, how what fails on one
becomes a row and not the end of the others, and how Ctrl-C frees everything that waits.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Self, TypeVar

from deployer.errors import DeployerError, LinkLostError
from deployer.events import Emit, Failure, HostEnded, PhaseEnded, PhaseStarted, Summary, Verdict
from deployer.model import Config, Host
from deployer.remote import Remote

POOL = 8
"""Hosts prepared, and connections made, at once. sshd, a jump host's too, admits ten logins before it drops some (MaxStartups)."""

EXIT_CODES: dict[Verdict, int] = {
    "changed": 0,
    "unchanged": 0,
    "staged": 0,
    "started": 0,
    "skipped": 1,
    "rolled-back": 1,
    "stopped": 1,
    "failed": 1,
    "needs-person": 3,
    "unknown": 5,
}
# What is worse hides what is less bad: a host that needs a person is told before one that is only out of reach.
_WORST = (3, 130, 5, 1, 4, 2, 0)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How one host ended, with the error that made it so."""

    row: HostEnded
    error: DeployerError | None = None

    @property
    def exit_code(self) -> int:
        """The error's own status where nothing was switched; else that of the verdict."""
        if self.error is not None and self.row.verdict in ("failed", "skipped", "unknown"):
            return self.error.exit_code
        return EXIT_CODES[self.row.verdict]


@dataclass(kw_only=True)
class Engine:
    """Works on hosts. `connect` opens a connection; `token` gives a new id for each activation; `mask` hides secrets."""

    config: Config
    connect: Callable[[Host], Remote]
    emit: Emit
    token: Callable[[], str]
    mask: Callable[[str], str] = str
    clock: Callable[[], float] = time.monotonic
    stopped: threading.Event = field(default_factory=threading.Event)
    _ask_until: dict[str, float] = field(default_factory=dict)
    _bugs: list[Exception] = field(default_factory=list)
    _open: dict[str, Remote] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _doors: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(POOL))

    def remote(self, host: Host) -> Remote:
        """Return the host's open connection, made now where there is none or it is dead.

        Raises:
            LinkLostError: We were interrupted. One that was being made meanwhile is closed again.
        """
        with self._lock:
            known = self._open.get(host.name)
        if self.stopped.is_set():
            raise _interrupted(host)
        if known is not None and known.link.alive:
            return known
        with self._doors, self.phase(host, "connect"):
            remote = self.connect(host)
            with self._lock:
                # `close` comes after `stopped`, and under the lock: it meets this connection, or we meet `stopped`.
                if not self.stopped.is_set():
                    self._open[host.name] = remote
                    return remote
            remote.link.close()
            raise _interrupted(host)

    @contextlib.contextmanager
    def asking_until(self, host: Host, deadline: float) -> Iterator[None]:
        """Give up at `deadline`, of `clock`, what is asked about this host while this is entered."""
        self._ask_until[host.name] = deadline
        try:
            yield
        finally:
            del self._ask_until[host.name]

    def is_too_late_to_ask(self, host: Host) -> bool:
        """Tell whether an answer about this host would be of no more use."""
        return self.stopped.is_set() or self.clock() > self._ask_until.get(host.name, math.inf)

    def close(self) -> None:
        """Close every connection; whatever waits on one is freed."""
        with self._lock:
            remotes, self._open = list(self._open.values()), {}
        for remote in remotes:
            remote.link.close()

    def on_all(
        self,
        hosts: Sequence[Host],
        work: Callable[[Host], Ended | None],
        into: dict[str, Ended] | None = None,
        *,
        waits: bool = False,
    ) -> dict[str, Ended]:
        """Do `work` on all hosts at once; return the hosts that ended, an error of ours being one way to end.

        Args:
            into: Gets the hosts as they end, so that those who ended before an interrupt are known.
            waits: The work is a wait for something on the host, perhaps without end: none may wait for another's.

        Raises:
            KeyboardInterrupt: Ctrl-C; every connection is closed then, and no thread is left.
        """
        ended: dict[str, Ended] = {} if into is None else into
        with self._pool(len(hosts) if waits else POOL) as pool:
            futures = {pool.submit(self._guarded, host, work): host for host in hosts}
            for future in _as_they_end(futures):
                result = future.result()
                if result is not None:
                    ended[futures[future].name] = result
        return ended

    def each(
        self,
        hosts: Sequence[Host],
        work: Callable[[Remote], T],
        done: Callable[[Host, T], None],
        failed: Callable[[Host, DeployerError], None] | None = None,
        *,
        waits: bool = False,
    ) -> int:
        """Do something on every host at once, handing over each result in the hosts' order; return the exit status.

        Args:
            failed: Given the error of a host in place of its result; without it the error is told.
            waits: As for `on_all`.
        """
        results: dict[str, T] = {}
        tell = failed or (lambda host, error: self.emit(failure(error, host=host.name)))

        def one(host: Host) -> Ended | None:
            results[host.name] = work(self.remote(host))
            return None

        ended = self.on_all(hosts, one, waits=waits)
        for host in hosts:
            if host.name in results:
                done(host, results[host.name])
            elif (error := ended[host.name].error) is not None:
                tell(host, error)
        self.raise_bug()
        return worst(each.exit_code for each in ended.values())

    def sum_up(
        self, title: str, hosts: Sequence[Host], ended: Mapping[str, Ended], *, exit_code: int, begun: float
    ) -> None:
        """Tell of all failures, then how each host stands; what was no error of ours is raised after that."""
        for host in hosts:
            error = ended[host.name].error
            if error is not None:
                self.emit(failure(error, host=host.name))
        rows = tuple(ended[host.name].row for host in hosts)
        self.emit(Summary(title=title, hosts=rows, exit_code=exit_code, took_s=self.clock() - begun))
        self.raise_bug()

    def raise_bug(self) -> None:
        """Raise what was no error of ours, on whichever host it was, now that the other hosts' ends are told."""
        if self._bugs:
            raise self._bugs[0]

    @contextlib.contextmanager
    def phase(self, host: Host, name: str) -> Iterator[Phases]:
        """Tell that a phase starts, and how it ends."""
        phases = Phases(host.name, self.emit, self.clock)
        phases.enter(name)
        with phases:
            yield phases

    def _guarded(self, host: Host, work: Callable[[Host], Ended | None]) -> Ended | None:
        try:
            return work(host)
        except DeployerError as error:
            return Ended(
                row=HostEnded(host=host.name, verdict="failed", text=error.message, hint=error.hint), error=error
            )
        except Exception as bug:  # noqa: BLE001 - it is raised once the other hosts are told of
            self._bugs.append(bug)
            shown = DeployerError(f"a bug of deployer: {type(bug).__name__}: {bug}", host=host.name)
            return Ended(row=HostEnded(host=host.name, verdict="failed", text=shown.message), error=shown)

    @contextlib.contextmanager
    def _pool(self, size: int) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(max_workers=max(1, size), thread_name_prefix="host")
        try:
            yield pool
        except BaseException:
            # Freed threads end with an error that nobody waits for.
            self.stopped.set()
            self.close()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        pool.shutdown(wait=True)


class Phases:
    """Phases of which each begins when the one before is over; as a context, ends the last one.

    `text` is what came of the phase under way.
    """

    def __init__(self, host: str, emit: Emit, clock: Callable[[], float]) -> None:
        self._host, self._emit, self._clock = host, emit, clock
        self._name, self._begun = "", 0.0
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.leave(ok=kind is None)

    def enter(self, name: str) -> None:
        self.leave(ok=True)
        self._name, self._begun = name, self._clock()
        self._emit(PhaseStarted(host=self._host, phase=name))

    def leave(self, *, ok: bool) -> None:
        if self._name:
            took_s = self._clock() - self._begun
            self._emit(PhaseEnded(host=self._host, phase=self._name, ok=ok, text=self.text, took_s=took_s))
        self._name = self.text = ""


def failure(error: DeployerError, *, host: str = "") -> Failure:
    """Return the event that shows an error."""
    return Failure(
        message=error.message,
        host=error.host or host,
        hint=error.hint,
        details=error.details,
        evidence=error.evidence,
        exit_code=error.exit_code,
    )


def _interrupted(host: Host) -> LinkLostError:
    return LinkLostError(f"interrupted; {host.name} was not asked for anything more", host=host.name)


def worst(codes: Iterable[int]) -> int:
    """Return the exit status that stands for several."""
    found = set(codes)
    return next((code for code in _WORST if code in found), max(found, default=0))


def _as_they_end(futures: Iterable[Future[T]]) -> Iterator[Future[T]]:
    waiting = set(futures)
    while waiting:
        # A time limit, so that a signal reaches the main thread on every platform.
        done, waiting = wait(waiting, timeout=0.5, return_when="FIRST_COMPLETED")
        yield from done
