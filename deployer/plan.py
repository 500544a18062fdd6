"""What a deploy or rollback would do to a host, decided from values alone: config, artifact, environment, facts.

Nothing is read or run here. `explain.py` has the text that a person sees; the engine carries the same plan out.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployer import refusals, unit
from deployer.env import Difference, Environment, compare, encode, parse_systemd
from deployer.errors import LockedError, UsageError
from deployer.host.facts import Facts, LedgerEntry
from deployer.host.payload import ID_PLACEHOLDER, Payload, identity
from deployer.host.settings import settings_text
from deployer.kinds.base import Launch
from deployer.model import Config, Host

if TYPE_CHECKING:
    from deployer.artifact import Artifact


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What is to be deployed, the same for every host. `who` and `revision` go into the ledger."""

    config: Config
    artifact: Artifact
    launch: Launch
    who: str
    revision: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deploy:
    """A deploy to one host.

    `stage` is False where the release lies on the host already; `copy_from` names a release with the same tarball, so
    that nothing is uploaded. `unchanged` means that there is nothing to do at all. `expect` is the committed release
    that the activation must still find. `replaces` are sentences on what a person wrote on the host and loses; `again` says
    why a release that is committed already is activated once more. `queued`: another activation is under way, so this may be
    staged, and is planned anew before it is activated.
    """

    host: Host
    release: str
    expect: str
    stage: bool
    copy_from: str
    unchanged: bool
    payload: Payload
    environment: Difference
    unit_diff: tuple[str, ...]
    warnings: tuple[str, ...]
    replaces: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    incoming_bytes: int = 0
    queued: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollback:
    """A way back on one host.

    `queued`: another activation is under way, whose end decides where back is. `proven`: the release was good here once;
    of another, systemd may have refused the unit.
    """

    host: Host
    release: str
    expect: str
    warnings: tuple[str, ...] = ()
    unchanged: bool = False
    queued: bool = False
    proven: bool = True


def deploy(
    candidate: Candidate,
    *,
    host: Host,
    facts: Facts,
    environment: Environment,
    queues: bool = False,
    look_only: bool = False,
) -> Deploy:
    """Return what a deploy of the candidate to this host is.

    Args:
        queues: Behind an activation that is under way, instead of being refused.
        look_only: It will not be carried out; then a human lock is a warning.

    Raises:
        HostError: The host cannot take it; the message says why and what to do.
        BusyError: An activation is under way.
        LockedError: A person has frozen the app.
    """
    config, artifact = candidate.config, candidate.artifact
    refusals.refuse(config, host, facts)
    if facts.under_way and not queues:
        raise refusals.busy(config, host, facts)
    locks = refusals.locks(config, facts)
    if facts.frozen and not look_only:
        who, unlock = facts.frozen.who, f"deployer unlock --host {host.name}"
        raise LockedError(
            locks[0],
            host=host.name,
            hint=f"it is your own: {unlock}" if who == candidate.who else f"{unlock}, once {who} agrees",
        )
    env_text = encode(environment.values)
    known = identity(
        version=artifact.version,
        digest=artifact.sha256,
        unit=_unit(config, candidate.launch, ID_PLACEHOLDER, committed=False),
        one_off=_one_off(config, candidate.launch, ID_PLACEHOLDER),
        settings=settings_text(config),
        env=env_text,
    )
    same = next((release for release in facts.releases if release.identity == known), None)
    twin = next((release for release in facts.releases if release.digest == artifact.sha256), None)
    release_id = same.id if same else _new_id(artifact.id, facts)
    if same is None and twin is None:
        refusals.refuse_full(config, artifact, host, facts)
    committed_unit = _unit(config, candidate.launch, release_id, committed=True)
    payload = Payload(
        trial_unit=_unit(config, candidate.launch, release_id, committed=False),
        committed_unit=committed_unit,
        one_off=_one_off(config, candidate.launch, release_id),
        settings=settings_text(config),
        env=env_text,
        manifest=_manifest(candidate, release_id),
        files=tuple(f"{file.sha256} {file.size_bytes} {file.path}" for file in artifact.files),
        identity=known,
        digest=artifact.sha256,
    )
    as_committed = release_id == facts.committed and not facts.drift
    return Deploy(
        host=host,
        release=release_id,
        expect=facts.committed,
        stage=same is None,
        copy_from=twin.id if twin and same is None else "",
        unchanged=as_committed and facts.active and not (facts.trial or facts.committing or facts.under_way),
        payload=payload,
        environment=compare(parse_systemd(facts.env_text.reveal()), environment.values),
        unit_diff=_unit_diff(facts, committed_unit, release_id),
        # Of a host on which a trial runs they would tell what is true in this moment alone.
        warnings=()
        if facts.under_way
        else (
            *_warnings(_unreplaced(facts)),
            *_history(facts, release_id),
            *(f"{text}; until that is over, a deploy is refused" for text in locks),
        ),
        again=_again(facts) if release_id == facts.committed else (),
        replaces=_replaces(config, facts),
        incoming_bytes=facts.incoming_bytes,
        queued=facts.under_way,
    )


