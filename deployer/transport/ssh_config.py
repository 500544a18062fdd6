"""Where and as whom to connect: a host of the config, completed from OpenSSH's own configuration.

`ssh -G` answers where OpenSSH is installed, so `Include`, `Match`, `ProxyJump`, tokens and canonical names mean here
what they mean on the command line; without it paramiko's parser does the common part. What the config of ours gives
(port, user, key, jump host, known_hosts) wins. Nothing here opens a connection.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import pwd
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployer.errors import UsageError
from deployer.model import Host, Ssh
from deployer.transport import openssh
from deployer.transport.openssh import Settings

# What has no counterpart here, by its keyword: what it says of itself where it does nothing, and what becomes of it.
_NOT_HONOURED = {
    "RevokedHostKeys": ("none", "looked at; an @revoked line in known_hosts is (sshd(8))"),
    "KnownHostsCommand": ("none", "run; known_hosts files alone are read"),
    "PKCS11Provider": ("none", "loaded; add the key to an ssh agent (ssh-add -s)"),
    "BindInterface": ("", "used; BindAddress is"),
    "ProxyUseFdpass": ("no", "used; a ProxyCommand has to carry the bytes itself"),
}
# More hops than anybody has; two hosts that name each other as jump host end here.
_MAX_HOPS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One hop: what is dialled, who we are there, and what proves either side.

    `name` is what was asked for, `hostname` what it stands for. `known_hosts` are the files to look in, the first
    being the one that a newly accepted key goes to. `identity_files` exist. `identities_given` tells keys that
    somebody chose from OpenSSH's defaults. `agent` is a socket's path, empty for none. `bind_address` is one of
    ours, or a name for it, to go out from; empty for any. `jump` is the host to go through, with a jump host of its own
    perhaps.
    """

    name: str
    hostname: str
    port: int
    user: str
    identity_files: tuple[Path, ...] = ()
    identities_given: bool = False
    identities_only: bool = False
    certificate_files: tuple[Path, ...] = ()
    agent: str = ""
    known_hosts: tuple[Path, ...] = ()
    host_key_alias: str = ""
    hash_known_hosts: bool = False
    family: socket.AddressFamily = socket.AF_UNSPEC
    bind_address: str = ""
    proxy_command: str = ""
    jump: Target | None = None

    @property
    def place(self) -> str:
        return f"{self.hostname} port {self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hop:
    """A hop as it was written: an address with what the config or a jump specification says about it."""

    address: str
    port: int | None = None
    user: str = ""
    jump: str = ""


