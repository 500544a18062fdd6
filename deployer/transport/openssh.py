"""Asking OpenSSH what its configuration says about a host; or paramiko, where there is no OpenSSH.

`ssh -G` resolves Include, Match, tokens and canonical names as ssh itself does. Settings are texts, as they were
written; what they mean for us is `ssh_config`'s.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from deployer import local
from deployer.errors import UsageError

DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")

_TIMEOUT_S = 20.0
_FALLBACK_MATCH = {"all", "canonical", "exec", "final", "host", "localuser", "originalhost", "user"}

Settings: TypeAlias = Mapping[str, tuple[str, ...]]
"""Lower-case keywords to their values, one for each time the keyword was given."""


def settings(
    address: str, *, port: int | None, user: str, jump: str, config: Path | None, note: Callable[[str], None]
) -> Settings:
    """Return what OpenSSH would use for a host; the values given here win over its files.

    Args:
        config: A file to read in place of the user's and the system's.
        note: Told of what only OpenSSH could have understood.

    Raises:
        UsageError: The configuration has a fault.
    """
    argv = ["ssh", "-G", "-T"]
    argv += ["-F", str(config)] if config else []
    argv += ["-p", str(port)] if port else []
    argv += ["-l", user] if user else []
    argv += ["-J", jump] if jump else []
    argv += ["--", address]
    try:
        answer = local.run(tuple(argv), timeout_s=_TIMEOUT_S)
    except FileNotFoundError:
        found = dict(fallback_settings(address, config or home() / ".ssh" / "config", note=note))
        return {**found, "proxyjump": (jump,)} if jump else found
    if answer.status != 0 or answer.timed_out:
        raise UsageError(
            f"OpenSSH does not accept its configuration for {address}",
            hint=f"try: {' '.join(argv)}",
            details=tuple(answer.stderr.decode("utf-8", "replace").splitlines()[-5:]),
        )
    return parse_settings(answer.stdout.decode("utf-8", "replace"))


def parse_settings(text: str) -> Settings:
    """Read the output of `ssh -G`: a keyword and its value on each line."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        found[keyword.lower()] = (*found.get(keyword.lower(), ()), value.strip())
    return found


def fallback_settings(address: str, path: Path, *, note: Callable[[str], None]) -> Settings:
    """Look a host up with paramiko's parser, what that reads wrongly taken out before, and OpenSSH's defaults added.

    It takes `Include` for a setting and a `Match` on anything it does not know for a match.

    Raises:
        UsageError: The file cannot be read.
    """
    import paramiko  # a third of a second, for those without OpenSSH alone

    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=f"try: ls -l {path}") from error
    try:
        found = paramiko.SSHConfig.from_text(_readable(text, path, note)).lookup(address)
    except (paramiko.SSHException, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint=f"look at {path}") from error
    values: Mapping[str, str | list[str]] = dict(found)  # IdentityFile and the like are lists, whatever the stubs say
    directory = home() / ".ssh"
    defaults: Settings = {
        "identityfile": tuple(str(directory / name) for name in DEFAULT_KEYS),
        "userknownhostsfile": (f"{directory}/known_hosts {directory}/known_hosts2",),
        "globalknownhostsfile": ("/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2",),
    }
    given = {key: tuple(value) if isinstance(value, list) else (value,) for key, value in values.items()}
    return {**defaults, **given}


def _readable(text: str, path: Path, note: Callable[[str], None]) -> str:
    kept: list[str] = []
    skipping = False
    for line in text.splitlines():
        words = re.split(r"[\s=]+", line.strip().lower())
        if words[0] in ("host", "match"):
            skipping = words[0] == "match" and not _understood(words[1:])
        if words[0] == "include" or (skipping and words[0] == "match"):
            note(f"{path}: '{line.strip()}' needs OpenSSH's ssh program and is left out")
        elif not skipping:
            kept.append(line)
    return "\n".join(kept)


def _understood(criteria: list[str]) -> bool:
    # Arguments stand between keywords: whatever follows a keyword that takes one is its argument.
    expecting = False
    for word in criteria:
        if expecting:
            expecting = False
        elif word.lstrip("!") not in _FALLBACK_MATCH:
            return False
        else:
            expecting = word.lstrip("!") not in ("all", "canonical", "final")
    return True


def split_paths(line: str) -> list[str]:
    """Split the paths of one `ssh -G` line, which are not quoted: each begins with a slash or a tilde."""
    parts: list[str] = []
    for word in line.split():
        if parts and not word.startswith(("/", "~")) and word.lower() != "none":
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts


def first(settings: Settings, keyword: str) -> str:
    """Return the first value of a keyword, the one that counts for most; empty for none."""
    values = settings.get(keyword, ())
    return values[0] if values else ""


def home() -> Path:
    """Return the home directory as OpenSSH does: the account's, whatever `$HOME` says."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path(os.environ.get("HOME", "/"))
