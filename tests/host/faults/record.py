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
STEPS = (
    *(
        "start-up",
        "connect",
        "plan",
        "upload",
        "unpack",
        "sync",
        "verify",
        "before its start",
        "migrate",
        "start",
        "health",
    ),
    *("commit", "after its end"),
)
"""In the order in which they come; the phases that a client shows, and what is before and behind them on the host."""


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
    """Return a Markdown table: a row for each fault, a column for each step, and the longest recovery.

    A cell says how many times the host stood on the new release afterwards, and how many on the one before.
    """
    groups: dict[str, list[Strike]] = defaultdict(list)
    for strike in strikes:
        groups[strike.fault].append(strike)
    met = {strike.step for each in groups.values() for strike in each}
    steps = [step for step in STEPS if step in met] + sorted(met - set(STEPS))
    lines = [
        f"| fault | strikes | {' | '.join(steps)} | slowest recovery |",
        f"|---|--:|{'--:|' * len(steps)}--:|",
    ]
    for fault, each in sorted(groups.items()):
        cells = " | ".join(_outcomes([strike for strike in each if strike.step == step]) for step in steps)
        lines.append(f"| {fault} | {len(each)} | {cells} | {max(strike.recovery_s for strike in each):.1f} s |")
    return "\n".join(lines)


def _outcomes(strikes: list[Strike]) -> str:
    new = sum(strike.outcome == "new" for strike in strikes)
    counts = ((new, "new"), (len(strikes) - new, "old"))
    return ", ".join(f"{count} {word}" for count, word in counts if count)
