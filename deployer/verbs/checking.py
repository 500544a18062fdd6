"""check: everything that a deploy needs, looked at here and on each host; changing nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from deployer import artifact, kinds, plan, refusals, unit
from deployer.engine import failure
from deployer.errors import DeployerError, UnreachableError, UsageError
from deployer.events import Listing
from deployer.host.facts import Facts
from deployer.host.replies import decoded
from deployer.kinds.base import Launch
from deployer.model import Config, Health, Host
from deployer.remote import Remote
from deployer.sizes import size_text
from deployer.verbs.run import Run

LOCAL = ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "")  # noqa: S104 - compared with, not bound
LOW_DISK = 1 << 28


def check(run: Run) -> int:
    """Look at everything that a deploy needs, here and on each host; change nothing."""
    rows: list[Mapping[str, Any]] = []

    def add(where: str, what: str, text: str, *, ok: bool = True, hint: str = "") -> None:
        rows.append({"host": where, "check": what, "ok": ok, "text": text, "next": hint or None})

    config = run.config
    add("here", "config", str(config.path))
    try:
        text, launch, release = _artifact(run)
        add("here", "artifact", text)
    except DeployerError as error:
        add("here", "artifact", error.message, ok=False, hint=error.hint)
        launch, release = _launch_of(config), ""
    rendered = unit.unit_text(
        config, launch=launch, release_path=config.app.release_path("0"), env_file=config.app.env_path
    )
    for remark in unit.remarks(rendered):
        add("here", "unit text", remark, ok=False, hint=f"edit {config.service.template or '[service] in the config'}")
    hosts = _hosts(run, add)
    # Without a host, what is the same for all of them.
    for host in hosts or (Host(name="here", address=""),):
        try:
            add(host.name, "environment", f"{len(run.environment(host).values)} names")
        except DeployerError as error:
            add(host.name, "environment", "; ".join((error.message, *error.details)), ok=False, hint=error.hint)

    def work(remote: Remote) -> tuple[Facts, list[tuple[str, str]]]:
        return remote.probe(env=True, health=True), remote.check(unit=rendered, port=_port(config.health))

    def done(host: Host, found: tuple[Facts, list[tuple[str, str]]]) -> None:
        facts, judged = found
        add(host.name, "reach", f"{facts.os}, systemd {facts.systemd}, {facts.machine}; root")
        for problem in refusals.problems(config, host, facts):
            add(host.name, "host", problem.message, ok=False, hint=problem.hint)
        # No obstacle: it is tried again, and may hold where its environment or the host has changed.
        if failed := plan.failed_last(facts, _of_tarball(facts, release)):
            hint = f"deployer logs --host {host.name} --deploy {failed.id}"
            add(host.name, "artifact", plan.failed_text(failed), hint=hint)
        enough = facts.free_bytes > LOW_DISK
        add(
            host.name, "disk", f"{size_text(facts.free_bytes)} free", ok=enough, hint="" if enough else "deployer prune"
        )
        for what, text in judged:
            hint = "correct [service] in the config" if what == "unit" else "another health port, or end what has it"
            add(host.name, what, decoded(text).strip(), ok=False, hint=hint)
        if not any(what == "unit" for what, _ in judged):
            add(host.name, "unit", "systemd on the host accepts it")
        if facts.frozen:
            text = f"locked by {facts.frozen.who} {facts.frozen.span}: {facts.frozen.reason}"
            add(host.name, "lock", text, ok=False, hint=f"deployer unlock --host {host.name}")
        if facts.under_way:
            hint = f"deployer attach --host {host.name}"
            add(host.name, "activation", "one is under way", ok=False, hint=hint)
        for text in facts.drift:
            add(host.name, "drift", text, ok=False, hint=f"deployer status --host {host.name}")

    def failed(host: Host, error: DeployerError) -> None:
        what = "reach" if isinstance(error, UnreachableError) else "host"
        add(host.name, what, error.message, ok=False, hint=error.hint)
        if error.details:  # to be compared or copied, line by line
            run.emit(failure(error, host=host.name))

    code = run.engine.each(hosts, work, done, failed) if hosts else UsageError.exit_code
    run.emit(Listing(name="check", columns=("host", "check", "ok", "text", "next"), rows=tuple(rows)))
    return code or (1 if any(not row["ok"] for row in rows) else 0)


def _hosts(run: Run, add: Callable[..., None]) -> tuple[Host, ...]:
    """Return the hosts that are meant; where that is not clear, what is here can still be looked at."""
    try:
        return run.hosts
    except UsageError as error:
        add("here", "hosts", error.message, ok=False, hint=error.hint)
        return ()


def _artifact(run: Run) -> tuple[str, Launch, str]:
    """Return what is known of the tarball that a deploy would take, nothing built or fetched, how it is started, and the
    id of its release, where that is known.
    """
    config = run.config
    if config.artifact.url:
        return "fetched by each deploy", _launch_of(config), ""
    if config.artifact.build:
        return "built by each deploy", _launch_of(config), ""
    if not config.artifact.path:
        return "given to each deploy with --artifact", _launch_of(config), ""
    path = artifact.obtain(
        config.artifact, directory=config.directory, emit=run.emit, cache=run.cache / "artifacts", build=False
    )
    found = artifact.load_for(config, path)
    return f"{path.name}: {found.release.kind}, {found.id}", kinds.launch_of(found.release, config), found.id


def _of_tarball(facts: Facts, release: str) -> set[str]:
    """Return the ids of the releases of a tarball: with another unit or environment it is one more, with a number."""
    return {entry.id for entry in facts.ledger if release and re.fullmatch(rf"{re.escape(release)}(\.\d+)?", entry.id)}


def _launch_of(config: Config) -> Launch:
    # Without a tarball there is no kind to ask: what the config says is judged.
    return Launch(exec_start=config.service.exec_start or "bin/server")


def _port(health: Health) -> int:
    """Return the port of the health check on the host itself; 0 where it has none."""
    place = urlsplit(health.http).netloc if health.http else health.tcp
    host, _, port = place.rpartition(":")
    if health.http and not host:
        host, port = place, "80"
    return int(port) if host in LOCAL and port.isdigit() else 0
