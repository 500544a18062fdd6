"""Host keys: what known_hosts files say about a host, and what follows from it.

Reads the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT", as OpenSSH does: patterns, negations, hashed names, ports,
several keys of a type, markers; lines that make no sense are passed over. Judges, words the refusal, and adds a line
where the config allows that. Knows nothing of connections.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import shlex
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from deployer.errors import HostKeyError
from deployer.transport.ssh_config import Target

Verdict: TypeAlias = Literal["known", "unknown", "changed", "revoked", "authority"]

# Two hosts behind one new jump host are connected at the same time, and both would add its key.
_adding = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class HostKey:
    """A public key: its type ("ssh-ed25519") and its encoded form."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As OpenSSH prints it: `SHA256:` and base64 without padding."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def text(self) -> str:
        return f"{self.type} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownLine:
    """A line that speaks of the host: `marker` is empty, "@revoked" or "@cert-authority"; `number` counts from 1.

    `portless` marks a line that names the host without its port, where that is not 22.
    """

    path: Path
    number: int
    marker: str
    key: HostKey
    portless: bool = False


def names_of(target: Target) -> tuple[str, ...]:
    """Return the names that a host's key may be filed under, the one to file it under first."""
    if target.host_key_alias:
        return (target.host_key_alias,)
    hostname = target.hostname.lower()
    return (hostname,) if target.port == 22 else (f"[{hostname}]:{target.port}", hostname)


