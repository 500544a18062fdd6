"""The nouns: frozen values that every other room speaks in.

What the config says about an app (`Config` and its parts), and `Secret`. No input, no output, no clock. Paths on this
machine are `Path`, paths on a host `PurePosixPath`. Durations are seconds (`_s`), sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal

MAX_UNPACKED_BYTES: Final = 4 << 30
MAX_MEMBERS: Final = 200_000


class Secret:
    """A text that must not be shown: `repr`, `str` and formatting give `***`, pickling is refused.

    Compare with `==`; read with `reveal()`, which is searched for in reviews.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not written anywhere")


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """`[app]`: what the service is called and where it lives on a host."""

    name: str
    user: str
    description: str
    root: PurePosixPath
    keep: int

    @property
    def unit(self) -> str:
        return f"{self.name}.service"

    @property
    def unit_path(self) -> PurePosixPath:
        return PurePosixPath("/etc/systemd/system") / self.unit

    @property
    def trial_path(self) -> PurePosixPath:
        """Where the unit of a release on trial lies: before `/etc`, and gone after a reboot."""
        return PurePosixPath("/run/systemd/system.control") / self.unit

    @property
    def env_path(self) -> PurePosixPath:
        return PurePosixPath("/etc/default") / f"{self.name}.env"

    def release_path(self, release_id: str) -> PurePosixPath:
        return self.root / "releases" / release_id


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactSource:
    """`[artifact]` and `[release]`: where the tarball comes from.

    Exactly one of `path` (a glob on this machine) and `url` is set, or neither when the command line names one.
    `build` is a local command to run before `path` is looked at. `allow_links` are globs of members whose link may
    point out of the tree. `max_unpacked_bytes` and `max_members` are what a tarball may unpack to.
    """

    path: str = ""
    url: str = field(default="", repr=False)  # a password or a token may be in it
    sha256: str = ""
    build: str = ""
    build_timeout_s: float = 1800.0
    allow_links: tuple[str, ...] = ()
    max_unpacked_bytes: int = MAX_UNPACKED_BYTES
    max_members: int = MAX_MEMBERS
    version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """`[service]`: how the release is run under systemd.

    `directives` maps `Section.Directive` to its lines: an empty tuple removes the directive, otherwise the lines
    replace it. `template` is a unit file of the user's own; then nothing else here shapes the unit.
    """

    kind: str = "auto"
    exec_start: str = ""
    migrate: tuple[str, ...] = ()
    migrate_timeout_s: float = 600.0
    type: str = "exec"
    hardening: Literal["strict", "basic", "off"] = "strict"
    restart: str = "on-failure"
    restart_delay_s: float = 2.0
    start_timeout_s: float = 90.0
    stop_timeout_s: float = 30.0
    template: Path | None = None
    directives: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), repr=False)  # secrets may be in them


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvSource:
    """`[env]`: where the service's environment comes from, in the order in which it is merged (later wins)."""

    file: Path | None = None
    command: str = field(default="", repr=False)  # a token may be in it
    set: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # secrets may be among the values
    inherit: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """`[health]`: what a release must show on its host before it is committed. Each check that is set must pass."""

    http: str = ""
    status: tuple[int, ...] = (200,)
    body: str = ""
    tcp: str = ""
    unix: str = ""
    command: str = ""
    settle_s: float = 5.0
    timeout_s: float = 60.0
    interval_s: float = 1.0
    check_timeout_s: float = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ssh:
    """`[ssh]`: time limits of a connection, and what may be asked of OpenSSH's own config."""

    connect_timeout_s: float = 10.0
    keepalive_s: float = 5.0
    dead_after_s: float = 15.0
    step_timeout_s: float = 300.0
    config: Path | None = None
    accept_new: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """`[hosts.NAME]`. An empty or None field was not given: ssh_config or OpenSSH's default decides."""

    name: str
    address: str
    port: int | None = None
    user: str = ""
    identity_file: Path | None = None
    known_hosts: Path | None = None
    proxy_jump: str = ""
    groups: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # secrets may be among the values


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A whole config, checked. `path` is the file it was read from."""

    path: Path
    app: App
    artifact: ArtifactSource = field(default_factory=ArtifactSource)
    service: Service = field(default_factory=Service)
    env: EnvSource = field(default_factory=EnvSource)
    health: Health = field(default_factory=Health)
    ssh: Ssh = field(default_factory=Ssh)
    hosts: tuple[Host, ...] = ()
    default_hosts: str = ""
    parallel: int = 1

    @property
    def directory(self) -> Path:
        """Where relative local paths of the config start."""
        return self.path.parent
