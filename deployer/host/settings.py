"""A release's settings for the host program: one line `NAME=value` each, quoted for bash.

They travel with the release, so that a rollback is watched by the checks that belong to the release it goes back to.
"""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from deployer.model import Config, Health


def settings_text(config: Config) -> str:
    """Return the text of `.deployer/settings`."""
    health = config.health
    values: dict[str, str | tuple[str, ...]] = {
        "APP": config.app.name,
        "ROOT": str(config.app.root),
        "SETTLE_MS": str(round(health.settle_s * 1000)),
        "TIMEOUT_MS": str(round(health.timeout_s * 1000)),
        "INTERVAL_MS": str(round(health.interval_s * 1000)),
        "CHECK_TIMEOUT_S": _seconds(health.check_timeout_s),
        "CHECK_HTTP": _http(health),
        "CHECK_TCP": _address(health.tcp) if health.tcp else (),
        "CHECK_UNIX": health.unix,
        "CHECK_COMMAND": health.command,
        "MIGRATE": config.service.migrate,
        "MIGRATE_TIMEOUT_S": _seconds(config.service.migrate_timeout_s),
    }
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return shlex.quote(value)
    return "(" + " ".join(shlex.quote(word) for word in value) + ")"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _http(health: Health) -> tuple[str, ...]:
    if not health.http:
        return ()
    url = urlsplit(health.http)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    statuses = " ".join(str(status) for status in health.status)
    return (
        url.hostname or "127.0.0.1",
        str(url.port or 80),
        path,
        url.netloc.rpartition("@")[2],
        statuses,
        health.body,
    )


def _address(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", port
