"""A unit file of the user's own, with placeholders: `{{release}}`, `{{env_file}}`, `{{user}}` and `{{name}}`.

`{{` is nothing that systemd or a shell gives a meaning to; where it is meant as it stands, it is written `{{{{`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Final

from deployer.errors import UsageError
from deployer.unit.syntax import Directive, directives

_PLACEHOLDER: Final = re.compile(r"\{\{\{\{|\{\{[ \t]*([A-Za-z0-9_-]*)[ \t]*\}\}|\{\{")
NAMES: Final = ("release", "env_file", "user", "name")
KNOWN: Final = "{{release}}, {{env_file}}, {{user}} and {{name}}"
STARTING: Final = ("WantedBy", "RequiredBy", "UpheldBy")


def filled(path: Path, names: Mapping[str, str]) -> str:
    """Return the text of a template with its placeholders filled in.

    Args:
        names: What each placeholder stands for, as it can stand in a unit.

    Raises:
        UsageError: It cannot be read, or would not make a unit that can be deployed; `details` holds a line for each fault.
    """
    text = _read(path)
    found = [f"{path.name}:{line}: {fault}" for line, fault in _faults(text)]
    if found:
        count = "a fault" if len(found) == 1 else f"{len(found)} faults"
        raise UsageError(
            f"the unit template {path} has {count}",
            hint=f"correct it, then see the result with: deployer unit (placeholders are {KNOWN})",
            details=tuple(found),
        )
    return replaced(text, names, where=str(path))


def faults(path: Path) -> tuple[str, ...]:
    """Return everything that is wrong with a template, a sentence for each, with its line where it has one."""
    try:
        text = _read(path)
    except UsageError as error:
        return (error.message,)
    return tuple(f"{path.name}:{line}: {fault}" for line, fault in _faults(text))


def placeholder_faults(text: str) -> tuple[str, ...]:
    """Return what is wrong with the placeholders of a text."""
    return tuple(fault for found in _PLACEHOLDER.finditer(text) if (fault := _bad(found)))


def replaced(text: str, names: Mapping[str, str], *, where: str) -> str:
    """Return a text with its placeholders filled in.

    Raises:
        UsageError: One of them is unknown; `where` says what the text is.
    """

    def one(found: re.Match[str]) -> str:
        fault = _bad(found)
        if fault:
            raise UsageError(f"{where}: {fault}", hint=f"placeholders are {KNOWN}")
        return "{{" if found[1] is None else names[found[1]]

    return _PLACEHOLDER.sub(one, text)


def _read(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        hint = f"try: ls -l {quote(str(path))}"
        raise UsageError(f"the unit template {path} cannot be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        hint = f"try: iconv -f latin1 -t utf-8 {quote(str(path))}"
        raise UsageError(f"the unit template {path} is not UTF-8 (byte {error.start})", hint=hint) from error
    text = text.replace("\r\n", "\n")
    return text if text.endswith("\n") else f"{text}\n"


def _faults(text: str) -> Iterator[tuple[int, str]]:
    for found in _PLACEHOLDER.finditer(text):
        fault = _bad(found)
        if fault:
            yield text.count("\n", 0, found.start()) + 1, fault
    every = list(directives(text))
    end = text.count("\n")
    yield from _environment_faults(every, end)
    if not any("release" in _placeholders(each.value) for each in every):
        yield (
            end,
            "{{release}} is nowhere in it: without the release's path, a rollback would start the same files again",
        )
    if not any(each.section == "Service" and each.key == "ExecStart" and each.value for each in every):
        yield end, "there is no ExecStart= in [Service]"
    if not any(each.section == "Install" and each.key in STARTING and each.value for each in every):
        yield (
            end,
            "there is no WantedBy= in [Install], such as WantedBy=multi-user.target: nothing would start it at boot",
        )


def _environment_faults(every: list[Directive], end: int) -> Iterator[tuple[int, str]]:
    files = [each for each in every if each.section == "Service" and each.key == "EnvironmentFile"]
    if not files:
        yield end, "there is no EnvironmentFile={{env_file}} in [Service]: the service would not see its environment"
    for index, each in enumerate(files):
        if not re.fullmatch(r"-?\{\{[ \t]*env_file[ \t]*\}\}", each.value):
            yield (
                each.line,
                "EnvironmentFile= must be {{env_file}}: deployer writes the file and pins it to the release",
            )
        elif index:
            yield each.line, "EnvironmentFile={{env_file}} is given twice"
    for each in every:
        if each not in files and "env_file" in _placeholders(each.value):
            yield each.line, f"{{{{env_file}}}} belongs into EnvironmentFile= alone, and not into {each.key}="


def _placeholders(value: str) -> set[str]:
    return {found[1] for found in _PLACEHOLDER.finditer(value) if found[1]}


def _bad(found: re.Match[str]) -> str:
    """Return what is wrong with a placeholder, or an empty text."""
    if found[0] == "{{{{" or found[1] in NAMES:
        return ""
    if found[1] is None:
        return "{{ begins no placeholder; write {{{{ where it is meant as it stands"
    # difflib is slow to import, and only faults need it.
    from difflib import get_close_matches

    close = get_close_matches(found[1].lower().replace("-", "_"), NAMES, n=1, cutoff=0.5)
    meant = f", did you mean {{{{{close[0]}}}}}?" if close else f"; known are {KNOWN}"
    return f"unknown placeholder {found[0]}{meant}"
