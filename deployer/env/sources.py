"""Brings the environment's values together: file, command, `set`, `inherit`, then the host's own. Later ones win.

Reads the dotenv file, runs the config's command, and looks who else could read the file. What the values become is
left to `systemd.py`. Every fault is found before any is raised.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from deployer import local
from deployer.env import dotenv
from deployer.env.systemd import oversize, unfit
from deployer.errors import EnvError
from deployer.events import Note
from deployer.masking import SHORTEST, Masks
from deployer.model import Config, Host, Secret

COMMAND_TIMEOUT_S: Final = 60.0
_GIT_TIMEOUT_S: Final = 10.0
_MOST_SHOWN: Final = 20
_STDERR_LINES: Final = 10
_REQUIRED_HINT: Final = "give each a value where it was looked for, or take its name out of [env] required"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """One variable. `origin` says where its value comes from, such as "env/prod.env:3" or "[env] set"."""

    name: str
    value: Secret
    origin: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The whole environment of a service on one host, names in order of the alphabet, with what is to be told of it."""

    variables: tuple[Variable, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def values(self) -> dict[str, Secret]:
        return {variable.name: variable.value for variable in self.variables}

    @property
    def origins(self) -> dict[str, str]:
        return {variable.name: variable.origin for variable in self.variables}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why the environment cannot be used, in a sentence; `hint` can be typed, `details` are lines that show the cause."""

    text: str
    hint: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What is the same for every host: the variables in the order in which they are merged, and faults not yet raised.

    `complete` is False where a source could not be read to its end, so that nothing can be said of missing names.
    """

    variables: tuple[Variable, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()
    complete: bool = True


def gather(config: Config, host: Host, *, environ: Mapping[str, str]) -> Environment:
    """Return the environment of the service on a host. With several hosts, `collect` once and then `for_host` each.

    Args:
        environ: The process environment, for `inherit`.

    Raises:
        EnvError: Something is missing, given twice, or cannot be carried; `details` holds a line for each.
    """
    return for_host(config, host, collect(config, environ=environ))


def collect(config: Config, *, environ: Mapping[str, str]) -> Sources:
    """Read the file, run the command (once, for at most a minute), and take `set` and `inherit`. Raises nothing."""
    parts = []
    if config.env.file is not None:
        parts.append(_of_file(config.env.file))
    if config.env.command:
        known_here = [Secret(environ[name]) for name in config.env.inherit if name in environ]
        known_here += [Secret(text) for _, text in config.env.set]
        parts.append(_of_command(config.env.command, config.directory, known_here))
    parts.append(Sources(variables=tuple(_given(config.env.set, "[env] set"))))
    known = {variable.name for part in parts for variable in part.variables}
    parts.append(_inherited(config.env.inherit, environ, known))
    return Sources(
        variables=tuple(variable for part in parts for variable in part.variables),
        faults=tuple(fault for part in parts for fault in part.faults),
        notes=tuple(note for part in parts for note in part.notes),
        complete=all(part.complete for part in parts),
    )


def for_host(config: Config, host: Host, sources: Sources) -> Environment:
    """Return what the sources and the host's own `env` make together.

    Raises:
        EnvError: As for `gather`.
    """
    variables = (*sources.variables, *_given(host.env, f"[hosts.{host.name}] env"))
    merged = {variable.name: variable for variable in variables}
    faults = [*sources.faults, *_unfit(variables)]
    if sources.complete:
        faults += _required(config, host, merged)
    values = {name: merged[name].value for name in sorted(merged)}
    if not faults and (why := oversize(values)):
        faults.append(Fault(text=why))
    if faults:
        raise _error(faults)
    return Environment(variables=tuple(merged[name] for name in values), notes=sources.notes)


def _of_file(path: Path) -> Sources:
    label = _label(path)
    try:
        content = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        example = path.with_name(f"{path.name}.example")
        what = quote(_label(example)) if example.is_file() else "/dev/null"
        hint = f"make it, for yourself alone: install -m 600 {what} {quote(label)} (then fill it in)"
        return _unread(Fault(text=f"there is no file {label}, which [env] file names", hint=hint))
    except OSError as error:
        return _unread(Fault(text=f"{label} cannot be read: {error.strerror}", hint=f"try: ls -l {quote(label)}"))
    notes = []
    if mode & 0o077:
        text = f"{label} can be read by others on this machine (mode {mode:04o})"
        notes.append(Note(level="warning", text=text, hint=f"chmod 600 {quote(label)}"))
    if _is_tracked(path):
        hint = f"git rm --cached {quote(label)}, and change the values: they stay in the history"
        notes.append(Note(level="warning", text=f"{label} is tracked by git, with the secrets in it", hint=hint))
    return _of_text(content, f"{label}:", tuple(notes))


def _of_command(command: str, directory: Path, known: Iterable[Secret]) -> Sources:
    # Without the command itself: a token may stand in it, and nobody has said what of it is secret.
    hint = f"see it by hand: cd {quote(_label(directory))}  # and there what [env] command says"
    done = local.run_shell(command, timeout_s=COMMAND_TIMEOUT_S, cwd=directory)
    found = _of_text(done.stdout, "[env] command, line ", ())
    said = _masked(done.stderr, [*known, *(variable.value for variable in found.variables)])
    if done.timed_out:
        return _unread(Fault(text=f"[env] command did not end within {COMMAND_TIMEOUT_S:g} s", hint=hint, details=said))
    if done.status < 0:
        return _unread(Fault(text=f"[env] command was ended by signal {-done.status}", hint=hint, details=said))
    if done.status:
        return _unread(Fault(text=f"[env] command ended with status {done.status}", hint=hint, details=said))
    if not found.variables and not found.faults:
        # In `vault … | jq …` the status of vault is lost, and an empty answer is all there is to see.
        return _unread(Fault(text="[env] command ended well and printed no variable", hint=hint, details=said))
    return found


def _masked(stderr: bytes, known: list[Secret]) -> tuple[str, ...]:
    """Return the end of what a command said, without the values that are known; short ones go where they are assigned.

    A command under `set -x` repeats on standard error what it prints. A secret that it never prints cannot be known.
    """
    masks = Masks()
    masks.add(known)
    short = [each.reveal() for each in known if 0 < len(each.reveal()) < SHORTEST]
    assigned = "|".join(map(re.escape, sorted(short, key=len, reverse=True)))
    text = masks.mask(stderr.decode("utf-8", "replace"))
    if short:
        text = re.sub(rf"""(=["']?)(?:{assigned})(?=["']?(?:\s|$))""", r"\1***", text)
    return tuple(text.splitlines()[-_STDERR_LINES:])


def _of_text(content: bytes, label: str, notes: tuple[Note, ...]) -> Sources:
    read = dotenv.read(content)
    return Sources(
        variables=tuple(
            Variable(name=each.name, value=each.value, origin=f"{label}{each.line}") for each in read.assignments
        ),
        faults=tuple(Fault(text=f"{label}{each.line}: {each.text}") for each in read.faults),
        notes=(*notes, *(Note(level="info", text=f"{label}{each.line}: {each.text}") for each in read.notes)),
        complete=read.complete,
    )


def _given(values: Iterable[tuple[str, str]], origin: str) -> Iterator[Variable]:
    return (Variable(name=name, value=Secret(text), origin=origin) for name, text in values)


def _inherited(names: Iterable[str], environ: Mapping[str, str], known: set[str]) -> Sources:
    origin = "[env] inherit"
    notes = tuple(
        Note(
            level="warning",
            text=f"{origin}: {name} is not set in the environment of this command, so the service goes without it",
            hint=f"set {name} here, or take it out of [env] inherit",
        )
        for name in names
        if name not in environ and name not in known
    )
    given = ((name, environ[name]) for name in names if name in environ)
    return Sources(variables=tuple(_given(given, origin)), notes=notes)


def _unfit(variables: Iterable[Variable]) -> Iterator[Fault]:
    for variable in variables:
        why = unfit(variable.name, variable.value)
        if why:
            yield Fault(text=f"{variable.origin}: {variable.name}: {why}")


def _required(config: Config, host: Host, merged: Mapping[str, Variable]) -> Iterator[Fault]:
    for name in config.env.required:
        found = merged.get(name)
        if found is None:
            where = _looked_in(config, host)
            yield Fault(text=f"{name} is required and missing; looked for in {where}", hint=_REQUIRED_HINT)
        elif not found.value:
            yield Fault(text=f"{name} is required and empty ({found.origin})", hint=_REQUIRED_HINT)


def _looked_in(config: Config, host: Host) -> str:
    env = config.env
    places = [
        (env.file is not None, _label(env.file) if env.file else ""),
        (bool(env.command), "what [env] command prints"),
        (bool(env.set), "[env] set"),
        (bool(env.inherit), "[env] inherit"),
        (bool(host.env), f"[hosts.{host.name}] env"),
    ]
    return ", ".join(text for there, text in places if there) or "nothing: [env] names no source"


def _error(faults: list[Fault]) -> EnvError:
    lines = [line for fault in faults for line in (fault.text, *(f"  {each}" for each in fault.details))]
    shown = lines[:_MOST_SHOWN]
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown)} more lines")
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    hint = next((fault.hint for fault in faults if fault.hint), "")
    return EnvError(f"the environment has {count}; nothing was touched", hint=hint, details=tuple(shown))


def _unread(fault: Fault) -> Sources:
    return Sources(faults=(fault,), complete=False)


def _is_tracked(path: Path) -> bool:
    # Any other answer (no git, no repository, not ours to look into) leaves nothing to warn of.
    try:
        done = local.run(
            ("git", "ls-files", "--error-unmatch", "--", path.name),
            timeout_s=_GIT_TIMEOUT_S,
            cwd=path.absolute().parent,
        )
    except FileNotFoundError:
        return False
    return done.status == 0


def _label(path: Path) -> str:
    """Return the path as a user would type it here."""
    cwd = Path.cwd()
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)
