"""`deployer init`: a config to start from, in a user's project. Nothing that is there is ever overwritten."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from shlex import quote
from typing import Final

from deployer.config import patterns
from deployer.config.faults import BAD, Spot
from deployer.config.keys.app import APP_NAME, UNIX_USER
from deployer.errors import UsageError

_CONFIG: Final = "config/deploy.toml"
_ENV: Final = "env/prod.env.example"
_IGNORE: Final = ".gitignore"


def init(directory: Path, *, name: str = "", config: str = "") -> tuple[str, ...]:
    """Write a starter config, an example of its env file, and a `.gitignore` line for the real one.

    Args:
        name: The app's; without one it is the directory's.
        config: Where the config is to be, if not config/deploy.toml; relative to the directory. Its env file goes
            beside it.

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
        path = Path(os.path.normpath(directory / Path(config or _CONFIG).expanduser()))
        # As the config's own paths start at its directory, so does the way from there to the project.
        up = os.path.relpath(directory, path.parent)
        return (
            _new(directory, path, _template("starter.toml", name, up="" if up == "." else f"{up}/")),
            _new(directory, path.parent / _ENV, _template("starter-env.txt", name)),
            _ignore(directory, path.parent),
        )
    except RuntimeError as error:
        raise UsageError(f"{config} begins with nobody's home directory", hint="--config FILE") from error
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename or directory}: {error.strerror}", hint=f"try: ls -ld {quote(str(directory))}"
        ) from error


def _new(directory: Path, path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path)) from None
        return f"{_shown(directory, path)} is there already and was left as it is."
    return f"Wrote {_shown(directory, path)}."


def _ignore(directory: Path, beside: Path) -> str:
    """Keep the env files beside the config out of git, by the directory's `.gitignore` or else by one beside them."""
    home = directory if beside.is_relative_to(directory) else beside
    # A path is a pattern there: gitignore(5).
    below = re.sub(r"([\\*?\[ ])", r"\\\1", beside.relative_to(home).as_posix())
    ignored = "/env/*.env" if below == "." else f"/{below}/env/*.env"
    path = home / _IGNORE
    shown = _shown(directory, path)
    before = path.read_bytes() if path.exists() else b""
    lines = [line.strip() for line in before.splitlines()]
    # What begins with "!" further down may take it back; a line at the end holds.
    if ignored.encode() in lines and not any(
        line.startswith(b"!") for line in lines[len(lines) - 1 - lines[::-1].index(ignored.encode()) :]
    ):
        return f"{shown} keeps {ignored} out of git already."
    gap = b"" if before.endswith(b"\n") or not before else b"\n"
    with path.open("ab") as file:
        file.write(gap + f"# Environments of deployed services hold secrets.\n{ignored}\n".encode())
    return f"Added {ignored} to {shown}, so that secrets stay out of git."


def _shown(directory: Path, path: Path) -> str:
    return str(path.relative_to(directory) if path.is_relative_to(directory) else path)


def _template(file: str, name: str, *, up: str = "") -> str:
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    fits = re.fullmatch(patterns.UNIX_USER, name) and len(name) <= (UNIX_USER.longest or 0)
    if up != "../":
        text = text.replace("cd .. && ", "cd @CD@ && " if up else "")
        text = text.replace(", so ../ is your project", ", so ../ is your project" if up else ", your project's")
        # The way of a command is a word of its shell, too.
        text = text.replace("../", _in_toml(up)).replace("@CD@", _in_toml(quote(up)))
    return text.replace("@NAME@", name).replace("@USER@", name if fits else "app")


def _in_toml(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
