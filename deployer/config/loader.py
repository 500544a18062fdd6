"""From a TOML file to a `model.Config`: every fault at once, each with its line, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any, Final, TypeAlias

import tomli

from deployer import model
from deployer.config import schema
from deployer.config.defaults import filled
from deployer.config.definition import Table
from deployer.config.faults import BAD, Fault, Spot, dotted
from deployer.config.lines import Lines, lines
from deployer.config.near import near
from deployer.config.unknown import unknown_key, unknown_table
from deployer.errors import ConfigError

Judge: TypeAlias = Callable[[Mapping[str, Any]], Iterable[tuple[tuple[str, ...], str]]]
"""Gets the values of `[service]` that were read; yields further faults, each with the way to its key below the table.
What a unit must look like is known in another room, above this one."""

DEFAULT_PATH: Final = Path("config/deploy.toml")


def find(explicit: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the config file that is meant: `--config`, else `$DEPLOYER_CONFIG`, else `config/deploy.toml` in `cwd`.

    Raises:
        ConfigError: It is not there.
    """
    named = explicit or environ.get("DEPLOYER_CONFIG", "")
    if explicit == "":
        raise ConfigError("--config is empty", hint=f"give a file, or leave it out to use {DEFAULT_PATH}")
    try:
        path = cwd / (Path(named).expanduser() if named else DEFAULT_PATH)
        there = path.exists()
    except RuntimeError:
        path, there = cwd / named, False
    except OSError:
        # It cannot even be asked for, as in a closed directory: reading it will say why.
        there = True
    if there:
        return path
    if not named:
        raise ConfigError(f"there is no {DEFAULT_PATH} in {cwd}", hint=_elsewhere(cwd))
    source = "--config" if explicit else "$DEPLOYER_CONFIG"
    raise ConfigError(
        f"there is no file {named}, which {source} names",
        hint=f"try: ls -l {quote(str(path.parent))}, or make config/deploy.toml with: deployer init",
    )


def _elsewhere(cwd: Path) -> str:
    """Return what to type where the default config is not here: it may be the one of a directory above."""
    for above in cwd.parents:
        if (above / DEFAULT_PATH).is_file():
            return f"there is one above: cd {quote(str(above))} (or name it with --config {quote(str(above / DEFAULT_PATH))})"
    return "make one with: deployer init (or name one with --config FILE)"


def load(path: Path, *, judge: Judge | None = None) -> model.Config:
    """Read a config file.

    Args:
        judge: Whoever has more to say about `[service]`; what it says is told with all other faults.

    Raises:
        ConfigError: It cannot be read, or has faults: `details` holds a line for each.
    """
    return loads(_text(path), path=path, judge=judge)


def loads(text: str, *, path: Path, judge: Judge | None = None) -> model.Config:
    """Read the text of a config. `path` is where it stands: it gives the directory of relative paths, and is shown."""
    label = _label(path)
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise _faulty(label, [_syntax(text, label, error)]) from error
    except (ValueError, RecursionError) as error:
        # Python refuses to read a number of thousands of digits, and endless nesting; tomli lets both through.
        raise _faulty(label, [f"{label}:1: not readable as TOML: {type(error).__name__}"]) from error
    return read(document, path=path, where=lines(text), judge=judge)


def read(document: Mapping[str, Any], *, path: Path, where: Lines, judge: Judge | None = None) -> model.Config:
    """Return the config that a parsed document gives.

    Raises:
        ConfigError: It has faults: `details` holds a line for each, in the order of the file.
    """
    spot = Spot(directory=path.absolute().parent)
    parts = {table.name: _table(table, document, spot) for table in schema.TABLES if not table.named}
    hosts = _hosts(schema.BY_NAME["hosts"], document, spot)
    for name in document:
        if name not in schema.BY_NAME:
            spot.at(name).refuse(unknown_table(name))
    _groups(hosts, spot)
    _default(parts["deploy"], hosts, document, spot)
    if judge is not None:
        for trail, message in judge(parts["service"]):
            replace(spot, trail=_as_written(("service", *trail), document)).refuse(message)
    if spot.faults:
        label = _label(path)
        raise _faulty(label, _told(spot.faults, label, where))
    return filled(path, parts, hosts)


def _table(table: Table, document: Mapping[str, Any], spot: Spot) -> dict[str, Any]:
    here = spot.at(table.name)
    if table.name not in document:
        return _keys(table, {}, here)
    found = document[table.name]
    if not isinstance(found, dict):
        here.hidden().wrong(found, f"a table: write {table.title} on a line of its own, and its keys below")
        return {}
    return _keys(table, found, here)


