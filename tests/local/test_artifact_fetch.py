"""Fetching, against a real server over TLS that breaks off, stalls, forgets ranges, and says no."""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deployer.artifact import address, checksum, fetch, https
from deployer.errors import ArtifactError
from deployer.events import Event, Note, Progress
from tests.unit.tls_server import Site, serving

CONTENT = hashlib.shake_256(b"a tarball").digest(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = "/get/shop-1.4.2.tar.gz"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("tls")) as site:
        yield site


@pytest.fixture
def site(server: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server.files = {NAME: CONTENT}
    server.plan, server.digest_plan, server.requests, server.tag, server.modified = [], [], [], '"one"', ""
    return server


class Fetcher:
    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.events: list[Event] = []
        self.pauses: list[float] = []

    def __call__(self, url: str, *, sha256: str = DIGEST, stall_s: float = 5) -> Path:
        return fetch.fetch(
            address.parse(url),
            sha256=sha256,
            cache=self.cache,
            emit=self.events.append,
            patience=fetch.Patience(stall_s=stall_s, pause_s=1),
            sleep=self.pauses.append,
        )

    def refusal(self, url: str, *, sha256: str = DIGEST, stall_s: float = 5) -> tuple[str, str]:
        with pytest.raises(ArtifactError) as caught:
            self(url, sha256=sha256, stall_s=stall_s)
        return caught.value.message, caught.value.hint

    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(tmp_path / "cache")


def test_a_file_is_fetched_verified_and_kept(site: Site, fetcher: Fetcher) -> None:
    path = fetcher(site.url(NAME))
    assert path == fetcher.cache / DIGEST / "shop-1.4.2.tar.gz"
    assert path.read_bytes() == CONTENT
    last = [event for event in fetcher.events if isinstance(event, Progress)][-1]
    assert last == Progress(host="", phase="fetch", done_bytes=3_000_000, total_bytes=3_000_000)
    assert sorted(each.name for each in path.parent.iterdir()) == ["lock", "shop-1.4.2.tar.gz"]


def test_what_was_fetched_before_is_not_fetched_again(site: Site, fetcher: Fetcher) -> None:
    path = fetcher(site.url(NAME))
    assert fetcher(site.url(NAME)) == path
    assert len(site.requests) == 1
    assert "was fetched before" in fetcher.notes()[-1]


def test_a_damaged_file_in_the_cache_is_fetched_again(site: Site, fetcher: Fetcher) -> None:
    path = fetcher(site.url(NAME))
    path.write_bytes(CONTENT[:-1] + b"x")
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT


def test_a_download_that_breaks_off_goes_on_where_it_was(site: Site, fetcher: Fetcher) -> None:
    site.plan = ["cut", "cut"]
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert site.ranges() == ["", "bytes=1500000-", "bytes=2250000-"]
    assert [headers.get("If-Range") for _, headers in site.requests] == [None, '"one"', '"one"']
    assert fetcher.notes()[0].startswith(
        "the download of shop-1.4.2.tar.gz broke off (the server ended at 1500000 of 3000000"
    )
    last = [event for event in fetcher.events if isinstance(event, Progress)][-1]
    assert (last.done_bytes, last.total_bytes, last.resumed_bytes) == (3_000_000, 3_000_000, 2_250_000)


def test_the_next_call_goes_on_where_one_gave_up(site: Site, fetcher: Fetcher) -> None:
    site.plan = ["cut", *["status 503"] * 20]
    message, hint = fetcher.refusal(site.url(NAME))
    assert "the server answers 503 Service Unavailable; 1500000 bytes are there" in message
    assert hint == "run the same command again: it goes on from there"
    assert fetcher.pauses == [1, 2, 4, 8]
    site.plan, site.requests = [], []
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert site.ranges() == ["bytes=1500000-"]


def test_a_server_without_ranges_sends_the_whole_again(site: Site, fetcher: Fetcher) -> None:
    site.plan = ["cut", "no-range"]
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert site.ranges() == ["", "bytes=1500000-"]


def test_a_file_that_changed_meanwhile_is_fetched_as_a_whole(site: Site, fetcher: Fetcher) -> None:
    site.files[NAME] = bytes(3_000_000)
    site.plan = ["cut", *["status 503"] * 20]
    fetcher.refusal(site.url(NAME))
    site.files[NAME], site.tag, site.plan, site.requests = CONTENT, '"two"', [], []
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert len(site.requests) == 1


def test_a_part_of_another_file_is_dropped_once_the_digest_tells(site: Site, fetcher: Fetcher) -> None:
    # As after a change that the server's tag does not show.
    site.files[NAME] = bytes(3_000_000)
    site.plan = ["cut", *["status 503"] * 20]
    fetcher.refusal(site.url(NAME))
    site.files[NAME], site.plan, site.requests = CONTENT, [], []
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert site.ranges() == ["bytes=1500000-", ""]


def test_a_complete_part_needs_no_more_bytes(site: Site, fetcher: Fetcher) -> None:
    place = fetcher.cache / DIGEST
    place.mkdir(parents=True)
    (place / "part").write_bytes(CONTENT)
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert site.ranges() == ["bytes=3000000-"]


def test_a_server_that_sends_pieces_is_asked_for_the_rest(site: Site, fetcher: Fetcher) -> None:
    # More pieces than there are attempts for what breaks off.
    site.plan = ["cut", *["short 50000"] * 29]
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert site.ranges() == ["", *(f"bytes={at}-" for at in range(1_500_000, 2_950_001, 50_000))]
    assert len(fetcher.notes()) == 1
    progress = [event for event in fetcher.events if isinstance(event, Progress)]
    assert {event.total_bytes for event in progress} == {3_000_000}


def test_a_range_that_was_not_asked_for_is_not_taken(site: Site, fetcher: Fetcher) -> None:
    site.plan = ["cut", "shifted"]
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert site.ranges() == ["", "bytes=1500000-", ""]
    assert "the server sent another range than was asked for" in fetcher.notes()[1]


def test_a_range_is_asked_for_with_the_date_where_the_tag_is_weak(site: Site, fetcher: Fetcher) -> None:
    site.tag, site.modified, site.plan = 'W/"one"', "Mon, 23 Nov 2026 22:00:00 GMT", ["cut"]
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert [headers.get("If-Range") for _, headers in site.requests] == [None, site.modified]


@pytest.mark.parametrize("tag", ["", 'W/"one"'])
def test_a_file_that_changes_between_two_attempts_is_fetched_anew(site: Site, fetcher: Fetcher, tag: str) -> None:
    def change(_seconds: float) -> None:
        site.files[NAME] = CONTENT

    site.tag, site.files[NAME], site.plan = tag, bytes(3_000_000), ["cut"]
    path = fetch.fetch(
        address.parse(site.url(NAME)), sha256=DIGEST, cache=fetcher.cache, emit=fetcher.events.append, sleep=change
    )
    assert path.read_bytes() == CONTENT
    assert site.ranges() == ["", "bytes=1500000-", ""]
    assert [headers.get("If-Range") for _, headers in site.requests] == [None, None, None]


def test_a_server_that_has_a_file_of_another_size_is_asked_anew(site: Site, fetcher: Fetcher) -> None:
    site.plan = ["cut", "total 77"]
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    assert site.ranges() == ["", "bytes=1500000-", ""]
    assert "the server has another file now" in fetcher.notes()[1]


def test_an_answer_that_does_not_tell_its_length_is_taken(site: Site, fetcher: Fetcher) -> None:
    site.plan = ["no-length"]
    assert fetcher(site.url(NAME)).read_bytes() == CONTENT
    last = [event for event in fetcher.events if isinstance(event, Progress)][-1]
    assert (last.done_bytes, last.total_bytes) == (3_000_000, 3_000_000)


@pytest.mark.parametrize(("plan", "words"), [("whole", "has 3000000 bytes, more than"), ("no-length", "does not end")])
def test_a_file_beyond_the_limit_is_refused(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, plan: str, words: str
) -> None:
    monkeypatch.setattr(fetch, "LIMIT_BYTES", 1_000_000)
    site.plan = [plan]
    assert words in fetcher.refusal(site.url(NAME))[0]


def test_a_full_disk_is_no_fault_of_the_server(site: Site, fetcher: Fetcher) -> None:
    place = fetcher.cache / DIGEST
    place.mkdir(parents=True)
    (place / "part").symlink_to("/dev/full")
    message, hint = fetcher.refusal(site.url(NAME))
    assert message == f"shop-1.4.2.tar.gz cannot be kept in {place}: No space left on device"
    assert hint == f"df -h {fetcher.cache}"
    assert (len(site.requests), fetcher.pauses) == (1, [])


def test_a_cache_that_cannot_be_written_to_is_told(site: Site, fetcher: Fetcher) -> None:
    fetcher.cache = fetcher.cache.with_name("my cache")
    fetcher.cache.write_text("a file")
    message, hint = fetcher.refusal(site.url(NAME))
    assert message.endswith(": Not a directory")
    assert hint == f"df -h '{fetcher.cache}'"


def test_silence_ends_an_attempt(site: Site, fetcher: Fetcher) -> None:
    site.plan = ["stall"]
    began = time.monotonic()
    assert fetcher(site.url(NAME), stall_s=0.3).read_bytes() == CONTENT
    assert time.monotonic() - began < 5
    assert "the server has gone silent" in fetcher.notes()[0]
    assert site.ranges() == ["", "bytes=1500000-"]


def test_a_wrong_digest_is_refused_and_nothing_is_kept(site: Site, fetcher: Fetcher) -> None:
    message, hint = fetcher.refusal(site.url(NAME), sha256="ab" * 32)
    assert message == f"https://127.0.0.1:{site.port}{NAME} has the sha256 {DIGEST}, and {'ab' * 32} is wanted"
    assert "[artifact] sha256" in hint
    assert [each.name for each in (fetcher.cache / ("ab" * 32)).iterdir()] == ["lock"]


def test_without_the_digest_a_changed_byte_would_be_kept(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twin."""
    site.files[NAME] = changed = CONTENT[:-1] + b"x"
    message, _ = fetcher.refusal(site.url(NAME))
    assert message.endswith(f", and {DIGEST} is wanted")
    monkeypatch.setattr(checksum, "of_file", lambda _path: DIGEST)
    assert fetcher(site.url(NAME)).read_bytes() == changed


def test_the_digest_may_lie_beside_the_file(site: Site, fetcher: Fetcher) -> None:
    site.files[f"{NAME}.sha256"] = f"{DIGEST}  dist/shop-1.4.2.tar.gz\n".encode()
    assert fetcher(site.url(NAME) + "?token=s3cret", sha256="").read_bytes() == CONTENT
    site.files[f"{NAME}.sha256"] = b"<html>not found</html>"
    assert "holds no sha256 of shop-1.4.2.tar.gz" in fetcher.refusal(site.url(NAME), sha256="")[0]


def test_a_digest_may_stand_in_the_address(site: Site, fetcher: Fetcher) -> None:
    assert fetcher(site.url(NAME) + f"#sha256={DIGEST}", sha256="").read_bytes() == CONTENT


def test_without_a_digest_nothing_is_fetched(site: Site, fetcher: Fetcher) -> None:
    message, hint = fetcher.refusal(site.url(NAME), sha256="")
    assert "has no digest to be checked against: the server answers 404 for shop-1.4.2.tar.gz.sha256" in message
    assert hint == (
        "publish shop-1.4.2.tar.gz.sha256 beside it, set [artifact] sha256, or append #sha256=DIGITS to the address"
    )
    assert [path for path, _ in site.requests] == [f"{NAME}.sha256"]


@pytest.mark.parametrize(("status", "word"), [(401, "login"), (403, "login"), (404, "publish")])
def test_a_refusal_of_the_digest_is_told_at_once(site: Site, fetcher: Fetcher, status: int, word: str) -> None:
    site.digest_plan = [f"status {status}"]
    message, hint = fetcher.refusal(site.url(NAME), sha256="")
    assert f"the server answers {status} for shop-1.4.2.tar.gz.sha256" in message
    assert word in hint
    assert (len(site.requests), fetcher.pauses) == (1, [])


def test_a_digest_that_cannot_be_had_just_now_is_asked_for_again(site: Site, fetcher: Fetcher) -> None:
    site.files[f"{NAME}.sha256"] = DIGEST.encode()
    site.digest_plan = ["status 503"] * 3
    assert fetcher(site.url(NAME), sha256="").read_bytes() == CONTENT
    assert fetcher.pauses == [2, 4, 8]
    site.digest_plan = ["status 503"] * 20
    message, hint = fetcher.refusal(site.url(NAME), sha256="")
    assert message.endswith("tar.gz.sha256 cannot be fetched: the server answers 503 Service Unavailable")
    assert hint == "run the same command again"


@pytest.mark.parametrize(("status", "word"), [(404, "spelled"), (401, "login"), (403, "login"), (410, "spelled")])
def test_a_refusal_of_the_server_is_told_at_once(site: Site, fetcher: Fetcher, status: int, word: str) -> None:
    site.plan = [f"status {status}"]
    message, hint = fetcher.refusal(site.url(NAME))
    assert f"answers {status} " in message
    assert word in hint
    assert len(site.requests) == 1


def test_a_redirect_is_followed_to_https_alone(site: Site, fetcher: Fetcher) -> None:
    site.files["/old.tar.gz"] = b""
    site.plan = [f"redirect {site.url(NAME)}"]
    assert fetcher(site.url("/old.tar.gz")).read_bytes() == CONTENT
    site.plan = ["redirect http://127.0.0.1/x?token=s3cret"]
    message, _ = fetcher.refusal(site.url("/old2.tar.gz"))
    assert message.endswith("redirects to http://127.0.0.1/x, which is not https")


class _InTheOpen(BaseHTTPRequestHandler):
    """Answers without TLS, as anybody on the way could."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)
        self.server.asked.append(self.path)  # type: ignore[attr-defined] # see below

    def log_message(self, *_: object) -> None:
        pass


def test_without_our_handlers_a_redirect_to_http_would_be_followed(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twin: urllib's usual opener takes the file, and shows a token of the address to whoever listens."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), _InTheOpen) as server:
        asked: list[str] = []
        server.asked = asked  # type: ignore[attr-defined] # for the handler
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            there = f"redirect http://127.0.0.1:{server.server_port}/x?token=s3cret"
            site.plan = [there]
            assert fetcher.refusal(site.url(NAME))[0].endswith("which is not https")
            assert asked == []

            def usual(self: https.Server, *, timeout_s: float) -> None:
                self._timeout_s = timeout_s
                handler = urllib.request.HTTPSHandler(context=ssl.create_default_context())
                self._opener = urllib.request.build_opener(handler)

            monkeypatch.setattr(https.Server, "__init__", usual)
            site.plan = [there]
            assert fetcher(site.url(NAME)).read_bytes() == CONTENT
            assert asked == ["/x?token=s3cret"]
        finally:
            server.shutdown()
            thread.join()


def test_user_and_password_go_to_their_own_host_alone(site: Site, fetcher: Fetcher) -> None:
    site.plan = [f"redirect {site.url(NAME)}"]
    fetcher(site.url("/old.tar.gz", user="ann:s3%40cret@"))
    assert [headers["Authorization"] for _, headers in site.requests] == ["Basic YW5uOnMzQGNyZXQ="] * 2
    site.requests.clear()
    site.plan = [f"redirect https://localhost:{site.port}{NAME}"]
    fetcher(site.url("/other.tar.gz", user="ann:s3%40cret@"), sha256=DIGEST)
    assert [(path, headers.get("Authorization")) for path, headers in site.requests] == [
        ("/other.tar.gz", "Basic YW5uOnMzQGNyZXQ="),
        (NAME, None),
    ]


def test_an_unknown_certificate_is_refused(site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    message, hint = fetcher.refusal(site.url(NAME))
    assert "its certificate is not accepted: self-signed certificate" in message
    assert "SSL_CERT_FILE" in hint
    assert fetcher.pauses == []


def test_a_server_that_is_not_there_is_told_at_once(site: Site, fetcher: Fetcher) -> None:
    message, hint = fetcher.refusal("https://127.0.0.1:1/shop.tar.gz")
    assert message == "https://127.0.0.1:1/shop.tar.gz cannot be fetched: Connection refused"
    assert "HTTPS_PROXY" in hint
    assert fetcher.pauses == []


def test_nothing_secret_of_an_address_is_ever_told(site: Site, fetcher: Fetcher) -> None:
    told = []
    for plan in (["status 404"], ["cut", *["status 503"] * 20], ["redirect http://u:s3cret@h/?s3cret"], []):
        site.plan = plan
        try:
            fetcher(site.url(NAME, user="ann:s3cret@") + "?key=s3cret", sha256="ab" * 32)
        except ArtifactError as error:
            told += [error.message, error.hint, repr(error)]
        site.plan = []
    told += [repr(event) for event in fetcher.events]
    told += [str(path) for path in fetcher.cache.rglob("*")]
    told.append(repr(address.parse(site.url(NAME, user="ann:s3cret@") + "?key=s3cret")))
    assert len(told) > 12
    assert not [text for text in told if "s3cret" in text]


def test_old_files_leave_the_cache(site: Site, fetcher: Fetcher) -> None:
    old = []
    for number in range(12):
        place = fetcher.cache / f"{number:064}"
        place.mkdir(parents=True)
        os.utime(place, (number, number))
        old.append(place)
    fresh = fetcher.cache / "f"
    fresh.mkdir()
    fetcher(site.url(NAME))
    assert [place for place in old if place.exists()] == old[-8:]
    assert fresh.exists()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/x.tar.gz", "is refused: anybody on the way could change"),
        ("ftp://example.com/x.tar.gz", "is no address to fetch from"),
        ("s3://bucket/x.tar.gz", "is no address to fetch from"),
        ("https:///x.tar.gz", "is no address to fetch from"),
        ("https://example.com:port/x", "host or port cannot be read"),
        ("https://[::1/x", "host or port cannot be read"),
        ("file://server/share/x", "is no address to fetch from"),
        ("https://example.com/x#sha256=12", "fragment"),
        ("https://ü..com/x", "has a host's name that cannot be"),
        ("https://a..com/x", "has a host's name that cannot be"),
        ("https://h/a%00b", "ends in no name for a file"),
        ("https://h/a/..", "ends in no name for a file"),
        ("https://h/a/%2e%2e", "ends in no name for a file"),
        ("file:///tmp/a%00/b", "ends in no name for a file"),
    ],
)
def test_other_addresses_are_refused(url: str, why: str) -> None:
    with pytest.raises(ArtifactError, match=why):
        address.parse(url)


def test_an_address_is_asked_for_in_ascii() -> None:
    parsed = address.parse("https://ann:pw@exämple.com:8443/ü b/x.tar.gz?a=ü%20#sha256=" + "AB" * 32)
    assert parsed.request.reveal() == "https://xn--exmple-cua.com:8443/%C3%BC%20b/x.tar.gz?a=%C3%BC%20"
    assert (parsed.shown, parsed.sha256) == ("https://exämple.com:8443/ü b/x.tar.gz", "ab" * 32)


@pytest.mark.parametrize("mark", ["/", "#", "?", "@", "[", "/12@", "#@", ":/", " ", "\\"])
def test_a_password_with_any_character_in_it_is_not_shown(mark: str) -> None:
    for url in (f"https://bob9:s3{mark}cret@h/x.tgz", f"https://bob9:12{mark}s3cret@h/x.tgz"):
        told = [address.masked(url), address.masked(f"{url}?a=s3cret#s3cret")]
        try:
            parsed = address.parse(url)
        except ArtifactError as error:
            told += [error.message, error.hint, repr(error)]
        else:
            told += [parsed.shown, repr(parsed)]
        assert not [text for text in told if "s3" in text or "cret" in text or "bob9" in text]


def test_an_address_that_cannot_be_read_is_told_by_its_scheme_and_how_to_write_a_password() -> None:
    with pytest.raises(ArtifactError) as caught:
        address.parse("https://ann:pa/ss@h/x.tgz")
    assert caught.value.message == "a https: address cannot be used: its host or port cannot be read"
    assert "%2F for /" in caught.value.hint


def test_what_is_left_of_an_address_is_still_known_again() -> None:
    assert address.masked("https://ann:pw@h:8443/x.tgz?a#b") == "https://h:8443/x.tgz"
    assert address.masked("https://h/@scope/x.tgz") == "https://…@scope/x.tgz"


@pytest.mark.parametrize(
    "text",
    [
        DIGEST,
        f"{DIGEST}\n",
        f"\ufeff{DIGEST.upper()}  anything.tar.gz\r\n",
        f"{DIGEST} *shop-1.4.2.tar.gz",
        f"SHA256 (shop-1.4.2.tar.gz) = {DIGEST}",
        f"SHA2-256(shop-1.4.2.tar.gz)= {DIGEST}",
        f"{'0' * 64}  other.tar.gz\n{DIGEST}  ./dist/shop-1.4.2.tar.gz\n",
        f"# sums\n{DIGEST}  shop-1.4.2.tar.gz\n",
    ],
)
def test_written_digests_are_read(text: str) -> None:
    assert checksum.of_text(text, "shop-1.4.2.tar.gz") == DIGEST


@pytest.mark.parametrize(
    "text", ["", "abc", DIGEST[:-1], DIGEST + "0", f"{DIGEST}  a\n{'0' * 64}  b", f"{DIGEST}\n{'0' * 64}"]
)
def test_what_is_no_digest_is_not_read(text: str) -> None:
    assert checksum.of_text(text, "shop-1.4.2.tar.gz") == ""
