"""Our own keys: those in files, those an agent holds, and what a passphrase opens.

Finds what may be offered to a host, in OpenSSH's order. A passphrase comes from `$DEPLOYER_KEY_PASSPHRASE` or is
asked for, once for each key in the life of the program, however many hosts connect at the same time.
"""

from __future__ import annotations

import base64
import binascii
import copy
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
import paramiko.agent

from deployer.model import Secret
from deployer.transport.hostkeys import HostKey
from deployer.transport.ssh_config import Target

if TYPE_CHECKING:
    from paramiko.pkey import PKey

PASSPHRASE_VARIABLE = "DEPLOYER_KEY_PASSPHRASE"  # noqa: S105 - the name of the variable
Prompt = Callable[[str], Secret | None]

_CLASSES: Mapping[str, type[PKey]] = {
    "ssh-rsa": paramiko.RSAKey,
    "ssh-ed25519": paramiko.Ed25519Key,
    "ecdsa-sha2-nistp256": paramiko.ECDSAKey,
    "ecdsa-sha2-nistp384": paramiko.ECDSAKey,
    "ecdsa-sha2-nistp521": paramiko.ECDSAKey,
}
_PEM_TYPES = {"RSA PRIVATE KEY": "ssh-rsa", "EC PRIVATE KEY": "ecdsa-sha2-nistp256"}
_OPENSSH_MAGIC = b"openssh-key-v1\0"
# A key in hardware may wait for a touch.
_AGENT_TIMEOUT_S = 60.0

# One prompt at a time on the one terminal, and one answer for all hosts that wait for the same key.
asking = threading.Lock()
_opened: dict[tuple[Path, int], PKey | None] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A key to offer. `label` names it for people: where it came from, its type."""

    label: str
    key: PKey


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFile:
    """What an identity file shows without its passphrase. `public` is None where that needs the passphrase.

    `type` is empty for a format we cannot read; `private` is False for a file that holds a public key, which selects a
    key of the agent's.
    """

    path: Path
    type: str
    public: bytes | None
    encrypted: bool
    private: bool = True


def read_key_file(path: Path) -> KeyFile:
    """Read an identity file as far as that goes without a passphrase.

    Raises:
        OSError: It cannot be read.
    """
    text = path.read_text("utf-8", "replace")
    words = text.split(maxsplit=2)
    if "PRIVATE KEY-----" not in text and len(words) > 1:
        blob = _decoded(words[1])
        return KeyFile(path=path, type=words[0] if blob else "", public=blob or None, encrypted=False, private=False)
    kind = text.partition("-----BEGIN ")[2].partition("-----")[0]
    if kind == "OPENSSH PRIVATE KEY":
        return _openssh_file(path, text)
    return KeyFile(
        path=path,
        type=_PEM_TYPES.get(kind, ""),
        public=_beside(path),
        encrypted="ENCRYPTED" in text.partition("\n\n")[0],
    )


def _openssh_file(path: Path, text: str) -> KeyFile:
    body = _decoded("".join(text.partition("KEY-----")[2].partition("-----END")[0].split()))
    try:
        if not body.startswith(_OPENSSH_MAGIC):
            raise ValueError("no magic")  # noqa: TRY301 - one place says what an unreadable file becomes
        cipher, rest = _string(body[len(_OPENSSH_MAGIC) :])
        _, rest = _string(rest)
        _, rest = _string(rest)
        public, _ = _string(rest[4:])
        kind = _string(public)[0].decode("ascii", "replace")
    except (ValueError, struct.error):
        return KeyFile(path=path, type="", public=None, encrypted=False)
    return KeyFile(path=path, type=kind, public=public, encrypted=cipher != b"none")


def _string(data: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack(">I", data[:4])
    if len(data) < 4 + size:
        raise ValueError("cut short")
    return data[4 : 4 + size], data[4 + size :]


def _beside(path: Path) -> bytes | None:
    try:
        words = path.with_name(path.name + ".pub").read_text("utf-8", "replace").split()
    except OSError:
        return None
    return _decoded(words[1]) or None if len(words) > 1 else None


def _known_as(file: KeyFile) -> tuple[Path, int]:
    # Another key may have taken its place since.
    return file.path, file.path.stat().st_mtime_ns


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


class AgentAt(paramiko.agent.AgentSSH):
    """The agent at a socket; paramiko's own class knows `$SSH_AUTH_SOCK` alone and waits for ever."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_AGENT_TIMEOUT_S)
        try:
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined] # the hook that paramiko's own agents use
        except BaseException:
            connection.close()
            raise
        self._socket = connection

    def close(self) -> None:
        self._socket.close()


class AgentKey(paramiko.agent.AgentKey):
    """A key of an agent's that may decline: paramiko signs in its reader thread, where an error ends the connection."""

    def sign_ssh_data(self, data: Any, algorithm: str | None = None) -> Any:
        try:
            return super().sign_ssh_data(data, algorithm)
        except (paramiko.SSHException, OSError):
            # No valid signature: the host refuses this key, and the next one gets its turn.
            return b""