def _hosts(table: Table, document: Mapping[str, Any], spot: Spot) -> dict[str, dict[str, Any]]:
    here = spot.at(table.name)
    found = document.get(table.name, {})
    if not isinstance(found, dict):
        here.hidden().wrong(found, f"a table of hosts: write {table.title} on a line of its own, and its keys below")
        return {}
    hosts: dict[str, dict[str, Any]] = {}
    for name, keys in found.items():
        host = here.at(name)
        if not isinstance(keys, dict):
            meant = near(name, table.names)
            accepts = f"a host: {meant} is a key of {table.title}" if meant else f"a table: write [hosts.{name}]"
            host.hidden().wrong(keys, accepts)
            continue
        if not re.fullmatch(table.name_pattern, name):
            host.refuse(f"a host's name must be {table.name_accepts}")
        hosts[name] = _keys(table, keys, host)
    return hosts


def _keys(table: Table, found: Mapping[str, Any], spot: Spot) -> dict[str, Any]:
    """Read the keys of one table: what was given and is good, and defaults for what was not given."""
    values: dict[str, Any] = {}
    for key in table.keys:
        here = spot.at(key.name).hidden() if key.private else spot.at(key.name)
        if key.name in found:
            value = key.value.read(found[key.name], here)
        elif key.required:
            value = here.refuse(f"missing: it must be given, such as {key.example}")
        elif key.default is not None:
            value = key.value.read(key.default, here)
        else:
            continue
        if value is not BAD:
            values[key.name] = value
    for name in found:
        if name not in table.names:
            spot.at(name).refuse(unknown_key(name, table))
    for rule in table.rules:
        for name, message in rule.check(values, frozenset(found)):
            spot.at(name).refuse(message)
    return values


def _groups(hosts: Mapping[str, Mapping[str, Any]], spot: Spot) -> None:
    for name, keys in hosts.items():
        for index, group in enumerate(keys.get("groups", ())):
            if group in hosts:
                here = spot.at("hosts").at(name).at("groups").at(index)
                here.refuse(f'"{group}" is the name of a host; a group needs a name of its own')


def _default(
    deploy: Mapping[str, Any], hosts: Mapping[str, Mapping[str, Any]], document: Mapping[str, Any], spot: Spot
) -> None:
    wanted = deploy.get("default", "")
    known = (*hosts, *sorted({group for keys in hosts.values() for group in keys.get("groups", ())} - set(hosts)))
    if wanted and wanted not in known and isinstance(document.get("hosts", {}), dict):
        meant = near(wanted, known)
        names = f"known are {', '.join(known)}" if known else "this config has no hosts"
        asked = f'; did you mean "{meant}"?' if meant else ""
        spot.at("deploy").at("default").refuse(f'"{wanted}" is no host and no group; {names}{asked}')


def _as_written(trail: tuple[str, ...], document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the way to a directive by the name that it has in the file: `Service.` may be left out there."""
    short = (*trail[:-1], trail[-1].removeprefix("Service."))
    found: Any = document
    for step in short:
        found = found.get(step) if isinstance(found, dict) else None
    return trail if found is None else short


def _told(faults: Iterable[Fault], label: str, where: Lines) -> list[str]:
    placed = [(where.of(fault.trail), fault) for fault in faults]
    placed.sort(key=lambda each: each[0])
    return [f"{label}:{line}: {dotted(fault.trail)}: {fault.message}" for line, fault in placed]


def _faulty(label: str, details: list[str]) -> ConfigError:
    count = "a fault" if len(details) == 1 else f"{len(details)} faults"
    hint = "mend it and look again with: deployer check"
    return ConfigError(f"{label} has {count}; nothing was touched", hint=hint, details=tuple(details))


def _label(path: Path) -> str:
    """Return the path as a user would type it here."""
    try:
        cwd = Path.cwd()
    except FileNotFoundError:
        return str(path)
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def _syntax(text: str, label: str, error: tomli.TOMLDecodeError) -> str:
    line = error.lineno
    for repeat in lines(text).repeats:
        if repeat.second == line:
            return f"{label}:{line}: {dotted(repeat.trail)}: given twice, first on line {repeat.first}"
    before = error.doc[: error.pos].rpartition("\n")[2]
    if re.search(r"=[ \t]*$", before) and re.match(r"[A-Za-z_/.~$]", error.doc[error.pos :]):
        return f"{label}:{line}: not TOML: a text needs quotes around it, and true and false are written small"
    said = error.msg[:1].lower() + error.msg[1:]
    return f"{label}:{line}: not TOML: {said} (column {error.colno})"


def _text(path: Path) -> str:
    label = _label(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {label}", hint="make one with: deployer init") from error
    except IsADirectoryError as error:
        hint = f"try: --config {quote(label)}/deploy.toml"
        raise ConfigError(f"{label} is a directory, not a config file", hint=hint) from error
    except OSError as error:
        raise ConfigError(f"{label} cannot be read: {error.strerror}", hint=f"try: ls -l {quote(label)}") from error
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(
            f"{label} begins with a byte order mark; a config is UTF-8 without one",
            hint=f"see its first bytes with: head -c 4 {quote(label)} | od -c",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{label} is not UTF-8: a byte on line {line} belongs to another encoding",
            hint=f"if it is Latin-1: iconv -f latin1 -t utf-8 {quote(label)}",
        ) from error