def known_lines(target: Target) -> tuple[KnownLine, ...]:
    """Return the lines of a host's known_hosts files that speak of it. A file that is not there has none.

    Raises:
        HostKeyError: A file is there but cannot be read.
    """
    names = names_of(target)
    found: list[KnownLine] = []
    for path in target.known_hosts:
        try:
            text = path.read_text("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise HostKeyError(f"{path} cannot be read: {error.strerror}", hint=f"try: ls -l {path}") from error
        found += matching_lines(text, names, path=path)
    return tuple(found)


def matching_lines(text: str, names: tuple[str, ...], *, path: Path) -> Iterable[KnownLine]:
    """Yield the lines of a known_hosts text that speak of one of the names."""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked", "@cert-authority"):
            continue
        patterns, kind, encoded = words[:3]
        matched = [name for name in names if _speaks_of(patterns, name)]
        if not matched:
            continue
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        key = HostKey(type=kind, blob=blob)
        yield KnownLine(path=path, number=number, marker=marker, key=key, portless=matched[0] != names[0])


def judge(lines: tuple[KnownLine, ...], key: HostKey) -> Verdict:
    """Tell what the lines that speak of a host say about the key it showed.

    A key of another type than those on file is "changed" as well: whoever cannot show the key that we know would show
    one of a type that we don't. Lines without the host's port can vouch for its key, but do not contradict it.
    """
    if any(line.marker == "@revoked" and line.key.blob == key.blob for line in lines):
        return "revoked"
    plain = [line for line in lines if not line.marker]
    if any(line.key.blob == key.blob for line in plain):
        return "known"
    if any(not line.portless for line in plain):
        return "changed"
    return "authority" if any(line.marker == "@cert-authority" for line in lines) else "unknown"


def algorithms_first(lines: tuple[KnownLine, ...], offered: Iterable[str]) -> list[str]:
    """Order host key algorithms so that the host shows a key we can compare, where it has several."""
    types = {line.key.type for line in lines if not line.marker}

    def is_known(algorithm: str) -> bool:
        return ("ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm) in types

    return sorted(offered, key=lambda algorithm: not is_known(algorithm))


def check(
    target: Target,
    lines: tuple[KnownLine, ...],
    key: HostKey,
    *,
    host: str,
    accept_new: bool,
    note: Callable[[str], None],
) -> None:
    """Let a host's key pass, or refuse it.

    Args:
        host: The config's name of the host, for the message.
        accept_new: Add the key of a host that nothing is known about to the first known_hosts file, and tell `note`.

    Raises:
        HostKeyError: The key is unknown, not the one on file, or revoked; or it could not be added.
    """
    verdict = judge(lines, key)
    if verdict == "known":
        return
    if verdict == "unknown" and accept_new and target.known_hosts:
        _add(target, key, host=host, note=note)
        return
    raise _refusal(verdict, target, lines, key, host=host)


def _refusal(
    verdict: Verdict, target: Target, lines: tuple[KnownLine, ...], key: HostKey, *, host: str
) -> HostKeyError:
    name = names_of(target)[0]
    shown = f"{key.type} {key.fingerprint}"
    where = f"{target.name} ({target.place})" if target.name != target.hostname else target.place
    file = target.known_hosts[0] if target.known_hosts else Path("~/.ssh/known_hosts")
    line = f"the line for {file}, once you have compared the fingerprint on the host: {name} {key.text}"
    compare = f"on the host, ssh-keygen -lf /etc/ssh/ssh_host_{_file_word(key.type)}_key.pub shows the fingerprint"
    others = tuple(
        f"{other.path}:{other.number} has {other.key.type} {other.key.fingerprint}"
        for other in lines
        if not other.marker
    )
    if verdict == "revoked":
        marked = next(line for line in lines if line.marker == "@revoked" and line.key.blob == key.blob)
        return HostKeyError(
            f"the host key of {where} is revoked: {shown}, by {marked.path}:{marked.number}",
            host=host,
            hint="do not connect; give the host a new key and pin that",
        )
    if verdict == "changed":
        stale = next(line for line in lines if not line.marker)
        return HostKeyError(
            f"the host key of {where} has changed: it shows {shown}, but {others[0]}",
            host=host,
            hint=f"somebody may be listening in; if the host was set up anew, "
            f"try: ssh-keygen -R {shlex.quote(name)} -f {shlex.quote(str(stale.path))}",
            details=(*others[1:], compare, line),
        )
    if verdict == "authority":
        return HostKeyError(
            f"the host key of {where} is vouched for by a @cert-authority line alone, "
            f"and host certificates are not supported yet: {shown}",
            host=host,
            hint=_pin_hint(target, file, key),
            details=(compare, line),
        )
    return HostKeyError(
        f"the host key of {where} is not known: {shown}, and none is in {_listed(target.known_hosts)}",
        host=host,
        hint=f"{_pin_hint(target, file, key)}, or set accept_new = true in [ssh]",
        details=(compare, line),
    )


def _pin_hint(target: Target, file: Path, key: HostKey) -> str:
    if target.jump is not None or target.proxy_command or target.host_key_alias:
        return f"compare the fingerprint, then add the line below to {file}"
    scan = f"ssh-keyscan -p {target.port} -t {_file_word(key.type)} {shlex.quote(target.hostname)}"
    return f"compare the fingerprint, then: {scan} >> {shlex.quote(str(file))}"


def _add(target: Target, key: HostKey, *, host: str, note: Callable[[str], None]) -> None:
    path = target.known_hosts[0]
    with _adding:
        now = judge(known_lines(target), key)
        if now == "known":
            return
        if now != "unknown":
            raise _refusal(now, target, known_lines(target), key, host=host)
        name = names_of(target)[0]
        try:
            append_line(path, f"{hashed(name) if target.hash_known_hosts else name} {key.text}")
        except OSError as error:
            raise HostKeyError(
                f"the new key of {target.place} could not be added to {path}: {error.strerror}",
                host=host,
                hint=f"try: ls -ld {path.parent} {path}",
            ) from error
    note(f"added the host key of {target.place} to {path}: {key.type} {key.fingerprint}")


def append_line(path: Path, line: str) -> None:
    """Add a line to a file that may not exist, or not end with a newline. A new file is 0600, a new directory 0700."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        unfinished = size > 0 and file.read(1) != b"\n"
        file.write((b"\n" if unfinished else b"") + line.encode() + b"\n")


def hashed(name: str) -> str:
    """Return a name as `HashKnownHosts` files it: `|1|SALT|HMAC-SHA1 of the name`."""
    salt = os.urandom(20)
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(_digest(salt, name)).decode()}"


def _digest(salt: bytes, name: str) -> bytes:
    return hmac.digest(salt, name.encode(), "sha1")


def _speaks_of(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _is_hash_of(patterns, name)
    matched = False
    for pattern in patterns.lower().split(","):
        if _matches(pattern.removeprefix("!"), name.lower()):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _is_hash_of(text: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in text[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(_digest(salt, name), digest)


def _matches(pattern: str, name: str) -> bool:
    # fnmatch would take the brackets of [host]:port for a set of letters.
    words = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(words), name, re.DOTALL) is not None


def _file_word(key_type: str) -> str:
    return {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(key_type, "ecdsa")


def _listed(paths: tuple[Path, ...]) -> str:
    return " or ".join(str(path) for path in paths) or "any file (UserKnownHostsFile none)"
