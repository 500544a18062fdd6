"""The promises, looked up on the host itself after a strike: never in what our own program says of it.

1. The service answers, on a release that the ledger calls good, within a time, without a person. Where there has never been
one: it does, or all of it is stopped, with nothing half in its place.
2. Unit, environment, `current` and the running process all belong to that release.
3. No lock stays. 4. The ledger is well-formed and its history complete. 6. Nothing of ours is left over.
(5., what the client says, is looked at where there is one.)
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from tests.host.project import OnHost

RECOVERY_S = 45.0
"""How long a host may take to stand by itself again: the trial's own time limits and the boot included."""


class BrokenPromiseError(AssertionError):
    """A promise that did not hold, with how the host looked then."""

    def __init__(self, what: str, *, looked: str) -> None:
        super().__init__(f"{what}\n{looked}")


@dataclass
class Watch:
    """What is remembered of a host across a strike: its ledger must go on from there."""

    on_host: OnHost
    history: str = field(init=False)
    had_nothing: bool = field(init=False)

    def __post_init__(self) -> None:
        self.history = self._ledger_text()
        self.had_nothing = not self.on_host.current

    def stands(self, *, within_s: float = RECOVERY_S) -> float:
        """Wait until the host stands by itself; return the seconds that took.

        Raises:
            BrokenPromiseError: It did not come to that.
        """
        begun = time.monotonic()
        while problems := self._problems():
            if time.monotonic() - begun > within_s:
                raise BrokenPromiseError(f"after {within_s:g} s still: {'; '.join(problems)}", looked=self.picture())
            time.sleep(0.1)
        return time.monotonic() - begun

    def is_whole(self) -> None:
        """What holds after the next contact: a well-formed ledger that goes on from before, and nothing left over."""
        text = self._ledger_text()
        if not text.startswith(self.history):
            raise BrokenPromiseError("the ledger has lost some of its history", looked=self.picture())
        entries = _entries(text)
        if None in entries or not text.endswith("\n"):
            raise BrokenPromiseError("the ledger is not well-formed", looked=self.picture())
        under_way = {entry["token"] for entry in entries if entry and entry["event"] == "activating"}
        ended = {entry["token"] for entry in entries if entry and entry["event"] in ("good", "bad", "interrupted")}
        if under_way - ended:
            raise BrokenPromiseError(f"activations without a verdict: {under_way - ended}", looked=self.picture())
        if left := self._left_over():
            raise BrokenPromiseError(f"left over: {left}", looked=self.picture())

    def picture(self) -> str:
        """What a person would look at, for the report of a broken promise."""
        name, root = self.on_host.project.name, self.on_host.project.root
        return self.on_host.sh(
            f"readlink {root}/current; ls -la {root} {root}/releases /run/deployer/{name}; tail -n 6 {root}/ledger.jsonl; "
            f"cat {root}/committing /run/deployer/{name}/trial; cat /run/deployer/{name}/*.events | tail -n 12; "
            f"systemctl status --no-pager -n 0 {name}.service deployer-{name}.service; "
            f"grep -H ^EnvironmentFile /etc/systemd/system/{name}.service /run/systemd/system.control/{name}.service; "
            f"journalctl --no-pager -q -n 40 -t deployer -t systemd -t activate; df -h /opt /etc /run; ps -ef | tail -n 12",
        )

    def _problems(self) -> list[str]:
        good = [entry for entry in _entries(self._ledger_text()) if entry and entry["event"] == "good"]
        current = self.on_host.current
        answers = self.on_host.version
        if self.had_nothing and not (good or current):
            return [*self._stopped_problems(), *(["it answers all the same"] if answers else [])]
        found = []
        if not good or good[-1]["id"] != current:
            found.append(f"current is {current or 'nothing'}, and the ledger's last good one {good[-1:] or 'none'}")
        if not answers or not current.startswith(f"{answers}-"):
            found.append(f"{answers or 'nothing'} answers, and {current or 'nothing'} is committed")
        if not self.on_host.is_over():
            found.append("something of an activation is still there")
        elif not self.on_host.is_consistent():
            found.append("unit, environment and process are not all of the committed release")
        return found

    def _stopped_problems(self) -> list[str]:
        """What is wrong with a host on which no release ever proved itself."""
        name = self.on_host.project.name
        found = []
        if half := self.on_host.sh(
            f"ls /etc/systemd/system/{name}.service /etc/default/{name}.env 2>/dev/null || true"
        ):
            found.append(f"nothing is committed, and there is {half}")
        if (state := self.on_host.unit("ActiveState")) not in ("inactive", "failed"):
            found.append(f"nothing is committed, and the service is {state}")
        if not self.on_host.is_over():
            found.append("something of an activation is still there")
        return found

    def _left_over(self) -> str:
        name, root = self.on_host.project.name, self.on_host.project.root
        # A part of an upload is kept for whoever goes on with it.
        return self.on_host.sh(
            f"ls -d {root}/releases/.[sp]* {root}/*.deployer-new {root}/*/*.deployer-new /etc/systemd/system/*.deployer-new "
            f"/etc/default/*.deployer-new /run/systemd/system.control/{name}.service* "
            f"/run/systemd/system/deployer-{name}:trial* 2>/dev/null; "
            f"pgrep -af '^/bin/bash .*[.]deployer/activate|^deployer-' || true"
        )

    def _ledger_text(self) -> str:
        # Not `sh`, which strips what it returns.
        done = self.on_host.lab.enter(
            self.on_host.host.name, f"cat {self.on_host.project.root}/ledger.jsonl 2>/dev/null || true"
        )
        return str(done.stdout)


def _entries(text: str) -> list[dict[str, Any] | None]:
    """The ledger's lines as values; None for one that is torn."""
    found: list[dict[str, Any] | None] = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        found.append(value if isinstance(value, dict) and "event" in value else None)
    return found
