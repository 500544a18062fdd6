"""A plan as a text for people: what a deploy would change on a host. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.artifact import Artifact
from deployer.env import Difference
from deployer.model import Config
from deployer.plan import Deploy
from deployer.sizes import size_text


def explain(plan: Deploy, *, config: Config, artifact: Artifact, before: Mapping[str, str] | None) -> str:
    """Return the plan of a host as a text for people; environment by name only.

    Args:
        before: The committed release's files (path to "sha256 size"), where they are known.
    """
    host = plan.host.name
    warnings = [f"  warning      {warning}" for warning in plan.warnings if warning not in plan.again]
    if plan.unchanged:
        return "\n".join((f"{host}: {plan.release} is committed and runs; nothing to do", *warnings)) + "\n"
    lines = [f"{host}: {config.app.name} {plan.expect or 'nothing yet'} → {plan.release}"]
    if plan.again:
        lines.append(f"  because      {'; '.join(plan.again)}")
    if not plan.stage:
        how = "already on the host"
    elif plan.copy_from:
        how = f"the tree of {plan.copy_from}, no upload"
    else:
        left = artifact.size_bytes - min(plan.incoming_bytes, artifact.size_bytes)
        how = f"upload of {size_text(left)}" + (" (the rest of an upload that was cut)" if plan.incoming_bytes else "")
    lines.append(f"  release      {how}")
    if before is not None:
        lines.append(f"  files        {_files_text(before, artifact)}")
    lines.append(f"  environment  {_environment_text(plan.environment)}")
    same = "as committed" if plan.replaces else "unchanged"  # what lies on the host may be neither
    lines.append(f"  unit         {'changed' if plan.unit_diff else same if plan.expect else 'new'}")
    lines += [f"      {line}" for line in plan.unit_diff]
    lines += [f"  replaces     {text}" for text in plan.replaces]
    lines += [f"  migrate      {command}" for command in config.service.migrate]
    lines.append(f"  restart      {config.app.unit}, then {health_text(config)}")
    lines += warnings
    return "\n".join(lines) + "\n"


def health_text(config: Config) -> str:
    """Return what a release must show, e.g. "http://… answers 200; up for 5 s, within 60 s"."""
    health = config.health
    wanted = []
    if health.http:
        wanted.append(f"{health.http} answers {' or '.join(map(str, health.status))}")
    if health.tcp:
        wanted.append(f"{health.tcp} accepts connections")
    if health.unix:
        wanted.append(f"{health.unix} has a listener")
    if health.command:
        wanted.append(f"`{health.command}` succeeds")
    wanted.append(f"it stays up for {health.settle_s:g} s, within {health.timeout_s:g} s")
    return "; ".join(wanted)


def _environment_text(difference: Difference) -> str:
    parts = [
        f"{word}: {', '.join(names)}"
        for word, names in (
            ("added", difference.added),
            ("changed", difference.changed),
            ("removed", difference.removed),
        )
        if names
    ]
    return " · ".join(parts) or "unchanged"


def _files_text(before: Mapping[str, str], artifact: Artifact) -> str:
    after = {file.path: f"{file.sha256} {file.size_bytes}" for file in artifact.files}
    added = after.keys() - before.keys()
    removed = before.keys() - after.keys()
    changed = {path for path in after.keys() & before.keys() if after[path] != before[path]}
    new_bytes = sum(int(after[path].split(" ")[1]) for path in added | changed)
    if not (added or removed or changed):
        return "unchanged"
    return f"{len(added)} added, {len(changed)} changed, {len(removed)} removed; {size_text(new_bytes)} new"
