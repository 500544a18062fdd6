"""Where a value of a config stands, and the faults that are found there.

Nothing is raised here: faults are collected, so that a user sees all of them at once. A value below a private spot is
never shown, since an environment holds secrets.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

Step: TypeAlias = str | int
Trail: TypeAlias = tuple[Step, ...]
"""The way to a value: keys, and indexes of arrays."""

BAD: Final = object()
"""What a reader returns for a value that it has found fault with."""

_LONGEST_SHOWN: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    trail: Trail
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """A place in a config. `directory` is where relative local paths start; `faults` is one list for all spots."""

    trail: Trail = ()
    directory: Path = Path()
    private: bool = False
    faults: list[Fault] = field(default_factory=list)

    def at(self, step: Step) -> Spot:
        return replace(self, trail=(*self.trail, step))

    def hidden(self) -> Spot:
        return replace(self, private=True)

    def refuse(self, message: str) -> object:
        self.faults.append(Fault(trail=self.trail, message=message))
        return BAD

    def wrong(self, value: Any, accepts: str) -> object:
        """Note that a value is not what is accepted, and show it unless it may be a secret."""
        return self.refuse(f"{'the value' if self.private else shown(value)} is not {accepts}")


def shown(value: Any) -> str:
    """Return a found value as TOML would write it, cut to a line: a password in a URL is masked."""
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            # A password may hold any character, a slash and a blank among them.
            masked = re.sub(r"//.*@", "//***@", value, flags=re.DOTALL)
            cut = masked if len(masked) <= _LONGEST_SHOWN else masked[: _LONGEST_SHOWN - 1] + "…"
            text = json.dumps(cut, ensure_ascii=not cut.isprintable())
        case int() if value.bit_length() > 64:
            text = "a number of more than 64 bits"
        case int() | float():
            text = str(value)
        case list():
            text = "a list" if value else "an empty list"
        case dict():
            text = "a table"
        case _:
            text = "a date or time"
    return text


def dotted(trail: Trail) -> str:
    """Return a trail as TOML writes it: `hosts."a b".groups[0]`."""
    text = ""
    for step in trail:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", step)
            text += ("." if text else "") + (step if bare else json.dumps(step, ensure_ascii=not step.isprintable()))
    return text
