"""Being let in: keys alone, offered one after the other; and the refusal, in words that say what was tried."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import paramiko

from deployer.errors import NotLetInError, UnreachableError
from deployer.transport.keys import KeyRing, Offer
from deployer.transport.ssh_config import Target

# A host may look our address up, or ask a directory about the user, before it answers.
AUTH_TIMEOUT_S = 30.0


@dataclass(kw_only=True)
class KeyAuth:
    """An authentication strategy for `paramiko.SSHClient.connect`: our keys in our order, never a password.

    `by_hand` is the command line that tries the same.
    """

    target: Target
    host: str
    by_hand: str
    ring: KeyRing
    offered: list[str] = field(default_factory=list)

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Offer keys until the host takes one.

        Raises:
            NotLetInError: It took none, wants more than a key, or has had enough of us.
            UnreachableError: It stopped answering.
        """
        try:
            for offer in self.ring.offers():
                self.offered.append(offer.label)
                if self._accepted(transport, offer):
                    return
            if not self.offered and self._needs_no_key(transport):
                return
        finally:
            self.ring.close()
        raise self._refused("took none of our keys" if self.offered else "wants a key, and we have none to offer")

    def _accepted(self, transport: paramiko.Transport, offer: Offer) -> bool:
        started = time.monotonic()
        try:
            wanted = transport.auth_publickey(self.target.user, offer.key)
        except paramiko.BadAuthenticationType as error:
            raise self._refused(f"takes no keys, but {', '.join(error.allowed_types)}") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            # The same class says "refused" and "no answer"; the clock tells them apart.
            if time.monotonic() - started >= AUTH_TIMEOUT_S:
                raise UnreachableError(
                    f"{self.target.place} did not answer our key within {AUTH_TIMEOUT_S:g} s",
                    host=self.host,
                    hint=f"try: {self.by_hand}",
                ) from error
            if not transport.is_active():
                raise self._refused(f"ended the connection at key {len(self.offered)}") from error
            return False
        if wanted:
            raise self._refused(f"took our key, but wants {', '.join(wanted)} as well")
        return True

    def _needs_no_key(self, transport: paramiko.Transport) -> bool:
        try:
            return not transport.auth_none(self.target.user)
        except (paramiko.SSHException, OSError, EOFError):
            return False

    def _refused(self, what: str) -> NotLetInError:
        tried = tuple(f"tried {label}" for label in self.offered)
        hint = f"try: {self.by_hand}"
        if len(self.offered) >= 5 and not self.target.identities_only:
            hint = f"set identity_file of [hosts.{self.host}], so that it alone is offered; or {hint}"
        return NotLetInError(f"{self.target.user}@{self.target.place} {what}", host=self.host, hint=hint, details=tried)