def resolve(host: Host, ssh: Ssh, *, environ: Mapping[str, str], note: Callable[[str], None]) -> Target:
    """Return how to reach a host of the config, jump hosts included.

    Raises:
        UsageError: OpenSSH's configuration has a fault, a jump host is written wrongly, or the jumps never end.

    `environ` says where the agent is. `note` is told of what could not be honoured. A key given in the config is the
    only one that the host itself is offered; its jump hosts are offered it besides their own.
    """
    if host.address.startswith("-"):
        raise UsageError(f"{host.address} is not an address", host=host.name, hint=f"correct it in [hosts.{host.name}]")
    if host.proxy_jump.lower() not in ("", "none"):
        for spec in host.proxy_jump.split(","):  # OpenSSH would read a faulty one up to the fault
            _parse_hop(spec.strip(), host=host)
    hop = _Hop(address=host.address, port=host.port, user=host.user, jump=host.proxy_jump)
    return _Resolver(host=host, ssh=ssh, environ=environ, note=note).target(hop, depth=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Resolver:
    host: Host
    ssh: Ssh
    environ: Mapping[str, str]
    note: Callable[[str], None]

    def target(self, hop: _Hop, *, depth: int) -> Target:
        if depth > _MAX_HOPS:
            raise UsageError(
                f"more than {_MAX_HOPS} jump hosts on the way to {self.host.address}",
                host=self.host.name,
                hint=f"look for hosts that jump through each other: ssh -G {self.host.address} | grep -i proxyjump",
            )
        settings = openssh.settings(
            hop.address, port=hop.port, user=hop.user, jump=hop.jump, config=self.ssh.config, note=self.note
        )
        tokens = self._tokens(hop, settings)
        jump, command = self._proxies(hop, settings, tokens)
        given, files = self._identities(settings, tokens, first=depth == 0)
        alias = openssh.first(settings, "hostkeyalias")
        self._name_what_is_left(settings, hop)
        return Target(
            name=hop.address,
            hostname=tokens["h"],
            port=int(tokens["p"]),
            user=tokens["r"],
            identity_files=files,
            identities_given=given,
            identities_only=openssh.first(settings, "identitiesonly") == "yes" or self._only_ours(first=depth == 0),
            certificate_files=self._existing(settings.get("certificatefile", ()), tokens),
            agent=self._agent(settings, tokens),
            known_hosts=self._known_hosts(settings, tokens, first=depth == 0),
            host_key_alias="" if alias == "none" else alias,
            hash_known_hosts=openssh.first(settings, "hashknownhosts") == "yes",
            family={"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(
                openssh.first(settings, "addressfamily"), socket.AF_UNSPEC
            ),
            bind_address=openssh.first(settings, "bindaddress"),
            proxy_command=command,
            jump=None if jump is None else self.target(jump, depth=depth + 1),
        )

    def _tokens(self, hop: _Hop, settings: Settings) -> Mapping[str, str]:
        *_, jump = openssh.first(settings, "proxyjump").split(",")
        found = {
            "%": "%",
            "d": str(openssh.home()),
            "h": openssh.first(settings, "hostname") or hop.address,
            "i": str(os.getuid()),
            "j": "" if jump.lower() in ("", "none") else _parse_hop(jump.strip(), host=self.host).address,
            "k": openssh.first(settings, "hostkeyalias") or hop.address,
            "l": socket.gethostname(),
            "L": socket.gethostname().split(".")[0],
            "n": hop.address,
            "p": str(hop.port or openssh.first(settings, "port") or 22),
            "r": hop.user or openssh.first(settings, "user") or getpass.getuser(),
            "u": _local_user(),
        }
        # OpenSSH before 9.6 knows no %j, and leaves the jump host out of this.
        together = "".join(found[token] for token in "lhprj")
        return {**found, "C": hashlib.sha1(together.encode(), usedforsecurity=False).hexdigest()}

    def _proxies(self, hop: _Hop, settings: Settings, tokens: Mapping[str, str]) -> tuple[_Hop | None, str]:
        spec = openssh.first(settings, "proxyjump")
        if spec and spec.lower() != "none":
            # ssh -G leaves tokens as they are. For all hops they stand for the host at the end: a hop's own jump
            # specification is what is left of that, and what the config gives is meant as it stands.
            spec = spec if hop.jump else _expand(spec, tokens)
            *before, last = spec.split(",")
            written = _parse_hop(last.strip(), host=self.host)
            if before or written.address.lower() != hop.address.lower():
                return _Hop(address=written.address, port=written.port, user=written.user, jump=",".join(before)), ""
        command = openssh.first(settings, "proxycommand")
        return None, "" if command.lower() == "none" else _expand(command, tokens)

    def _identities(
        self, settings: Settings, tokens: Mapping[str, str], *, first: bool
    ) -> tuple[bool, tuple[Path, ...]]:
        given = self.host.identity_file
        if given is not None and first:
            self._insist(given.expanduser())
            return True, (given.expanduser(),)
        written = settings.get("identityfile", ())
        defaults = {str(openssh.home() / ".ssh" / name) for name in openssh.DEFAULT_KEYS}
        files = self._existing(written, tokens)
        if given is not None and given.expanduser() not in files and self._is_there(given.expanduser()):
            files = (*files, given.expanduser())
        return any(str(path) not in defaults for path in files), files

    def _insist(self, path: Path) -> None:
        try:
            path.stat()
        except OSError as error:
            is_none = isinstance(error, (FileNotFoundError, NotADirectoryError))
            what = "does not exist" if is_none else f"cannot be looked at: {error.strerror}"
            look = f"ls {path.parent}" if is_none else f"ls -l {path}"
            raise UsageError(
                f"the identity file {path} {what}",
                host=self.host.name,
                hint=f"try: {look}, and correct identity_file of [hosts.{self.host.name}]",
            ) from error

    def _existing(self, written: tuple[str, ...], tokens: Mapping[str, str]) -> tuple[Path, ...]:
        paths = dict.fromkeys(_path(text.strip('"'), tokens) for text in written if text.lower() != "none")
        return tuple(path for path in paths if self._is_there(path))

    def _is_there(self, path: Path) -> bool:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:  # OpenSSH says so, too, and goes on to the next
            self.note(f"{path} was left out: {error.strerror}")
            return False
        return True

    def _only_ours(self, *, first: bool) -> bool:
        return first and self.host.identity_file is not None

    def _agent(self, settings: Settings, tokens: Mapping[str, str]) -> str:
        written = openssh.first(settings, "identityagent")
        if written.lower() == "none":
            return ""
        if not written or written == "SSH_AUTH_SOCK":
            return self.environ.get("SSH_AUTH_SOCK", "")
        if written.startswith("$"):
            return self.environ.get(written.strip("${}"), "")
        return str(_path(written, tokens))

    def _known_hosts(self, settings: Settings, tokens: Mapping[str, str], *, first: bool) -> tuple[Path, ...]:
        ours = (self.host.known_hosts.expanduser(),) if self.host.known_hosts else ()
        if ours and first:
            return ours
        files = [
            _path(part, tokens)
            for keyword in ("userknownhostsfile", "globalknownhostsfile")
            for line in settings.get(keyword, ())
            for part in openssh.split_paths(line)
            if part.lower() != "none"
        ]
        return (*ours, *files)

    def _name_what_is_left(self, settings: Settings, hop: _Hop) -> None:
        for keyword, (nothing, instead) in _NOT_HONOURED.items():
            if openssh.first(settings, keyword.lower()).lower() not in ("", nothing):
                self.note(f"{keyword} of {hop.address} is not {instead}")


def _parse_hop(spec: str, *, host: Host) -> _Hop:
    match = re.fullmatch(
        r"(?:ssh://)?(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[^\]]+)\]|(?P<name>[^:@/\[\]\s]+))(?::(?P<port>\d+))?/?", spec
    )
    if match is None or (match["name"] or "").startswith("-"):
        raise UsageError(
            f"'{spec}' is not a jump host",
            host=host.name,
            hint="write it as [USER@]ADDRESS[:PORT], several with commas",
        )
    port = match["port"]
    return _Hop(address=match["six"] or match["name"], port=int(port) if port else None, user=match["user"] or "")


def _path(written: str, tokens: Mapping[str, str]) -> Path:
    # OpenSSH takes the home directory from the account, not from $HOME.
    text = _expand(os.path.expandvars(written), tokens)
    if text.startswith("~/"):
        return openssh.home() / text[2:]
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no user of that name
        return Path(text)


def _expand(text: str, tokens: Mapping[str, str]) -> str:
    return re.sub(r"%(.)", lambda match: tokens.get(match[1], match[0]), text)


def _local_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
