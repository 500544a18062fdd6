"""What became of each strike, kept in a file that all workers of a test run share, and drawn as a table at its end."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_VARIABLE = "DEPLOYER_STRIKES_FILE"
SEED_VARIABLE = "DEPLOYER_SEED"
STRIKES_VARIABLE = "DEPLOYER_STRIKES"


@dataclass(frozen=True, kw_only=True, slots=True)
class Strike:
    """One strike: what, at which step, on which release the host stood afterwards (new or old), and how soon."""

    fault: str
    step: str
    outcome: str
    recovery_s: float


def record(strike: Strike) -> None:
    """Add a strike to this run's file, if the run keeps one."""
    path = os.environ.get(FILE_VARIABLE)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(strike)) + "\n")


def read_strikes(path: Path) -> list[Strike]:
    """Return the strikes of a run so far."""
    if not path.exists():
        return []
    return [Strike(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def table(strikes: Iterable[Strike]) -> str:
    """Return a Markdown table, a row for each fault and step: how many, how they ended, the longest recovery."""
    groups: dict[tuple[str, str], list[Strike]] = defaultdict(list)
    for strike in strikes:
        groups[strike.fault, strike.step].append(strike)
    lines = [
        "| fault | step | strikes | on the new release | on the one before | slowest recovery |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for (fault, step), each in sorted(groups.items()):
        new = sum(strike.outcome == "new" for strike in each)
        slowest_s = max(strike.recovery_s for strike in each)
        lines.append(f"| {fault} | {step} | {len(each)} | {new} | {len(each) - new} | {slowest_s:.1f} s |")
    return "\n".join(lines)
