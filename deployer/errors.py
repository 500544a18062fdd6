"""What can go wrong, as one tree of exceptions with an exit status each.

An error says what happened in one sentence with the values, names the host where there is one, and carries a hint
that can be typed. How it is drawn is the outputs' business; whatever is not of this tree is a bug of ours and keeps
its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class DeployerError(Exception):
    """A failure that a user can understand and act on.

    Args:
        message: One sentence: what happened, with the values. Never a secret.
        host: The config's name of the host, where it happened on one.
        hint: What to type or look at next.
        details: Further lines that show the cause, such as the end of a command's output.

    `evidence` is the journal of a failed start, where there is one.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, host: str = "", hint: str = "", details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.host = host
        self.hint = hint
        self.details = details
        self.evidence: tuple[str, ...] = ()


class HostError(DeployerError):
    """A step on a host failed; the host is on a release that works, or stopped before its first one."""


class DamagedUploadError(HostError):
    """The bytes that arrived are not the tarball's; they are gone from the host."""


class NotHealthyError(HostError):
    """A release did not prove itself; the host is back on the one before."""


class UsageError(DeployerError):
    """The command line, config, environment or artifact cannot be used; nothing was touched."""

    exit_code = 2


class ConfigError(UsageError):
    """The config has faults; `details` holds one line for each of them."""


class EnvError(UsageError):
    """A value of the service's environment is missing or cannot be carried; names only, never values."""


class ArtifactError(UsageError):
    """The artifact cannot be had, or must not be unpacked on a host."""


class BuildError(ArtifactError):
    """The local build command failed."""


class NeedsPersonError(DeployerError):
    """A host is in a state that no step of ours can mend."""

    exit_code = 3


class LockedError(DeployerError):
    """Another activation is under way, or a person has frozen the app."""

    exit_code = 4


class BusyError(LockedError):
    """Somebody else is at work: an activation is under way, or the same release is being staged. It passes."""


class StaleError(LockedError):
    """The host is no longer in the state that the plan was made for."""


class UnreachableError(DeployerError):
    """No connection: name, route, port, time-out, or the link broke."""

    exit_code = 5


class LinkLostError(UnreachableError):
    """A connection that was up has gone; what ran on the host may go on."""


class HostKeyError(UnreachableError):
    """The host's key is unknown, changed or revoked."""


class NotLetInError(UnreachableError):
    """The host refused our keys, or would not let us become root."""


class InterruptedByUserError(DeployerError):
    """Ctrl-C, or a signal that asks us to end."""

    exit_code = 130
