"""A connection to one host: kept alive, watched, and used to run scripts there as root or as the login user."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from importlib import resources

from deployer.errors import LinkLostError
from deployer.model import Host, Secret, Ssh
from deployer.transport import sudo, terminal
from deployer.transport.dial import Dialer, Link
from deployer.transport.keys import Prompt, asking
from deployer.transport.pulse import Pulse
from deployer.transport.scripts import Elevation, Limits, Reply, sized
from deployer.transport.session import Session
from deployer.transport.ssh_config import resolve


def connect(
    host: Host, ssh: Ssh, *, prompt: Prompt, environ: Mapping[str, str], note: Callable[[str], None]
) -> Connection:
    """See `deployer.transport.connect`."""
    target = resolve(host, ssh, environ=environ, note=note)
    link = Dialer(host=host, ssh=ssh, prompt=prompt, environ=environ, note=note).open(target)
    return Connection(host, ssh, link, prompt=prompt, environ=environ)


class Connection:
    """An open connection. Any thread may use it; up to eight sessions at a time are within sshd's default.

    Closing it, from any thread, ends every wait on it at once with `LinkLostError`.
    """

    def __init__(self, host: Host, ssh: Ssh, link: Link, *, prompt: Prompt, environ: Mapping[str, str]) -> None:
        self.host = host
        self.address = link.target.hostname
        self.port = link.target.port
        self.login = link.target.user
        self._ssh = ssh
        self._link = link
        self._prompt = prompt
        self._environ = environ
        self._closed = False
        self._limits = Limits(open_s=ssh.connect_timeout_s + ssh.dead_after_s, stall_s=ssh.step_timeout_s)
        self._elevation: Elevation | None = None
        self._deciding = threading.Lock()
        self._pulse = Pulse(link.transport, link.wire, every_s=ssh.keepalive_s, dead_after_s=ssh.dead_after_s)
        self._pulse.start()

    @property
    def alive(self) -> bool:
        """Whether the link was still there when it last showed anything: at most `keepalive + dead_after` ago."""
        return self._link.transport.is_active()

    @property
    def place(self) -> str:
        return self._link.target.place

    def become_root(self) -> None:
        """Find out how to be root here, once; later calls return at once.

        Raises:
            NotLetInError: There is no way, or the password was not taken.
        """
        self._root()

    def start(self, script: str, *, name: str, root: bool = True, follow: bool = False) -> Session:
        """Start a bash script; what is sent to the session later is the script's stdin.

        Args:
            name: Of the step, for messages: `deployer-NAME` in the host's process list.
            follow: End the script when the session is closed, its input is, or the client is gone. Its stdin is
                empty then.

        The script has arrived as a whole before its first line runs; it is an argument of no process.
        """
        text = script
        if follow:
            text = resources.files(__package__).joinpath("follow.sh").read_text("utf-8")
        session = self._session(name)
        try:
            session.begin(text, self._root() if root else Elevation())
            if follow:
                session.send(sized(script))
        except BaseException:
            session.close()
            raise
        return session

    def run(self, script: str, *, name: str, timeout_s: float, root: bool = True) -> Reply:
        """Run a bash script without input and collect its output. A status that is not 0 is not an error.

        Raises:
            HostError: It has not ended within `timeout_s`.
            LinkLostError: The link was lost.
        """
        with self.start(script, name=name, root=root) as session:
            session.close_stdin()
            return session.collect(timeout_s)

    def interactive(self, command: str, *, root: bool = True) -> int:
        """Run a shell command on a terminal of its own, joined to ours, and return its exit status.

        Raises:
            UsageError: We have no terminal.
        """
        elevation = self._root() if root else Elevation()
        return terminal.attach(
            self._link,
            command,
            elevation,
            host=self.host.name,
            limits=self._limits,
            environ=self._environ,
        )

    def close(self) -> None:
        self._closed = True
        self._pulse.stop()
        self._link.close()

    def _session(self, name: str) -> Session:
        if not self.alive:
            what = "was closed here" if self._closed else f"to {self.place} was lost"
            raise LinkLostError(f"the connection {what}", host=self.host.name, hint="run the command again")
        word = re.sub(r"[^A-Za-z0-9_.-]+", "-", name) or "script"
        return Session(
            self._link, host=self.host.name, name=word, limits=self._limits, closed_here=lambda: self._closed
        )

    def _root(self) -> Elevation:
        with self._deciding:
            if self._elevation is None:
                self._elevation = Elevation() if self.login == "root" else self._decided()
            return self._elevation

    def _decided(self) -> Elevation:
        def attempt(elevation: Elevation) -> Reply:
            with self._session("sudo") as session:
                return session.try_password(elevation, self._ssh.step_timeout_s)

        def prompt(question: str) -> Secret | None:
            with asking:
                return self._prompt(question)

        return sudo.decide(
            host=self.host.name,
            target=self._link.target,
            run=lambda script: self.run(script, name="sudo-probe", timeout_s=self._ssh.step_timeout_s, root=False),
            attempt=attempt,
            prompt=prompt,
            environ=self._environ,
        )
