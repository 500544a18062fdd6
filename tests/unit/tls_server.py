"""A web server over TLS on loopback that misbehaves as it is told, with a certificate of its own making."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Site:
    """What the server has, and how it answers.

    `plan` holds a word for each request of a file, in order: "whole", "cut" (after half of what is left), "stall" (the
    same, then silence), "no-range" (the whole of it, whatever was asked), "no-length", "short N" (a range of N bytes at
    the most), "shifted" (a range that begins a byte too early), "total N" (416, with this size), "status CODE", "redirect
    URL"; when it is used up, "whole". `digest_plan` is the same for requests of a `.sha256`. What answers lack is empty in
    `tag` and `modified`.
    """

    port: int
    certificate: Path
    files: dict[str, bytes] = field(default_factory=dict)
    plan: list[str] = field(default_factory=list)
    digest_plan: list[str] = field(default_factory=list)
    tag: str = '"one"'
    modified: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, *, user: str = "") -> str:
        return f"https://{user}127.0.0.1:{self.port}{path}"

    def ranges(self) -> list[str]:
        return [headers.get("Range", "") for path, headers in self.requests if not path.endswith(".sha256")]


@contextmanager
def serving(directory: Path) -> Iterator[Site]:
    certificate, key = _certificate(directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # The handshake in the thread of its request: one client that refuses the certificate must not end the server.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # broken connections are what is tested
    site = Site(port=server.server_address[1], certificate=certificate)
    server.site = site  # type: ignore[attr-defined]
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
        pass

    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        self.close_connection = True
        path = self.path.partition("?")[0]
        site.requests.append((path, dict(self.headers.items())))
        word, _, value = self._planned(site, path)
        if word == "redirect":
            self._head(302, {"Location": value, "Content-Length": "0"})
        elif word == "status" or path not in site.files:
            self._head(int(value or 404), {"Content-Length": "0"})
        else:
            self._file(site, site.files[path], word, value)

    def _planned(self, site: Site, path: str) -> tuple[str, str, str]:
        plan = site.digest_plan if path.endswith(".sha256") else site.plan
        return plan.pop(0).partition(" ") if plan else ("whole", "", "")

    def _file(self, site: Site, content: bytes, word: str, value: str) -> None:
        start, end = 0, len(content)
        headers = {name: text for name, text in (("ETag", site.tag), ("Last-Modified", site.modified)) if text}
        asked = re.fullmatch(r"bytes=([0-9]+)-", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range", site.tag) in {site.tag, site.modified}
        if asked and fresh and word != "no-range":
            start = int(asked[1]) - (word == "shifted")
            end = min(end, start + int(value)) if word == "short" else end
            if start >= len(content) or word == "total":
                self._head(416, {"Content-Range": f"bytes */{value or len(content)}", "Content-Length": "0"})
                return
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        rest = content[start:end]
        if word != "no-length":
            headers["Content-Length"] = str(len(rest))
        self._head(206 if start else 200, headers)
        self.wfile.write(rest[: len(rest) // 2] if word in {"cut", "stall"} else rest)
        if word == "stall":
            self.wfile.flush()
            site.over.wait(10)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = directory / "tls.pem", directory / "tls.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, key_pem
