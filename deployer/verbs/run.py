"""One run of a command: its config, hosts, output and engine, each made when it is first asked for."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from deployer import config as configs
from deployer import local, unit
from deployer.engine import Engine
from deployer.env import Environment, Sources, collect, for_host
from deployer.errors import DeployerError, UnreachableError, UsageError
from deployer.events import Event, Listing, Note
from deployer.hints import with_config
from deployer.masking import Masks
from deployer.model import Config, Host, Secret
from deployer.output.sink import Sink
from deployer.remote import Remote
from deployer.verbs import asking

if TYPE_CHECKING:
    from deployer.output import Output

PASSWORDS = ("DEPLOYER_SUDO_PASSWORD", "DEPLOYER_KEY_PASSPHRASE")
UNREAD = 141
"""The exit status of what SIGPIPE ends, as a shell has it."""
OUTPUTS = ("auto", "rich", "plain", "json")


class Run:
    """What every verb starts from. `wanted` are the words of `--host`."""

    def __init__(self, *, config: str, wanted: Sequence[str], output: str, environ: Mapping[str, str]) -> None:
        if output not in OUTPUTS:
            raise UsageError(f"--output {output} is not known", hint=f"one of {', '.join(OUTPUTS)}")
        self.environ = environ
        self._config, self.wanted = config, wanted
        self._output_kind = output
        self._output: Output | None = None
        self._stopped = threading.Event()
        self._asking = threading.Lock()
        self._masks = Masks()
        self._results: Sink | None = None
        self._progress: Sink | None = None
        self._unread = threading.Event()

    @cached_property
    def config(self) -> Config:
        found = configs.load(
            configs.find(self._config or None, self.environ, local.working_directory()), judge=unit.faults
        )
        app = found.app
        self._masks.spare((app.name, app.user, app.unit, str(app.root), *(host.name for host in found.hosts)))
        # A build inherits what we do, and may show it before the environment is put together.
        given = (*found.env.inherit, *PASSWORDS)
        self._masks.add(Secret(self.environ[name]) for name in given if self.environ.get(name))
        return found

    @property
    def config_named(self) -> str:
        """What names the config file: `--config`, else `$DEPLOYER_CONFIG`; empty where nothing does."""
        return self._config or self.environ.get("DEPLOYER_CONFIG", "")

    @cached_property
    def hosts(self) -> tuple[Host, ...]:
        """The hosts that are meant: configured ones, and sandbox hosts by their names."""
        running, off = self._sandbox_hosts()
        return configs.select_hosts(self.config, self.wanted, extra=running, off=[host.name for host in off])

    @property
    def host(self) -> Host:
        """The one host that is meant.

        Raises:
            UsageError: It is more than one.
        """
        if len(self.hosts) != 1:
            names = ", ".join(host.name for host in self.hosts)
            raise UsageError(
                f"this works on one host, and {len(self.hosts)} are meant: {names}", hint="add --host NAME"
            )
        return self.hosts[0]

    @cached_property
    def engine(self) -> Engine:
        return Engine(
            config=self.config,
            connect=self._connect,
            emit=self.emit,
            token=lambda: secrets.token_hex(6),
            mask=self._masks.mask,
            stopped=self._stopped,
        )

    @cached_property
    def who(self) -> str:
        """Who is doing this, for ledgers: `$DEPLOYER_WHO`, the CI's user, or user@machine."""
        for name in ("DEPLOYER_WHO", "GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
            # One line of plain text, as a host keeps it: so that whoever locks is known again.
            if given := "".join(char if char.isprintable() else "?" for char in self.environ.get(name, "")).strip():
                return given
        try:
            user = getpass.getuser()
        except OSError:  # no name for this user id, as in some containers
            user = str(os.getuid())
        return f"{user}@{socket.gethostname()}"

    @property
    def cache(self) -> Path:
        """Where downloads are kept: `$DEPLOYER_CACHE`, else `deployer` in the user's cache directory."""
        given = self.environ.get("DEPLOYER_CACHE")
        base = Path(self.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Path(given) if given else base / "deployer"

    # -- saying and asking ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def showing(self, *, lines_are_results: bool = False, goes_on_unread: bool = True) -> Iterator[Run]:
        """Show events while this is entered; close connections at the end.

        Args:
            goes_on_unread: False to end the work when nobody takes its results any more.
        """
        from deployer.output import open_output

        self._results = Sink(sys.stdout, on_gone=_nothing if goes_on_unread else self._give_up)
        self._progress = Sink(sys.stderr)
        output = open_output(
            self._output_kind,  # type: ignore[arg-type] # one of OUTPUTS
            stdout=cast("TextIO", self._results),
            stderr=cast("TextIO", self._progress),
            environ=self.environ,
            verbose=1 if self.environ.get("DEPLOYER_VERBOSE") else 0,
            lines_are_results=lines_are_results,
        )
        with output:
            self._output = output
            try:
                yield self
            finally:
                if "engine" in self.__dict__:
                    self.engine.close()
                self._output = None

    def settled(self, code: int) -> int:
        """Return the exit status, now that all was shown: results that could not be written are told of, and count."""
        if self._results is None or self._progress is None:
            return code
        if self._unread.is_set() and self._results.is_unread:
            return UNREAD
        if (fault := self._progress.fault) and self._output_kind != "json":
            self._results.write(f"error: standard error could not be written: {fault}\n")
            self._results.flush()
        if fault := self._results.fault:
            self._progress.write(f"error: standard output could not be written: {fault}\n")
            self._progress.flush()
            return code or 1
        return code

    def silence(self) -> None:
        """Write nothing more, not even what waits to be written: who reads may have stopped to."""
        for each in (self._results, self._progress):
            if each is not None:
                each.silence()

    def _give_up(self) -> None:
        # As for an interrupt, but for the word of it: what waits on a connection is freed.
        self._unread.set()
        self._stopped.set()
        if "engine" in self.__dict__:
            self.engine.close()

    def emit(self, event: Event) -> None:
        """Show an event; this is the one place where what is known as a secret is hidden in it, and where its hints
        get the config that was named.
        """
        if self._output is not None and not self._unread.is_set():
            self._output.emit(self._masks.event(with_config(event, self._config)))

    def table(self, listing: Listing, code: int) -> None:
        """Show what came of hosts, with the exit status so far; where no host could be asked there is nothing to show."""
        if listing.rows or not code:
            self.emit(listing)

    @property
    def is_for_programs(self) -> bool:
        """Is standard output one JSON object a line?"""
        return self._output_kind == "json"

    @property
    def at_terminal(self) -> bool:
        """Is there somebody to ask?"""
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.is_for_programs

    def ask_secret(self, question: str, *, host: Host) -> Secret | None:
        """Ask for a passphrase or password on the terminal; None where nobody can answer, or nobody did in time."""
        if not self.at_terminal:
            return None
        with self._asking, self.paused():
            return asking.secret(question, is_given_up=lambda: self.engine.is_too_late_to_ask(host))

    def confirm(self, question: str) -> bool:
        """Ask yes or no on the terminal; without one the answer is yes, as every question has its flag."""
        if not self.at_terminal:
            return True
        with self._asking, self.paused():
            sys.stderr.write(f"{question} [y/N] ")
            sys.stderr.flush()
            return sys.stdin.readline().strip().lower() in ("y", "yes")

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """Leave the terminal alone while this is entered."""
        return self._output.paused() if self._output is not None else contextlib.nullcontext()

    # -- hosts ------------------------------------------------------------------------------------------------------

    def environment(self, host: Host) -> Environment:
        """Return the service's environment for a host; its values are masked on the screen from now on."""
        found = for_host(self.config, host, self._sources)
        self._masks.add(found.values.values())
        return found

    def learn(self, remote: Remote) -> None:
        """Mask from now on the values of every environment that is on a host, too: its journal may tell of them."""
        self._masks.add(remote.secrets())

    @cached_property
    def _sources(self) -> Sources:
        # Once for all hosts: a command of the config's may ask a person, or a service that counts.
        found = collect(self.config, environ=self.environ)
        for note in found.notes:
            self.emit(note)
        return found

    def note(self, text: str, *, host: str = "") -> None:
        self.emit(Note(level="warning", text=text, host=host))

    def _connect(self, host: Host) -> Remote:
        from deployer.transport import connect

        try:
            link = connect(
                host,
                self.config.ssh,
                prompt=lambda question: self.ask_secret(question, host=host),
                environ=self.environ,
                note=lambda text: self.note(text, host=host.name),
            )
        except UnreachableError as error:
            if asleep := self._asleep_at(host.address):
                error.hint = f"it is the sandbox host {asleep}, which is off: deployer sandbox boot --name {asleep}"
            raise
        return Remote(link, host=host, app=self.config.app, step_timeout_s=self.config.ssh.step_timeout_s)

    def _sandbox_hosts(self) -> tuple[tuple[Host, ...], tuple[Host, ...]]:
        """Return the sandbox hosts that run, and those that are off."""
        if not self.wanted and self.config.hosts:
            return (), ()
        from deployer.sandbox import hosts_off, overlay_hosts, state_directory

        directory = state_directory(self.environ)
        return overlay_hosts(directory), hosts_off(directory)

    def _asleep_at(self, address: str) -> str:
        """Return the name of the sandbox host that is off and has this address; empty where there is none."""
        from deployer.sandbox import hosts_off, state_directory

        return next((host.name for host in hosts_off(state_directory(self.environ)) if host.address == address), "")


def _nothing() -> None:
    """A deploy goes on, whoever reads."""


def shown_failure(error: DeployerError) -> str:
    """Return an error as plain lines, for when there is no output yet."""
    lines = [f"error: {error.message}", *(f"  {line}" for line in error.details)]
    if error.hint:
        lines.append(f"next: {error.hint}")
    return "\n".join(lines) + "\n"
