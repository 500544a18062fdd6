"""The address of an artifact: taken apart, and shown without what is secret in it. Pure."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from deployer.artifact.checksum import HEX
from deployer.errors import ArtifactError
from deployer.model import Secret

_KEPT: Final = "/%!$&'()*+,;=:@~"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An `https://` address, or a file's.

    Args:
        request: The address to ask for, without user, password and fragment; its query may be a secret.
        shown: What may be shown: without user, password, query and fragment.
        authorization: The header for a user and password in the address.
        sha256: The digest of a fragment `#sha256=DIGITS`.
        file: The path, for a `file:` address.
    """

    request: Secret
    shown: str
    file_name: str
    authorization: Secret | None = None
    sha256: str = ""
    file: Path | None = None

    def beside(self, suffix: str) -> Address:
        """Return the address of a file beside this one: its path with a suffix, the query as it is."""
        parts = urlsplit(self.request.reveal())
        return Address(
            request=Secret(urlunsplit(parts._replace(path=parts.path + suffix))),
            shown=masked(urlunsplit(parts._replace(path=parts.path + suffix))),
            file_name=self.file_name + suffix,
            authorization=self.authorization,
            file=self.file.with_name(self.file.name + suffix) if self.file else None,
        )


def is_address(text: str) -> bool:
    """Tell an address from a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text) is not None


def parse(text: str) -> Address:
    """Return an address taken apart.

    Raises:
        ArtifactError: It is neither `https://HOST/PATH` nor `file:///PATH`.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        # What looks like the host may be the beginning of a password: the scheme alone is shown.
        scheme = text.partition(":")[0]
        raise ArtifactError(
            f"a {scheme}: address cannot be used: its host or port cannot be read", hint=_CODED
        ) from error
    digest = ""
    if parts.fragment:
        key, _, digest = parts.fragment.partition("=")
        if key != "sha256" or not HEX.fullmatch(digest):
            raise ArtifactError(f"the fragment of {masked(text)} is not #sha256= with 64 digits", hint=_FORMS)
    name = _file_name(text, parts.path)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and name:
        path = Path(unquote(parts.path))
        request = Secret(urlunsplit(("file", "", parts.path, "", "")))
        return Address(request=request, shown=str(path), file_name=name, sha256=digest.lower(), file=path)
    if parts.scheme == "http":
        raise ArtifactError(
            f"{masked(text)} is refused: anybody on the way could change the tarball",
            hint="use https:// instead of http://",
        )
    if parts.scheme != "https" or not parts.hostname:
        raise ArtifactError(f"{masked(text)} is no address to fetch from", hint=_FORMS)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    try:
        netloc = host if ":" in host else host.encode("idna").decode()
    except UnicodeError as error:
        raise ArtifactError(f"{masked(text)} has a host's name that cannot be", hint=_FORMS) from error
    request_text = urlunsplit(
        (
            "https",
            netloc + (f":{port}" if port else ""),
            quote(parts.path or "/", safe=_KEPT),
            quote(parts.query, safe=_KEPT + "?"),
            "",
        )
    )
    return Address(
        request=Secret(request_text),
        shown=masked(text),
        file_name=name or "artifact.tar.gz",
        authorization=_basic(parts.username, parts.password),
        sha256=digest.lower(),
    )


def masked(text: str) -> str:
    """Return an address without its user, password, query and fragment; safe for anything that looks like one.

    A password may hold `/`, `?` and `#`, which end the host for a reader of addresses: so all before the last `@` goes.
    """
    lead = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/*", text)
    begin = lead[0] if lead else ""
    before, at, rest = text[len(begin) :].rpartition("@")
    bare = re.split(r"[?#]", rest, maxsplit=1)[0]
    # The sign tells that a piece of the path may be gone, too.
    bare = begin + ("…@" if at and re.search(r"[/?#]", before) else "") + bare
    # A name of a file in a message must not move the cursor.
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in bare)


def _file_name(text: str, path: str) -> str:
    name = PurePosixPath(unquote(path)).name
    if name == ".." or not name.isprintable() or "\0" in unquote(path):
        raise ArtifactError(f"{masked(text)} ends in no name for a file", hint=_FORMS)
    return name


def _basic(user: str | None, password: str | None) -> Secret | None:
    if user is None:
        return None
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return Secret("Basic " + base64.b64encode(pair.encode()).decode("ascii"))


_CODED: Final = "in a user or password write %2F for /, %3F for ?, %23 for #, %40 for @; an IPv6 address stands in [ ]"
_FORMS: Final = "write https://HOST/PATH or file:///PATH, with #sha256=DIGITS behind it where no .sha256 lies beside it"
