"""Makes an `Artifact` of a file: judged, recognised and digested in one pass over it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from shlex import quote

from deployer import kinds
from deployer.artifact import judge
from deployer.artifact.stream import TarBytes
from deployer.artifact.tar import TarReader
from deployer.artifact.values import Artifact, RefusedError, shown
from deployer.artifact.version import of_file_name
from deployer.errors import ArtifactError
from deployer.kinds.base import Release, Tree
from deployer.model import MAX_MEMBERS, MAX_UNPACKED_BYTES, Config


def load_for(config: Config, path: Path) -> Artifact:
    """Read a tarball as a config wants it taken; see `load`."""
    return load(
        path,
        kind=config.service.kind,
        version=config.artifact.version,
        allow_links=config.artifact.allow_links,
        exec_start=config.service.exec_start,
        own_unit=config.service.template is not None,
        max_unpacked_bytes=config.artifact.max_unpacked_bytes,
        max_members=config.artifact.max_members,
    )


def load(
    path: Path,
    *,
    kind: str = "auto",
    version: str = "",
    allow_links: Iterable[str] = (),
    exec_start: str = "",
    own_unit: bool = False,
    max_unpacked_bytes: int = MAX_UNPACKED_BYTES,
    max_members: int = MAX_MEMBERS,
) -> Artifact:
    """Read a tarball and return what it is.

    Args:
        kind: As in the config: "auto", or the name of a kind.
        version: The version that the config gives, which wins over the release's and the file name's.
        allow_links: Globs of the symbolic links that may point out of the tree.
        exec_start: The command that the config gives; its program must be in the tree, or absolute.
        own_unit: The config gives a unit file of the user's own, which says what is started.
        max_unpacked_bytes, max_members: More is refused.

    Raises:
        ArtifactError: It cannot be read, must not be unpacked, is of no known kind, or has no version.
    """
    try:
        judged, source = _judged(path, tuple(allow_links), max_unpacked_bytes, max_members)
    except RefusedError as error:
        raise ArtifactError(f"{shown(path.name)} {error.sentence}", hint=error.hint) from error
    except OSError as error:
        raise ArtifactError(
            f"{shown(str(path))} cannot be read: {error.strerror}", hint=f"ls -l {quote(str(path))}"
        ) from error
    tree = Tree(
        paths=frozenset(file.path for file in judged.files) | {link.path for link in judged.links},
        executables=judged.executables,
        texts=judged.texts,
    )
    try:
        release = kinds.recognise(tree, kind=kind, exec_start=exec_start, own_unit=own_unit, top=judged.top)
    except ArtifactError as error:
        hint = error.hint or f"see what is in it: tar -tf {quote(str(path))}"
        raise ArtifactError(f"{shown(path.name)}: {error.message}", hint=hint) from error
    return Artifact(
        path=path,
        sha256=source.sha256,
        size_bytes=source.size_bytes,
        file_name=path.name,
        version=_version(path, version, release),
        release=release,
        strip=judged.strip,
        top=judged.top,
        members=judged.members,
        unpacked_bytes=judged.unpacked_bytes,
        files=judged.files,
        links=judged.links,
        warnings=judged.warnings,
    )


def _judged(
    path: Path, allow_links: tuple[str, ...], limit_bytes: int, most_members: int
) -> tuple[judge.Judged, TarBytes]:
    with path.open("rb") as file:
        source = TarBytes(file, limit_bytes=limit_bytes)
        found = judge.judge(
            TarReader(source), allow_links=allow_links, texts=kinds.text_globs(), most_members=most_members
        )
        return found, source


def _version(path: Path, given: str, release: Release) -> str:
    found = given or release.version or of_file_name(path.name)
    if not found:
        raise ArtifactError(
            f"neither the release nor the file name {shown(path.name)} tells a version",
            hint='set [release] version = "1.4.2", or name the file NAME-1.4.2.tar.gz',
        )
    return found
