"""Says in words what a tarball is, why, and how it would run. Pure: an artifact in, a text out."""

from __future__ import annotations

from deployer import unit
from deployer.artifact import Artifact, LinkMember
from deployer.kinds import commands
from deployer.kinds.base import Launch
from deployer.model import Config
from deployer.sizes import counted, size_text

_MOST_LINKS = 10


def explanation(artifact: Artifact, *, launch: Launch, config: Config) -> str:
    """Return what was seen in a tarball, and the unit and environment that its service would get."""
    release = artifact.release
    own_unit = config.service.template is not None
    called = f" {release.name}" if release.name else ""
    rows = [
        ("file", str(artifact.path)),
        ("kind", f"{release.kind}{called}"),
        *(("why", each) for each in release.why),
        ("version", f"{artifact.version} ({_version_source(artifact, config)})"),
        ("id", artifact.id),
        ("sha256", artifact.sha256),
        ("size", f"{size_text(artifact.size_bytes)}, {size_text(artifact.unpacked_bytes)} unpacked"),
        ("members", _members(artifact)),
        *(("link", f"{each.path} -> {each.target} (out of the release, as allowed)") for each in _outward(artifact)),
        *(("warning", each) for each in artifact.warnings),
        ("starts with", "what your unit file says" if own_unit else launch.exec_start),
        *(("commands", f"{task}: {command}") for task, command in commands(release).items()),
        *(("environment", f"{name}={value}") for name, value in (() if own_unit else launch.environment)),
    ]
    return f"{_table(rows)}\n\n{_unit(artifact, launch, config)}"


def _version_source(artifact: Artifact, config: Config) -> str:
    if config.artifact.version:
        return "from the config"
    return "from the release" if artifact.release.version else "from the file's name"


def _members(artifact: Artifact) -> str:
    directories = artifact.members - len(artifact.files) - len(artifact.links)
    members = ", ".join(
        (
            counted(len(artifact.files), "file"),
            counted(len(artifact.links), "link"),
            counted(directories, "directory", "directories"),
        )
    )
    return members + (f"; the top directory {artifact.top}/ is taken off" if artifact.top else "")


def _outward(artifact: Artifact) -> tuple[LinkMember, ...]:
    return tuple(link for link in artifact.links if link.outward)[:_MOST_LINKS]


def _table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    last, lines = "", []
    for name, text in rows:
        lines.append(f"{'' if name == last else name:{width}}  {text}")
        last = name
    return "\n".join(lines)


def _unit(artifact: Artifact, launch: Launch, config: Config) -> str:
    path = config.app.release_path(artifact.id)
    text = unit.unit_text(config, launch=launch, release_path=path, env_file=config.app.env_path)
    return f"# {config.app.unit_path}\n{text}"
