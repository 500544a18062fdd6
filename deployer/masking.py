"""Hides known secrets in texts that come from elsewhere, such as a journal line in which an app prints its own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable

from deployer.model import Secret

SHORTEST = 6
"""Shorter values ("true", "4000") are no secrets, and hiding them would hide half the journal."""


class Masks:
    """A growing set of values to hide. Safe to use from several threads: the pattern is replaced whole."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._adding = threading.Lock()

    def add(self, secrets: Iterable[Secret]) -> None:
        """Hide these values too, and each line of those that have several."""
        found: set[str] = set()
        for secret in secrets:
            value = secret.reveal()
            found.update(part for part in (value, *value.splitlines()) if len(part) >= SHORTEST)
        with self._adding:
            self._values |= found
            # The longest first, so that no rest of a longer one stays visible.
            parts = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, parts))) if parts else None

    def mask(self, text: str) -> str:
        """Return the text with every known value as `***`."""
        return self._pattern.sub("***", text) if self._pattern else text
