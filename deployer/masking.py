"""Hides known secrets in whatever is shown: a journal line in which an app prints its own, a build's output, an error."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from deployer.events import Event, Listing, Summary, Text
from deployer.model import Secret

SHORTEST = 6
"""Shorter values ("true", "4000") are no secrets, and hiding them would hide half the journal."""

TEXTS = ("text", "hint", "message", "details", "evidence", "command")
"""The fields of events that may quote somebody: not the names of hosts, phases and releases."""


class Masks:
    """A growing set of values to hide. Safe to use from several threads: the pattern is replaced whole."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._spared: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._adding = threading.Lock()

    def spare(self, texts: Iterable[str]) -> None:
        """Leave these as they are: the app's own name as a value hides half of what is said. Before anything is added."""
        self._spared |= frozenset(texts)

    def add(self, secrets: Iterable[Secret]) -> None:
        """Hide these values too, and each line of those that have several."""
        found: set[str] = set()
        for secret in secrets:
            value = secret.reveal()
            found.update(part for part in (value, *value.splitlines()) if len(part) >= SHORTEST)
        found -= self._spared
        with self._adding:
            self._values |= found
            # The longest first, so that no rest of a longer one stays visible.
            parts = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, parts))) if parts else None

    def mask(self, text: str) -> str:
        """Return the text with every known value as `***`."""
        return self._pattern.sub("***", text) if self._pattern else text

    def event(self, event: Event) -> Event:
        """Return the event with every known value hidden in its texts; results stay: a person has asked for them."""
        if self._pattern is None or isinstance(event, Listing | Text):
            return event
        if isinstance(event, Summary):
            return replace(event, hosts=tuple(replace(host, **self._hidden(host)) for host in event.hosts))
        return replace(event, **self._hidden(event))

    def _hidden(self, event: Event) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in (each.name for each in fields(event) if each.name in TEXTS):
            value = getattr(event, name)
            found[name] = self.mask(value) if isinstance(value, str) else tuple(map(self.mask, value))
        return found
