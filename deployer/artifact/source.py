"""Gets the tarball as a file on this machine: built, found by a glob, or fetched."""

from __future__ import annotations

import glob
import re
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Final

from deployer import local
from deployer.artifact import address, checksum
from deployer.artifact.version import is_ordered, of_file_name, sort_key
from deployer.errors import ArtifactError, BuildError
from deployer.events import CommandLine, Emit, Note, PhaseEnded, PhaseStarted
from deployer.model import ArtifactSource

_TAIL: Final = 20
_MOST_NAMES: Final = 5
_BESIDE: Final = (".sha256", ".asc", ".sig", ".minisig")


def obtain(
    source: ArtifactSource, *, directory: Path, override: str = "", emit: Emit, cache: Path, build: bool = True
) -> Path:
    """Return the tarball.

    Args:
        directory: The config's, where its relative paths start and its build runs.
        override: A path (from the working directory) or an address that is taken instead; then nothing is built.
        cache: Where fetched files are kept.
        build: Whether the config's build command is run first.

    Raises:
        BuildError: The build failed; the end of its output is in the details.
        ArtifactError: It is not there, cannot be read or fetched, or has another digest.
    """
    try:
        return _obtained(source, directory=directory, override=override, emit=emit, cache=cache, build=build)
    except PermissionError as error:
        file = str(error.filename or directory)
        raise ArtifactError(f"{file} cannot be read: {error.strerror}", hint=f"ls -ld {quote(file)}") from error


def _obtained(source: ArtifactSource, *, directory: Path, override: str, emit: Emit, cache: Path, build: bool) -> Path:
    if override:
        return _get(override, sha256="", directory=local.working_directory(), emit=emit, cache=cache)
    if not source.url and not source.path:
        raise ArtifactError(
            "the config does not say where the tarball is",
            hint="set [artifact] path or url, or use --artifact PATH_OR_URL",
        )
    started = time.time()
    built = bool(source.build and build)
    if built:
        _build(source, directory, emit)
    path = _get(source.url or source.path, sha256=source.sha256, directory=directory, emit=emit, cache=cache)
    # A second's grace: file systems round their times.
    if built and path.stat().st_mtime < started - 1:
        emit(Note(level="warning", text=f"the build left {path.name} as it was ({_age(path)})"))
    return path


def _get(where: str, *, sha256: str, directory: Path, emit: Emit, cache: Path) -> Path:
    if not address.is_address(where):
        path = _newest(where, directory, emit)
        if sha256:
            checksum.verify(path, sha256)
        return path
    parsed = address.parse(where)
    if parsed.file:
        return _local(parsed, parsed.file, sha256, emit)
    from deployer.artifact import fetch  # TLS and HTTP are slow to import

    began = time.monotonic()
    emit(PhaseStarted(host="", phase="fetch", text=parsed.shown))
    try:
        path = fetch.fetch(parsed, sha256=sha256, cache=cache, emit=emit)
    except BaseException:
        emit(PhaseEnded(host="", phase="fetch", ok=False, took_s=time.monotonic() - began))
        raise
    emit(PhaseEnded(host="", phase="fetch", ok=True, took_s=time.monotonic() - began))
    return path


def _local(parsed: address.Address, path: Path, sha256: str, emit: Emit) -> Path:
    if not path.is_file():
        raise ArtifactError(f"there is no file {path}", hint=f"ls -l {quote(str(path.parent))}")
    beside = path.with_name(path.name + ".sha256")
    wanted = sha256 or parsed.sha256
    if not wanted and beside.is_file():
        wanted = checksum.of_text(beside.read_text("utf-8", "replace"), path.name)
        if not wanted:
            raise ArtifactError(
                f"{beside} holds no sha256 of {path.name}", hint=f"sha256sum {quote(str(path))} >{quote(str(beside))}"
            )
    if wanted:
        checksum.verify(path, wanted)
    else:
        emit(
            Note(
                level="info",
                text=f"{path.name} is taken as it is: there is no sha256 for it, and no {beside.name} beside it",
                hint=f"sha256sum {quote(str(path))} >{quote(str(beside))}",
            )
        )
    return path