def rollback(
    config: Config, *, host: Host, facts: Facts, to: str = "", queues: bool = False, behind: str | None = None
) -> Rollback:
    """Return the way back to `to`, or to the last good release before the committed one.

    Args:
        queues: As for `deploy`.
        behind: What was committed when this began to wait for an activation. If that serves again, the activation has
            taken itself back, which is what was asked for: nobody meant to leave a release for another's fault.

    Raises:
        UsageError: There is no such release on the host.
        BusyError, HostError: As for `deploy`; a human lock does not stop a rollback.
    """
    refusals.refuse(config, host, facts)
    if facts.under_way:
        if queues:
            return Rollback(host=host, release="", expect=facts.committed, queued=True)
        raise refusals.busy(config, host, facts)
    is_settled = facts.active and not (facts.trial or facts.committing)
    if not to and behind and behind == facts.committed and is_settled:
        told = f"{behind} is committed and serves, as before the activation that this waited for: there is nothing to go back from"
        more = f"another rollback of {host.name} would go further back"
        return Rollback(host=host, release=behind, expect=behind, warnings=(f"{told}; {more}",), unchanged=True)
    if to:
        matches = [each.id for each in facts.releases if each.id == to] or [
            each.id for each in facts.releases if each.id.startswith(to)
        ]
        if len(matches) > 1:
            raise refusals.ambiguous(to, matches, host)
        if not matches:
            raise UsageError(
                f"no releases on {host.name} match {to!r}",
                host=host.name,
                hint=f"deployer releases --host {host.name}",
            )
        target = matches[0]
    else:
        target = facts.rollback_target()
        if not target:
            here = {release.id for release in facts.releases}
            others = [each.id for each in facts.ledger if each.event == "good" and each.id in here - {facts.committed}]
            to_one = f"deployer rollback --host {host.name} --to {others[-1]}, which was good too" if others else ""
            none = f"there is no good release before {facts.committed} on {host.name}"
            raise UsageError(
                none if facts.committed else f"{host.name} has no good release to go back to",
                host=host.name,
                hint=to_one or f"deployer releases --host {host.name}",
            )
    return Rollback(
        host=host,
        release=target,
        expect=facts.committed,
        warnings=(*_warnings(facts), *_history(facts, target)),
        unchanged=target == facts.committed and is_settled and not facts.drift,
        proven=any(entry.event == "good" and entry.id == target for entry in facts.ledger),
    )


def failed_last(facts: Facts, ids: Collection[str]) -> LedgerEntry | None:
    """Return the verdict on these releases, of one tarball perhaps, if they did not hold when one was last tried."""
    tried = [entry for entry in facts.ledger if entry.id in ids and entry.event in ("good", "bad")]
    return tried[-1] if tried and tried[-1].event == "bad" else None


def failed_text(entry: LedgerEntry) -> str:
    return f"{entry.id} was tried at {entry.at} and did not hold: {entry.cause}"


def _new_id(base: str, facts: Facts) -> str:
    # An id is never used twice for different things: not while it is there, and not in the ledger's history.
    taken = {release.id for release in facts.releases} | {entry.id for entry in facts.ledger}
    number = 1
    while (candidate := base if number == 1 else f"{base}.{number}") in taken:
        number += 1
    return candidate


def _unit(config: Config, launch: Launch, release_id: str, *, committed: bool) -> str:
    path = config.app.release_path(release_id)
    env_file = config.app.env_path if committed else path / ".deployer/env"
    return unit.unit_text(config, launch=launch, release_path=path, env_file=env_file)


def _one_off(config: Config, launch: Launch, release_id: str) -> str:
    return unit.one_off_text(_unit(config, launch, release_id, committed=False), unit_name=config.app.unit)


def _manifest(candidate: Candidate, release_id: str) -> dict[str, object]:
    artifact = candidate.artifact
    return {
        "id": release_id,
        "app": candidate.config.app.name,
        "version": artifact.version,
        "kind": artifact.release.kind,
        "name": artifact.release.name,
        "file_name": artifact.file_name,
        "digest": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "unpacked_bytes": artifact.unpacked_bytes,
        "members": artifact.members,
        "revision": candidate.revision,
        "who": candidate.who,
    }


def _unit_diff(facts: Facts, text: str, release_id: str) -> tuple[str, ...]:
    def pinned(lines: str, each: str) -> list[str]:
        # The path of the release changes with each deploy and would hide what really changed.
        return (lines.replace(f"releases/{each}", "releases/ID") if each else lines).splitlines()

    before, after = pinned(facts.unit_text, facts.committed), pinned(text, release_id)
    diff = difflib.unified_diff(before, after, "committed", "new", lineterm="", n=1)
    return tuple(line for line in diff if facts.unit_text and not line.startswith(("---", "+++")))


def _warnings(facts: Facts) -> tuple[str, ...]:
    found = list(facts.drift)
    if abs(facts.clock_skew_s) > 60:
        found.append(f"the host's clock is {facts.clock_skew_s:+.0f} s from this machine's")
    if facts.torn_ledger_lines:
        found.append(f"{facts.torn_ledger_lines} line(s) of the ledger cannot be read")
    return tuple(found)


def _history(facts: Facts, release_id: str) -> tuple[str, ...]:
    failed = failed_last(facts, (release_id,))
    return (failed_text(failed),) if failed else ()


def _unreplaced(facts: Facts) -> Facts:
    """Return the facts without the edits that `_replaces` tells of, with their paths and what becomes of them."""

    def rest(drift: str) -> str:
        return "same" if drift == "edited" else drift

    return replace(facts, unit_drift=rest(facts.unit_drift), env_drift=rest(facts.env_drift))


def _again(facts: Facts) -> tuple[str, ...]:
    stopped = () if facts.active else (f"the service is {facts.unit.get('ActiveState', 'stopped')}",)
    return facts.drift or stopped


def _replaces(config: Config, facts: Facts) -> tuple[str, ...]:
    kept = f"it will be replaced, and a copy kept in {config.app.root}/replaced"
    found = [f"{path} was not written by deployer; {kept}" for path in (facts.foreign_unit, facts.foreign_env) if path]
    if facts.unit_drift == "edited" and not facts.is_exchanging:
        found.append(f"{config.app.unit_path} was edited on the host; {kept}")
    if facts.env_drift == "edited" and not facts.is_exchanging:
        found.append(f"{config.app.env_path} was edited on the host; {kept}")
    return tuple(found)
