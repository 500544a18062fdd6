"""What a definition of config keys is made of: keys, tables of keys, and rules between the keys of a table.

`schema.TABLES` holds the one definition; the loader, the JSON Schema and the page of all keys are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from deployer.config.values import Duration, Schema, Size, Value

Values: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Values, frozenset[str]], Iterator[tuple[str, str]]]
"""Gets the values of a table that were read or have a default, and the names that were given; yields the faults, each
with the name of its key. A key that was given and is not among the values was at fault by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One key.

    Args:
        doc: What it does, in Markdown; the first sentence says the most.
        default: As TOML would give it; None where the model's own empty value stands.
        default_text: How the default is told, where a value cannot tell it.
        example: The line as it would be written, `key = value`.
        private: Its values may be secrets: they are not shown in a fault.
    """

    name: str
    value: Value
    doc: str
    example: str
    default: Any = None
    default_text: str = ""
    required: bool = False
    private: bool = False
    model_field: str = ""

    @property
    def field(self) -> str:
        """The name of the model's field."""
        unit = {Duration: "_s", Size: "_bytes"}.get(type(self.value), "")
        return self.model_field or f"{self.name}{unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What must hold between keys of one table; `schema` says it too, where a JSON Schema can."""

    text: str
    check: Check
    schema: Schema = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table. `named` tables stand below a name of the user's choice: `[hosts.NAME]`."""

    name: str
    doc: str
    keys: tuple[Key, ...]
    rules: tuple[Rule, ...] = ()
    named: bool = False
    name_pattern: str = ""
    name_accepts: str = ""

    @property
    def title(self) -> str:
        return f"[{self.name}.NAME]" if self.named else f"[{self.name}]"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys)


def needs(key: str, other: str, why: str) -> Rule:
    """A rule: `key` is of no use without `other`."""

    def check(_values: Values, given: frozenset[str]) -> Iterator[tuple[str, str]]:
        if key in given and other not in given:
            yield key, f"needs {other} beside it: {why}"

    return Rule(
        text=f"`{key}` needs `{other}` beside it: {why}.", check=check, schema={"dependentRequired": {key: [other]}}
    )


def not_beside(key: str, others: tuple[str, ...], why: str) -> Rule:
    """A rule: none of `others` may stand beside `key`."""

    def check(_values: Values, given: frozenset[str]) -> Iterator[tuple[str, str]]:
        for other in others:
            if key in given and other in given:
                yield other, f"does not go with {key}: {why}"

    names = ", ".join(f"`{other}`" for other in others)
    schema = {"dependentSchemas": {key: {"properties": dict.fromkeys(others, False)}}}
    return Rule(text=f"{names} must not stand beside `{key}`: {why}.", check=check, schema=schema)


def shorter(key: str, other: str, why: str) -> Rule:
    """A rule: the duration `key` must be less than the duration `other`. Beyond a JSON Schema."""

    def check(values: Values, given: frozenset[str]) -> Iterator[tuple[str, str]]:
        if key in values and other in values and values[key] >= values[other]:
            told = key if key in given else other
            yield (
                told,
                f"{key} ({values[key]:g} s) must be shorter than {other} ({values[other]:g} s): {why}",
            )

    return Rule(text=f"`{key}` must be shorter than `{other}`: {why}.", check=check)