def _build(source: ArtifactSource, directory: Path, emit: Emit) -> None:
    last: deque[str] = deque(maxlen=_TAIL)

    def on_line(line: str) -> None:
        last.append(line)
        emit(CommandLine(host="", command=source.build, text=line))

    began = time.monotonic()
    emit(PhaseStarted(host="", phase="build", text=source.build))
    ended = local.stream_shell(source.build, timeout_s=source.build_timeout_s, cwd=directory, on_line=on_line)
    ok = ended.status == 0 and not ended.timed_out
    emit(PhaseEnded(host="", phase="build", ok=ok, took_s=time.monotonic() - began))
    if ended.timed_out:
        raise BuildError(
            f"the build was ended after {source.build_timeout_s:g} s",
            hint="set [artifact] build_timeout to what it needs",
            details=tuple(last),
        )
    if not ok:
        how = f"status {ended.status}" if ended.status > 0 else f"signal {-ended.status}"
        raise BuildError(
            f"the build ended with {how}",
            hint=f"run it by hand: {_by_hand(source.build, directory)}",
            details=tuple(last),
        )


def _by_hand(build: str, directory: Path) -> str:
    """Return the build as it can be pasted: in a shell of its own, which its `exit` ends and which goes nowhere else."""
    place = quote(str(directory))
    # A hint is one line.
    return (
        f"cd {place}  # and there what [artifact] build says"
        if "\n" in build.strip()
        else f"(cd {place} || exit; {build.strip()})"
    )


def _newest(pattern: str, directory: Path, emit: Emit) -> Path:
    try:
        expanded = Path(pattern).expanduser()
    except RuntimeError as error:
        raise ArtifactError(
            f"{pattern} cannot be found: this machine knows no user of that name", hint="write the whole path"
        ) from error
    whole = str(Path(glob.escape(str(directory))) / expanded)
    # A name with brackets in it is first of all a name. The config's reader has escaped those of its own directory.
    here = directory.absolute()
    plain, own = str(here / expanded), glob.escape(str(here))
    literal = Path(str(here) + plain.removeprefix(own) if plain.startswith(f"{own}/") else plain)
    names = [str(literal)] if literal.is_file() else glob.glob(whole, recursive=True)  # noqa: PTH207 - with an absolute pattern
    found = [Path(name).parent.resolve() / Path(name).name for name in names if Path(name).is_file()]
    if len(found) > 1:
        # What lies beside tarballs would be the newest by its name.
        found = [path for path in found if path.suffix not in _BESIDE] or found
    if not found:
        raise _nothing(whole)
    if len(found) == 1:
        return found[0]
    ordered = all(is_ordered(of_file_name(path.name)) for path in found)
    ranked = sorted(
        found,
        key=lambda path: (sort_key(of_file_name(path.name)) if ordered else ((), (), 0, ()), path.stat().st_mtime),
    )
    chosen, youngest = ranked[-1], max(found, key=lambda path: path.stat().st_mtime)
    by = "the newest by version" if ordered else "the youngest file, as not all names tell a version"
    emit(Note(level="info", text=f"took {chosen.name}, {by} of {len(found)} that match"))
    if youngest.stat().st_mtime > chosen.stat().st_mtime + 1:
        emit(
            Note(
                level="warning",
                text=f"{youngest.name} is younger ({_age(youngest)}) than {chosen.name} ({_age(chosen)}), whose version is newer",
                hint=f"--artifact {quote(str(youngest))} takes the younger one",
            )
        )
    return chosen


def _nothing(pattern: str) -> ArtifactError:
    parts = Path(pattern).parent
    while glob.has_magic(_unescaped(str(parts), keep="")):
        parts = parts.parent
    directory = Path(_unescaped(str(parts))).resolve()
    pattern = str(directory / _unescaped(str(Path(pattern).relative_to(parts))))
    if not directory.is_dir():
        return ArtifactError(f"no file matches {pattern}: there is no directory {directory}", hint="build it first")
    names = sorted(path.name for path in directory.iterdir() if path.name.endswith((".tar.gz", ".tgz", ".tar")))
    if not names:
        return ArtifactError(
            f"no file matches {pattern}: {directory} holds no tarball",
            hint=f"build it first{_with_mix(directory)}",
        )
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ArtifactError(
        f"no file matches {pattern}",
        hint=f"{directory} holds {', '.join(names[:_MOST_NAMES])}{more}; did you mean one of these?",
    )


def _with_mix(directory: Path) -> str:
    if not any((each / "mix.exs").is_file() for each in (directory, *directory.parents)):
        return ""
    return "; mix release makes one with steps: [:assemble, :tar]"


def _unescaped(pattern: str, *, keep: str = r"\1") -> str:
    """Return a glob without the brackets of `glob.escape`, or without what they hold."""
    return re.sub(r"\[([*?[])\]", keep, pattern)


def _age(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone().strftime("%Y-%m-%d %H:%M:%S")
