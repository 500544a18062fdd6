"""Requests over https: certificates checked, redirects to https alone, credentials to their own host alone.

Proxies and certificates are taken from the environment, as other programs do (`HTTPS_PROXY`, `NO_PROXY`,
`SSL_CERT_FILE`).
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from deployer.artifact.address import Address, masked
from deployer.errors import ArtifactError

PARTIAL: Final = 206
RANGE_NOT_THERE: Final = 416
_MAY_PASS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class NotThereError(Exception):
    """The server answers, and will not give the file."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status

    @property
    def is_about_login(self) -> bool:
        return self.status in (401, 403, 407)

    @property
    def hint(self) -> str:
        if self.is_about_login:
            return "the address wants a login: write it as https://USER:PASSWORD@HOST/PATH, or use another one"
        return "open the address in a browser: is it spelled right?"


class _BusyError(OSError):
    """The server answers that it cannot just now."""


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(  # noqa: PLR0917 - urllib's own shape
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            fp.close()
            raise ArtifactError(
                f"{masked(req.full_url)} redirects to {masked(newurl)}, which is not https",
                hint="use the address that is meant",
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type] # HTTPMessage is a Message
        authorization = req.unredirected_hdrs.get("Authorization")
        if request and authorization and urlsplit(newurl).netloc == urlsplit(req.full_url).netloc:
            request.add_unredirected_header("Authorization", authorization)
        return request


class Server:
    """Whoever answers. `timeout_s` limits the wait for a connection, and for each next bytes."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        # Built by hand: urllib's usual opener speaks http, ftp and file as well.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPSHandler(context=ssl.create_default_context()),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            _OnlyHttps(),
        ):
            self._opener.add_handler(handler)

    @contextlib.contextmanager
    def get(self, address: Address, headers: Mapping[str, str] | None = None) -> Iterator[HTTPResponse]:
        """Ask for an address and enter its answer: 200, 206 or 416.

        Raises:
            NotThereError: Any other answer that will not pass.
            OSError, HTTPException: No answer, or one that may pass; see `may_pass`.
        """
        # Identity: a server that packs again what is packed would change the bytes, and the digest with them.
        sent = {"User-Agent": "deployer", "Accept-Encoding": "identity", **(headers or {})}
        request = urllib.request.Request(address.request.reveal(), headers=sent)  # noqa: S310 - https alone, see parse()
        if address.authorization:
            request.add_unredirected_header("Authorization", address.authorization.reveal())
        try:
            answer = self._opener.open(request, timeout=self._timeout_s)
        except HTTPError as error:
            answer = _refused(error)
        # An answer without a body is closed already, and refuses to be entered.
        with contextlib.closing(answer):
            yield answer


def _refused(error: HTTPError) -> HTTPResponse:
    if error.code == RANGE_NOT_THERE and isinstance(error.fp, HTTPResponse):
        return error.fp
    error.close()
    if error.code in _MAY_PASS:
        raise _BusyError(error.code, f"the server answers {error.code} {error.reason}") from error
    raise NotThereError(error.code, str(error.reason)) from error


def content_range(answer: HTTPResponse) -> tuple[int, int]:
    """Return the byte at which an answer's content starts (-1 where it is not clear), and the file's size (0: not told)."""
    if answer.status != PARTIAL:
        return 0, 0
    found = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", answer.headers.get("Content-Range", ""))
    return (int(found[1]), 0 if found[2] == "*" else int(found[2])) if found else (-1, 0)


def total(answer: HTTPResponse) -> int:
    """Return the file's size that an answer 416 tells, -1 where it does not."""
    found = re.fullmatch(r"bytes \*/([0-9]+)", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def validator(answer: HTTPResponse) -> str:
    """Return what can be asked with later on for a range of the same file, or nothing."""
    # A weak ETag promises no equal bytes, so a range may not be asked for with it: RFC 9110, section 13.1.5.
    tag = str(answer.headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(answer.headers.get("Last-Modified", ""))


def may_pass(error: Exception) -> bool:
    """Tell whether trying again may help: a link that broke, yes; a wrong name, port or certificate, no."""
    reason = error.reason if isinstance(error, URLError) else error
    return not isinstance(reason, (ssl.SSLCertVerificationError, socket.gaierror, ConnectionRefusedError, str))


def why(error: Exception) -> str:
    """Return what went wrong, in words that hold nothing of the address."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "the server has gone silent"
    if isinstance(reason, socket.gaierror):
        return "its host's name does not resolve"
    if isinstance(reason, OSError):
        return reason.strerror or type(reason).__name__
    if isinstance(reason, HTTPException):
        return f"the server's answer is not HTTP ({type(reason).__name__})"
    return str(reason)


def hint(error: Exception) -> str:
    """Return what to do about it."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "set SSL_CERT_FILE to the certificates that you trust, or correct the server's"
    return "check the address, and HTTPS_PROXY if you are behind one"
