"""Keys that say what a release must show before it is committed: `[health]`."""

from __future__ import annotations

from typing import Final

from deployer.config import patterns
from deployer.config.definition import Key, Table, needs, shorter
from deployer.config.values import Duration, Either, Integer, ListOf, Text


def tcp_address(text: str) -> str:
    """Return HOST:PORT of an address that may lack its host: `4000` and `:4000` are of 127.0.0.1."""
    host, _, port = text.rpartition(":")
    return f"{host or '127.0.0.1'}:{port}"


HEALTH: Final = Table(
    name="health",
    doc="What a new release must show, on its host, before it is committed. systemd's own view comes first: active, one "
    "process, no restart for the settle time. Then each check given here must pass before the time-out, else the "
    "host goes back to the release before.",
    keys=(
        Key(
            name="http",
            value=Text(
                accepts='a URL such as "http://127.0.0.1:4000/health": http, without user, password or fragment',
                pattern=patterns.HTTP,
                hints=(
                    (
                        r"https://",
                        'https:// is not spoken here; give http://, or command = "curl -fsS https://localhost/health"',
                    ),
                ),
            ),
            doc="A URL that must answer; it is asked from the host itself. `http://` alone.",
            example='http = "http://127.0.0.1:4000/health"',
        ),
        Key(
            name="status",
            value=ListOf(
                item=Integer(low=100, high=599),
                accepts="an HTTP status from 100 to 599, or a list of them",
                single=True,
                shortest=1,
            ),
            doc="The status, or the statuses, that count as healthy.",
            example="status = [200, 204]",
            default=200,
        ),
        Key(
            name="body",
            value=Text(accepts="one line of text", pattern=patterns.ONE_LINE, longest=1000),
            doc="A text that the answer's body must contain.",
            example='body = "ok"',
        ),
        Key(
            name="tcp",
            value=Either(
                text=Text(
                    accepts='a TCP address such as "127.0.0.1:4000", "[::1]:4000" or "4000", with a port from 1 to 65535',
                    pattern=patterns.TCP,
                    convert=tcp_address,
                ),
                integer=Integer(low=1, high=65535),
            ),
            doc="An address that must accept a connection. A port alone is of 127.0.0.1.",
            example='tcp = "127.0.0.1:4000"',
        ),
        Key(
            name="unix",
            value=Text(
                accepts='an absolute path on the host without "." or "..", up to 107 characters',
                pattern=patterns.ABSOLUTE,
                longest=107,
            ),
            doc="A Unix socket on the host that must accept a connection.",
            example='unix = "/run/my_phoenix_app/http.sock"',
        ),
        Key(
            name="command",
            value=Text(accepts="a command on one line"),
            doc="A command that must end with status 0, run on the host.",
            example='command = "curl -fsS https://localhost/health"',
        ),
        Key(
            name="settle",
            value=Duration(),
            doc="How long the service must have stayed up: the same process, no restart in between.",
            example='settle = "5s"',
            default="5s",
        ),
        Key(
            name="timeout",
            value=Duration(),
            doc="How long a release has to become healthy, from its start on.",
            example='timeout = "60s"',
            default="60s",
        ),
        Key(
            name="interval",
            value=Duration(),
            doc="How long to wait between two rounds of checks.",
            example='interval = "1s"',
            default="1s",
        ),
        Key(
            name="check_timeout",
            value=Duration(),
            doc="How long one check may take.",
            example='check_timeout = "5s"',
            default="5s",
        ),
    ),
    rules=(
        needs("status", "http", "it is the answer's status"),
        needs("body", "http", "it is looked for in the answer"),
        shorter("settle", "timeout", "nothing could settle in time"),
    ),
)
