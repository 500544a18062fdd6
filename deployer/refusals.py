"""Why a host cannot take a deploy or a rollback: what it lacks, who else is at work there, what was asked of it in vain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deployer.errors import BusyError, DeployerError, HostError, UsageError
from deployer.host.facts import Facts
from deployer.model import Config, Host
from deployer.sizes import size_text

if TYPE_CHECKING:
    from deployer.artifact import Artifact

OLDEST_SYSTEMD = 247


def ambiguous(name: str, ids: Sequence[str], host: Host) -> UsageError:
    """Return the error for a release's name that could be several of a host's."""
    return UsageError(
        f"{name!r} could be any of {', '.join(ids)} on {host.name}",
        host=host.name,
        hint=f"deployer releases --host {host.name}",
    )


def problems(config: Config, host: Host, facts: Facts) -> tuple[DeployerError, ...]:
    """Return everything about the host that stands in the way, worst first."""
    found: list[DeployerError] = []

    def add(message: str, hint: str) -> None:
        found.append(HostError(message, host=host.name, hint=hint))

    if facts.systemd < OLDEST_SYSTEMD:
        add(
            f"{host.name} has systemd {facts.systemd or '?'}; {OLDEST_SYSTEMD} or newer is needed",
            "Debian 11, Ubuntu 22.04, RHEL 9 and later have it",
        )
    if facts.missing_tools:
        add(f"{host.name} lacks {', '.join(facts.missing_tools)}", "install them with the host's package manager")
    if facts.root_problem:
        root = config.app.root
        add(
            facts.root_problem, f"on the host: ls -ld {root}, then chown root:root {root}; or set [app] root to another"
        )
    if facts.read_only:
        other = "; or set [app] root" if facts.read_only == str(config.app.root) else ""
        add(
            f"the file system of {facts.read_only} on {host.name} is read-only",
            f"on the host: findmnt -T {facts.read_only}, then mount -o remount,rw of its TARGET" + other,
        )
    if not facts.group:
        add(f"there is no user {config.app.user!r} on {host.name}", f"deployer setup --host {host.name}")
    if facts.unit.get("LoadState") == "masked":
        add(
            f"{config.app.unit} is masked on {host.name}",
            f"systemctl unmask {config.app.unit}, if that is meant to end",
        )
    where = facts.unit.get("FragmentPath", "")
    ours = (str(config.app.unit_path), str(config.app.trial_path))
    if facts.unit.get("LoadState") == "loaded" and where and where not in ours and not facts.committed:
        add(
            f"{config.app.unit} is a unit of {host.name}'s own already: {where}",
            "give the app a name of its own in [app] name; if the two are the same service, take that unit away first",
        )
    return tuple(found)


def refuse(config: Config, host: Host, facts: Facts) -> None:
    """Raise the worst of the host's problems, with the others below it."""
    found = problems(config, host, facts)
    if found:
        first = found[0]
        raise HostError(
            first.message, host=host.name, hint=first.hint, details=tuple(each.message for each in found[1:])
        )


def busy(config: Config, host: Host, facts: Facts) -> BusyError:
    """Return the error for a host on which an activation is under way: what, whose, since when."""
    found = facts.activation
    release = found.id if found else facts.trial.get("to", "")
    who = found.who if found else facts.trial.get("who", "")
    text = f"another activation of {config.app.name} is under way on {host.name}"
    text += f": {release}" if release else ""
    text += f", started by {who}" if who else ""
    return BusyError(
        f"{text} at {found.at}" if found else text,
        host=host.name,
        hint=f"deployer attach --host {host.name} follows it; deploy and rollback wait for its end with --wait 15m",
    )


def needed_bytes(artifact: Artifact, facts: Facts) -> int:
    """Return how much room an upload and its tree take: none where the tarball's tree is there already."""
    if any(release.digest == artifact.sha256 for release in facts.releases):
        return 0
    return artifact.size_bytes - facts.incoming_bytes + artifact.unpacked_bytes + (16 << 20)


def refuse_full(config: Config, artifact: Artifact, host: Host, facts: Facts) -> None:
    """Raise `HostError` where an upload and its tree would not fit."""
    needed = needed_bytes(artifact, facts)
    if facts.free_bytes < needed:
        raise HostError(
            f"{config.app.root} on {host.name} has {size_text(facts.free_bytes)} free, and this release needs {size_text(needed)}",
            host=host.name,
            hint=f"deployer prune --host {host.name}, or make room",
        )


def locks(config: Config, facts: Facts) -> tuple[str, ...]:
    """Return the human lock as a sentence, if there is one."""
    found = facts.frozen
    return (f"{found.who} has locked {config.app.name} {found.span}: {found.reason}",) if found else ()
