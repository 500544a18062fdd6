"""`deployer init`: a config to start from, in a user's project. Nothing that is there is ever overwritten."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote
from typing import Final

from deployer.config import patterns
from deployer.config.faults import BAD, Spot
from deployer.config.keys.app import APP_NAME, UNIX_USER
from deployer.errors import UsageError

_CONFIG: Final = "config/deploy.toml"
_EXAMPLE: Final = "config/env/prod.env.example"
_IGNORE: Final = ".gitignore"
_IGNORED: Final = "/config/env/*.env"


def init(directory: Path, *, name: str = "") -> tuple[str, ...]:
    """Write a starter config, an example of its env file, and a `.gitignore` line for the real one.

    Args:
        name: The app's; without one it is the directory's.

    Returns:
        What was done, a sentence for each file.

    Raises:
        UsageError: The name cannot be a service's, or a file cannot be written.
    """
    given, name = bool(name), name or directory.name
    spot = Spot()
    if APP_NAME.read(name, spot) is BAD:
        said = spot.faults[0].message
        likely = re.sub(r"[^a-z0-9]+", "_", name.lower().removesuffix(".service")).strip("_")[:30] or "my_app"
        if likely == name or APP_NAME.read(likely, Spot()) is BAD:
            likely = "my_app"
        raise UsageError(
            f"--name: {said}" if given else f"this directory's name cannot be the app's: {said}",
            hint=f"try: deployer init --name {likely}",
        )
    try:
        return (
            _new(directory, _CONFIG, _template("starter.toml", name)),
            _new(directory, _EXAMPLE, _template("starter-env.txt", name)),
            _ignore(directory),
        )
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename or directory}: {error.strerror}", hint=f"try: ls -ld {quote(str(directory))}"
        ) from error


def _new(directory: Path, name: str, text: str) -> str:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return f"{name} is there already and was left as it is."
    return f"Wrote {name}."


def _ignore(directory: Path) -> str:
    path = directory / _IGNORE
    before = path.read_bytes() if path.exists() else b""
    if _IGNORED.encode() in (line.strip() for line in before.splitlines()):
        return f"{_IGNORE} keeps {_IGNORED} out of git already."
    gap = b"" if before.endswith(b"\n") or not before else b"\n"
    with path.open("ab") as file:
        file.write(gap + f"# Environments of deployed services hold secrets.\n{_IGNORED}\n".encode())
    return f"Added {_IGNORED} to {_IGNORE}, so that secrets stay out of git."


def _template(file: str, name: str) -> str:
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    fits = re.fullmatch(patterns.UNIX_USER, name) and len(name) <= (UNIX_USER.longest or 0)
    return text.replace("@NAME@", name).replace("@USER@", name if fits else "app")
