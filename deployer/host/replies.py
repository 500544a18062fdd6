"""What our scripts print, read back: `WORD rest` lines, and `error {…}` as an exception."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from deployer.errors import (
    BusyError,
    DamagedUploadError,
    DeployerError,
    HostError,
    LockedError,
    NeedsPersonError,
    StaleError,
    UsageError,
)

# The first argument of `fail` in sh/lib.sh.
ERRORS: Mapping[str, type[DeployerError]] = {
    "host": HostError,
    "disk": HostError,
    "write": HostError,
    "unpack": HostError,
    "digest": DamagedUploadError,
    "cut": HostError,
    "unit": HostError,
    "user": HostError,
    "idle": UsageError,
    "absent": UsageError,
    "busy": BusyError,
    "frozen": LockedError,
    "stale": StaleError,
    "stuck": NeedsPersonError,
}


_COMMAND = re.compile(r"\bdeployer [a-z]+\b(?! --host)")


def decoded(text: str) -> str:
    """Return the text of a base64 word; bytes that are not UTF-8 become U+FFFD."""
    return decoded_bytes(text).decode("utf-8", "replace")


def decoded_bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise HostError("the host's answer was cut off", hint="run the same command again") from error


def error_from(rest: str, *, host: str) -> DeployerError:
    """Return the exception that an `error {…}` line stands for."""
    fields = json_object(rest)
    kind = ERRORS.get(str(fields.get("code")), HostError)
    return kind(str(fields.get("message", rest)), host=host, hint=_with_host(str(fields.get("hint", "")), host))


def _with_host(hint: str, host: str) -> str:
    """Return a hint whose commands of ours name the host: a script does not know what the config calls it."""
    return _COMMAND.sub(rf"\g<0> --host {host}", hint) if host else hint


def json_object(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one where the text is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def words(lines: Iterable[str], *, host: str) -> list[tuple[str, str]]:
    """Return (word, rest) of each line.

    Raises:
        DeployerError: One of the lines is an `error`.
    """
    found = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "error":
            raise error_from(rest, host=host)
        found.append((word, rest))
    return found
