"""Strikes by lot: how many, and the seed that makes a run repeatable.

DEPLOYER_SEED repeats a run; DEPLOYER_STRIKES asks for a long one (`script/test --soak N` sets it). The table of all
strikes is printed at the end.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from tests.host.faults.record import SEED_VARIABLE, STRIKES_VARIABLE

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Lot:
    """Draws by lot. The same seed and purpose give the same draw."""

    seed: str
    is_long: bool

    def random(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {purpose}")  # noqa: S311 - to be repeatable is the point

    def some(self, each: Iterable[T], share: int, purpose: str) -> list[T]:
        """Return `share` of them in order, or all in a long run."""
        everything = list(each)
        if self.is_long or len(everything) <= share:
            return everything
        chosen = set(self.random(purpose).sample(range(len(everything)), share))
        print(f"{SEED_VARIABLE}={self.seed}: {purpose}: {share} of {len(everything)} by lot")
        return [one for number, one in enumerate(everything) if number in chosen]


@pytest.fixture(scope="session")
def lot() -> Lot:
    return Lot(seed=os.environ[SEED_VARIABLE], is_long=STRIKES_VARIABLE in os.environ)
