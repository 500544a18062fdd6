"""A host as the engine uses it: one method for each script, over its connection.

Values in, values out; the scripts decide nothing that `plan` could decide, and nothing here decides at all.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deployer.env import parse_systemd
from deployer.errors import ArtifactError, DeployerError, HostError
from deployer.host.facts import Facts, parse
from deployer.host.payload import archive
from deployer.host.replies import decoded, decoded_bytes, error_from, json_object, words
from deployer.host.scripts import script
from deployer.model import App, Host, Secret
from deployer.plan import Candidate, Deploy

if TYPE_CHECKING:
    from deployer.transport import Connection, Session


SILENCE_MORE_S = 5
"""How much longer than we take a link for dead the host waits for bytes of an upload before it does the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Over:
    """What a host says when an activation has ended: its evidence (journal of a failed start), and how it stands."""

    committed: str
    verdict: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """Where the journal stood before an activation, and systemd's invocation id of the process of before."""

    cursor: str = ""
    was: str = ""


class Remote:
    """A host with an open connection. `step_timeout_s` bounds each script that is not followed."""

    def __init__(self, link: Connection, *, host: Host, app: App, step_timeout_s: float) -> None:
        self.link = link
        self.host = host
        self.app = app
        self._timeout_s = step_timeout_s

    def probe(self, *, digest: str = "", env: bool = False, health: bool = False) -> Facts:
        """Return what the host is like now."""
        facts = self._look(digest, env=env, health=health)
        return self._look(digest, env=env, health=health) if facts.is_torn else facts

    def _look(self, digest: str, *, env: bool, health: bool) -> Facts:
        lines = self._run("probe", self.app.user, digest, _yes(env), _yes(health))
        return parse(lines, host=self.host.name, now_s=time.time())

    def settled(self, *, digest: str = "", env: bool = False) -> Facts:
        """Return what the host is like, once an activation that was cut off there has been finished or undone.

        Raises:
            HostError: It can be neither.
        """
        facts = self.probe(digest=digest, env=env)
        if not facts.cut_off:
            return facts
        self._run("settle")
        return self.probe(digest=digest, env=env)

    def files(self, release_id: str) -> dict[str, str]:
        """Return the files of a release: path to "sha256 size"."""
        raw = decoded_bytes("".join(self._run("files", release_id)))
        try:
            text = gzip.decompress(raw).decode() if raw else ""
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise HostError(f"the list of files of {release_id} is damaged", host=self.host.name) from error
        rows = (line.split(" ", 2) for line in text.splitlines())
        return {path: f"{digest} {size}" for digest, size, path in rows}

    def stage(
        self,
        plan: Deploy,
        candidate: Candidate,
        *,
        on_phase: Callable[[str], None],
        on_bytes: Callable[[int, int], None],
    ) -> None:
        """Put the release on the host: uploaded where that is needed, unpacked, complete.

        Args:
            on_phase: Told each phase as it starts ("upload", "unpack", "copy", "sync").
            on_bytes: Told (bytes there, bytes there at the start) as the upload goes on.

        Raises:
            ArtifactError: The tarball has gone from this machine meanwhile.
        """
        artifact, config = candidate.artifact, candidate.config
        text = script(
            "stage",
            self.app,
            plan.release,
            artifact.sha256,
            str(artifact.size_bytes),
            str(artifact.strip),
            config.app.user,
            str(artifact.unpacked_bytes),
            str(artifact.members),
            plan.copy_from,
            DOT=archive(plan.payload).reveal(),
            VERSION=artifact.version,
            REVISION=candidate.revision,
            WHO=candidate.who,
            STALL_S=str(math.ceil(config.ssh.dead_after_s) + SILENCE_MORE_S),
        )
        from deployer.transport import send_file

        def send(session: Session, path: Path, offset: int) -> None:
            on_bytes(offset, offset)
            try:
                send_file(session, path, offset, lambda done: on_bytes(done, offset))
            except OSError as error:
                raise ArtifactError(
                    f"{path} can no longer be read: {error.strerror or error}",
                    host=self.host.name,
                    hint="is another build under way? The same command goes on where this one stopped",
                ) from error

        session = self.link.start(text, name="stage")
        try:
            staged = False
            refused: HostError | None = None
            for word, rest in self._words(session):
                if word == "phase":
                    on_phase(rest)
                elif word == "offset":
                    try:
                        send(session, artifact.path, int(rest))
                    except HostError as error:
                        refused = error  # the script says why, on its output
                staged = staged or word == "staged"
            if not staged:
                raise refused or self._ended_early(session, "stage")
        finally:
            session.close()

    def verify(self, release_id: str, template: Path | None = None) -> tuple[str, ...]:
        """Have the host's systemd judge the unit; return its words about other units.

        Args:
            template: The user's own unit file, where the unit was made of one: a refusal names it and its lines.

        Raises:
            HostError: It said anything at all about ours.
        """
        found = words(self._run("verify", release_id, str(template or "")), host=self.host.name)
        return tuple(decoded(rest) for word, rest in found if word == "warning")

    def launch(
        self, release_id: str, *, token: str, expect: str, why: str, keep: int, migrate: bool, who: str
    ) -> Launched:
        """Start the activation of a staged release on the host.

        Raises:
            LockedError, StaleError: Somebody was quicker, or has frozen the app.
        """
        args = (release_id, token, expect, why, str(keep), _yes(migrate), who)
        found = dict(words(self._run("launch", *args), host=self.host.name))
        if "launched" not in found:
            raise HostError("the activation did not start", host=self.host.name, hint="run the same command again")
        return Launched(cursor=found.get("cursor", ""), was=found.get("was", ""))

    def follow(self, token: str, *, seen: int, on_event: Callable[[dict[str, Any]], None]) -> Over:
        """Hand over the events of an activation from number `seen` on, until it is over.

        An empty token means the one under way, else the last one since the host's boot.

        Raises:
            UsageError: There was none.
            LinkLostError: The link broke; call again, with a new connection.
        """
        session = self.link.start(script("follow", self.app, token, str(seen)), name="follow", follow=True)
        evidence: tuple[str, ...] = ()
        try:
            for word, rest in self._words(session):
                if word == "token":
                    token, _, release = rest.partition(" ")
                    on_event({"event": "token", "token": token, "release": release})
                elif word == "idle":
                    on_event({"event": "idle", "at": rest})
                elif word == "event":
                    on_event(json_object(rest))
                elif word == "evidence":
                    # Not splitlines(): a line of an app may hold other separators than the journal's.
                    evidence = tuple(decoded(rest).removesuffix("\n").split("\n"))
                elif word == "over":
                    committed, _, verdict = rest.partition(" ")
                    return Over(committed="" if committed == "-" else committed, verdict=verdict, evidence=evidence)
            raise self._ended_early(session, "follow")
        finally:
            session.close()

    def queue(self, limit_s: float, *, on_behind: Callable[[dict[str, Any]], None], in_vain: Callable[[], bool]) -> str:
        """Wait on the host until no activation is under way there; return the ledger's last word on the last one.

        Args:
            on_behind: Given the ledger's line on each activation that it meets; empty where there is none.
            in_vain: Asked about once a second; a yes ends the wait.

        "busy" means that the time was up first, "vain" that it was in vain.

        Raises:
            LinkLostError: The link broke; call again, with a new connection.
        """
        text = script("queue", self.app, str(math.ceil(limit_s)))
        session = self.link.start(text, name="queue", follow=True)
        try:
            for word, rest in self._words(session, idle_timeout_s=self._timeout_s):
                if word == "behind":
                    on_behind(json_object(rest))
                elif word == "free":
                    return rest
                elif word == "busy":
                    return word
                elif in_vain():
                    return "vain"
            raise self._ended_early(session, "queue")
        finally:
            session.close()

    def journal(self, args: tuple[str, ...]) -> Session:
        """Start a journalctl of the service; its standard output is one JSON object a line."""
        return self.link.start(script("journal", self.app, *args), name="journal", follow="--follow" in args)

    def secrets(self) -> tuple[Secret, ...]:
        """Return the values of all environments on the host, of this release and of those before: what is to be hidden."""
        texts = [decoded(rest) for word, rest in words(self._run("secrets"), host=self.host.name) if word == "env"]
        return tuple(value for text in texts for value in parse_systemd(text).values())

    def cursor(self) -> str:
        """Return where the journal ends now; empty where the host has none."""
        return "".join(rest for word, rest in words(self._run("cursor"), host=self.host.name) if word == "cursor")

    def manifest(self) -> dict[str, Any]:
        """Return what is known of the committed release.

        Raises:
            HostError: There is none.
        """
        return json_object("".join(self._run("manifest")))

    def check(self, *, unit: str, port: int) -> list[tuple[str, str]]:
        """Have the host judge a unit before anything is staged, and a port; see `sh/check.sh`."""
        return words(self._run("check", str(port or ""), UNIT_TEXT=unit), host=self.host.name)

    def one_off_command(self, name: str, command: str) -> str:
        """Return the shell command that runs `command` as the service would, on a terminal of the host."""
        found = dict(words(self._run("one_off", "pty", name, command), host=self.host.name))
        return found["command"]

    def control(self, verb: str) -> dict[str, str]:
        """Start, stop or restart the service; return what systemd says of it afterwards."""
        found = words(self._run("control", verb), host=self.host.name)
        pairs = (rest.partition("=") for word, rest in found if word == "state")
        return {key: value for key, _, value in pairs}

    def mark(self, *args: str) -> list[tuple[str, str]]:
        """Pin, unpin, freeze, thaw or prune; see `sh/mark.sh`."""
        return words(self._run("mark", *args), host=self.host.name)

    def setup(self, *, home: str, sudo_for: str, plan_only: bool) -> tuple[str, ...]:
        """Prepare the host; return what was done, or would be."""
        found = words(self._run("setup", self.app.user, home, sudo_for, _yes(plan_only)), host=self.host.name)
        return tuple(rest for word, rest in found if word in ("did", "would"))

    def _run(self, name: str, *args: str, **variables: str) -> list[str]:
        reply = self.link.run(script(name, self.app, *args, **variables), name=name, timeout_s=self._timeout_s)
        lines = reply.stdout.splitlines()
        if reply.status != 0:
            for line in lines:
                word, _, rest = line.partition(" ")
                if word == "error":
                    raise error_from(rest, host=self.host.name)
            raise _script_failed(name, reply.status, reply.stderr, host=self.host.name)
        return lines

    def _words(self, session: Session, *, idle_timeout_s: float | None = None) -> Iterator[tuple[str, str]]:
        for line in session.lines(idle_timeout_s=idle_timeout_s):
            word, _, rest = line.partition(" ")
            if word == "error":
                # It still clears up behind itself, and whoever sees the error may look at the host or try again.
                with contextlib.suppress(DeployerError):
                    session.status(self._timeout_s)
                raise error_from(rest, host=self.host.name)
            yield word, rest

    def _ended_early(self, session: Session, name: str) -> DeployerError:
        return _script_failed(name, session.status(self._timeout_s), session.stderr, host=self.host.name)


# strerror(3) in the C locale, which our programs on a host are run in.
_DISK_TROUBLE: Final = (
    (
        "Read-only file system",
        "a file system is read-only",
        "on the host: findmnt -O ro, then mount -o remount,rw of the TARGET that is meant above",
    ),
    (
        "No space left on device",
        "a file system is full",
        "on the host: df -h and df -i; or make room with: deployer prune --host {host} --keep 2",
    ),
)


def _script_failed(name: str, status: int, stderr: str, *, host: str) -> HostError:
    what = f"the step {name!r} ended with status {status}"
    hint = "run the same command again; if it stays, look at the lines above"
    for words_of_it, why, remedy in _DISK_TROUBLE:
        if words_of_it in stderr:
            what, hint = f"{why} ({what})", remedy.format(host=host)
    return HostError(f"{what} on {host}", host=host, hint=hint, details=tuple(stderr.strip().splitlines()[-10:]))


def _yes(value: bool) -> str:  # noqa: FBT001 - the word for a flag in a script's arguments
    return "yes" if value else "no"