@dataclass(kw_only=True)
class KeyRing:
    """The keys to offer to one host. Close it when the host has let us in or not."""

    target: Target
    environ: Mapping[str, str]
    prompt: Prompt
    note: Callable[[str], None]
    _agent: AgentAt | None = None

    def offers(self) -> Iterator[Offer]:
        """Yield keys in OpenSSH's order: the agent's among the configured ones, its others, then files.

        A passphrase is asked for when everything before has been refused. With `IdentitiesOnly` the agent's others are
        left out.
        """
        files = [found for path in self.target.identity_files if (found := self._read(path)) is not None]
        held = self._held()
        wanted = [file.public for file in files if file.public is not None]
        chosen = [blob for blob in wanted if blob in held]
        for blob in chosen:
            yield held[blob]
        if not self.target.identities_only:
            yield from (offer for blob, offer in held.items() if blob not in chosen)
        for file in files:
            if file.private and file.public not in chosen:
                yield from self._from_file(file)

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()

    def _held(self) -> dict[bytes, Offer]:
        if not self.target.agent:
            return {}
        try:
            self._agent = AgentAt(self.target.agent)
        except (OSError, paramiko.SSHException) as error:
            self.note(f"no answer from the ssh agent at {self.target.agent}: {error}")
            return {}
        found: dict[bytes, Offer] = {}
        for key in self._agent.get_keys():
            blob = key.blob
            mark = HostKey(type=key.name, blob=blob)
            label = f"agent key {key.comment or mark.fingerprint} ({key.name})"
            found[blob] = Offer(label=label, key=AgentKey(key.agent, blob, key.comment))
        return found

    def _read(self, path: Path) -> KeyFile | None:
        try:
            return read_key_file(path)
        except OSError as error:
            self.note(f"the key {path} was left out: {error.strerror}")
            return None

    def _from_file(self, file: KeyFile) -> Iterator[Offer]:
        if file.type not in _CLASSES:
            kind = f"keys of type {file.type}" if file.type else "its format"
            self.note(f"the key {file.path} was left out: {kind} cannot be used from a file; add it to an ssh agent")
            return
        mode = file.path.stat().st_mode
        if mode & 0o077 and file.path.stat().st_uid == os.getuid():
            self.note(f"the key {file.path} was left out: others may read it; try: chmod 600 {file.path}")
            return
        key = self._open(file)
        if key is None:
            return
        label = f"{file.path} ({file.type})"
        for certificate in self._certificates(file):
            certified = copy.copy(key)
            try:
                certified.load_certificate(str(certificate))
            except (paramiko.SSHException, ValueError, OSError) as error:
                self.note(f"the certificate {certificate} was left out: {error}")
                continue
            yield Offer(label=f"{file.path} with {certificate.name}", key=certified)
        yield Offer(label=label, key=key)

    def _certificates(self, file: KeyFile) -> list[Path]:
        own = file.path.with_name(file.path.name + "-cert.pub")
        return [path for path in dict.fromkeys((own, *self.target.certificate_files)) if self._certifies(path, file)]

    def _certifies(self, path: Path, file: KeyFile) -> bool:
        try:
            words = path.read_text("utf-8", "replace").split()
        except FileNotFoundError:
            return False
        except OSError as error:
            self.note(f"the certificate {path} was left out: {error.strerror}")
            return False
        if len(words) < 2 or file.public is None:
            return len(words) > 1
        # A certificate holds the fields of its key, less the type, in one piece (PROTOCOL.certkeys).
        return _string(file.public)[1] in _decoded(words[1])

    def _open(self, file: KeyFile) -> PKey | None:
        known = _known_as(file)
        if known in _opened:  # whoever is being asked for another one need not be waited for
            return _opened[known]
        with asking:
            if known not in _opened:
                key = self._load(file) if file.encrypted else self._try(file, None)
                if key is None and not file.encrypted:
                    self.note(f"the key {file.path} was left out: it cannot be read")
                if key is None:
                    return None
                _opened[known] = key
            return _opened[known]

    def _load(self, file: KeyFile) -> PKey | None:
        given = self.environ.get(PASSPHRASE_VARIABLE, "")
        if given:
            key = self._try(file, Secret(given))
            if key is not None:
                return key
            self.note(f"${PASSPHRASE_VARIABLE} does not open the key {file.path}")
        for question in (f"passphrase for {file.path}", f"that did not open it; passphrase for {file.path}"):
            answer = self.prompt(question)
            if answer is None:
                self.note(f"the key {file.path} was left out: it needs a passphrase; set ${PASSPHRASE_VARIABLE}")
                return None
            key = self._try(file, answer)
            if key is not None:
                return key
        self.note(f"the key {file.path} was left out: wrong passphrase")
        _opened[_known_as(file)] = None
        return None

    def _try(self, file: KeyFile, passphrase: Secret | None) -> PKey | None:
        try:
            return _CLASSES[file.type].from_private_key_file(
                str(file.path), None if passphrase is None else passphrase.reveal()
            )
        except (paramiko.SSHException, ValueError, IndexError, struct.error, OSError):
            return None
