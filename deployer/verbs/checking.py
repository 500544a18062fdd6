"""check: everything that a deploy needs, looked at here and on each host; changing nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from deployer import artifact, kinds, plan, refusals, unit
from deployer.artifact import Artifact
from deployer.engine import failure
from deployer.errors import DeployerError, UnreachableError, UsageError
from deployer.events import Listing
from deployer.host.facts import Facts
from deployer.host.replies import decoded
from deployer.kinds.base import Launch
from deployer.model import Config, Health, Host
from deployer.remote import Remote
from deployer.sizes import counted, size_text
from deployer.verbs.run import Run

LOCAL = ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "")  # noqa: S104 - compared with, not bound
LOW_DISK = 1 << 28


def check(run: Run) -> int:
    """Look at everything that a deploy needs, here and on each host; change nothing."""
    rows: list[Mapping[str, Any]] = []

    def add(where: str, what: str, text: str, *, ok: bool = True, warning: bool = False, hint: str = "") -> None:
        shown = f"warning: {text}" if warning else text
        rows.append({"host": where, "check": what, "ok": ok, "warning": warning, "text": shown, "next": hint or None})

    config = run.config
    add("here", "config", str(config.path))
    try:
        text, launch, found = _artifact(run)
        add("here", "artifact", text)
    except DeployerError as error:
        add("here", "artifact", error.message, ok=False, hint=error.hint)
        launch, found = _launch_of(config), None
    # Without our comment above them, the lines of a template have their own numbers.
    rendered = unit.unit_text(
        config, launch=launch, release_path=config.app.release_path("0"), env_file=config.app.env_path
    ).removeprefix(unit.HEADER)
    for remark in unit.remarks(rendered):
        # Advice: systemd takes the unit, and a deploy does.
        add("here", "unit text", remark, warning=True, hint=f"edit {_unit_source(config)}")
    for remark in unit.removed_in_vain(config, launch=launch):
        add("here", "config", remark, warning=True, hint="deployer unit")
    hosts = _hosts(run, add)
    # Without a host, what is the same for all of them.
    for host in hosts or (Host(name="here", address=""),):
        try:
            add(host.name, "environment", counted(len(run.environment(host).values), "name"))
        except DeployerError as error:
            add(host.name, "environment", "; ".join((error.message, *error.details)), ok=False, hint=error.hint)

    digest = found.sha256 if found else ""

    def work(remote: Remote) -> tuple[Facts, list[tuple[str, str]]]:
        facts = remote.probe(digest=digest, env=True, health=True)
        return facts, remote.check(unit=rendered, port=_port(config.health))

    def done(host: Host, answer: tuple[Facts, list[tuple[str, str]]]) -> None:
        facts, judged = answer
        add(host.name, "reach", f"{facts.os}, systemd {facts.systemd}, {facts.machine}; root")
        for problem in refusals.problems(config, host, facts):
            add(host.name, "host", problem.message, ok=False, hint=problem.hint)
        # No obstacle: it is tried again, and may hold where its environment or the host has changed.
        if failed := plan.failed_last(facts, _of_tarball(facts, found.id if found else "")):
            hint = f"deployer logs --host {host.name} --deploy {failed.id}"
            add(host.name, "artifact", plan.failed_text(failed), hint=hint)
        add(host.name, "disk", **_disk(found, host, facts))
        for what, text in judged:
            add(host.name, what, ok=False, **_judged(config, what, decoded(text).strip()))
        if not any(what == "unit" for what, _ in judged):
            add(host.name, "unit", "systemd on the host accepts it")
        if facts.frozen:
            text = f"locked by {facts.frozen.who} {facts.frozen.span}: {facts.frozen.reason}"
            add(host.name, "lock", text, ok=False, hint=f"deployer unlock --host {host.name}")
        if facts.under_way:
            hint = f"deployer attach --host {host.name}"
            add(host.name, "activation", "one is under way", ok=False, hint=hint)
        for text in facts.drift:
            # A deploy tells of it, and sets it right.
            add(host.name, "drift", text, warning=True, hint=f"deployer status --host {host.name}")

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


def _disk(found: Artifact | None, host: Host, facts: Facts) -> dict[str, Any]:
    """Return the row about the host's disk: whether the release finds room, if there is one already."""
    free = f"{size_text(facts.free_bytes)} free"
    hint = f"deployer prune --host {host.name}, or make room"
    if found is None and facts.free_bytes < LOW_DISK:
        text = f"{free}; what a release needs is known once there is a tarball"
        return {"text": text, "warning": True, "hint": hint}
    needed = refusals.needed_bytes(found, facts) if found else 0
    if not needed:
        return {"text": f"{free}; this release is there already" if found else free}
    enough = facts.free_bytes >= needed
    text = f"{free}, and this release needs {size_text(needed)}"
    return {"text": text, "ok": enough, "hint": "" if enough else hint}


def _judged(config: Config, what: str, text: str) -> dict[str, Any]:
    """Return the row about what the host has against the unit or the port."""
    if what != "unit":
        return {"text": text, "hint": "another health port, or end what has it"}
    if config.service.template is not None:
        text = text.replace(f"{config.app.unit}:", f"{config.service.template.name}:")
    return {"text": text, "hint": f"correct {_unit_source(config)}"}


def _unit_source(config: Config) -> str:
    """Return what a person edits to have another unit."""
    return str(config.service.template or "[service] in the config")


def _artifact(run: Run) -> tuple[str, Launch, Artifact | None]:
    """Return what is known of the tarball that a deploy would take, nothing built or fetched, how it is started, and the
    tarball itself, where there is one already.
    """
    config = run.config
    if config.artifact.url:
        return "fetched by each deploy", _launch_of(config), None
    if config.artifact.build:
        return "built by each deploy", _launch_of(config), None
    if not config.artifact.path:
        return "given to each deploy with --artifact", _launch_of(config), None
    path = artifact.obtain(
        config.artifact, directory=config.directory, emit=run.emit, cache=run.cache / "artifacts", build=False
    )
    found = artifact.load_for(config, path)
    return f"{path.name}: {found.release.kind}, {found.id}", kinds.launch_of(found.release, config), found


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
