"""SHA-256 digests of artifacts: of a file, and as people write them down beside one."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Final

from deployer.errors import ArtifactError

HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")
_LINE: Final = re.compile(r"\\?([0-9A-Fa-f]{64})(?:[ \t]+\*?(.+))?")
_BSD_LINE: Final = re.compile(r"SHA(?:2-)?256 ?\((.+)\) ?= ?([0-9A-Fa-f]{64})")


def of_file(path: Path) -> str:
    """Return the digest of a file, as 64 hexadecimal digits in lower case."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, wanted: str) -> None:
    """Make sure of a file's digest.

    Raises:
        ArtifactError: The file has another one.
    """
    found = of_file(path)
    if found != wanted.lower():
        raise ArtifactError(
            f"{path} has the sha256 {found}, and {wanted.lower()} is wanted",
            hint="build or fetch it again, or correct the digest",
        )


def of_text(text: str, file_name: str) -> str:
    """Return the digest that the text of a `.sha256` file gives for a file name, or nothing.

    Read are bare digits, lines of sha256sum (`DIGITS  NAME`, `DIGITS *NAME`) and lines of `sha256 -r` and BSD's
    `SHA256 (NAME) = DIGITS`, which OpenSSL 3 calls SHA2-256. A text of one line counts whatever its name; of several, the one with the file's name.
    """
    found = []
    for line in text.lstrip("\ufeff").splitlines():
        if bsd := _BSD_LINE.fullmatch(line.strip()):
            found.append((bsd[2], bsd[1]))
        elif plain := _LINE.fullmatch(line.strip()):
            found.append((plain[1], plain[2] or ""))
    if len(found) == 1:
        return found[0][0].lower()
    named = {digest.lower() for digest, name in found if PurePosixPath(name).name == file_name}
    return named.pop() if len(named) == 1 else ""
