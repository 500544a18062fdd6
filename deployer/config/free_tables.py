"""Values of a config that are tables with free keys: environment variables and unit directives.

Both may hold secrets, so a fault in them names the key and never shows the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from deployer.config import patterns
from deployer.config.faults import BAD, Spot
from deployer.config.values import Schema

_INT64: Final = 2**63
_SECTIONS: Final = ("Unit", "Service", "Install")


@dataclass(frozen=True, kw_only=True, slots=True)
class Variables:
    """A table of environment variables; no value of it is ever shown."""

    accepts: str = "a table of variables, each a text, a whole number or true/false"
    value_accepts: str = "a text without NUL, a whole number of 64 bits, true or false; other numbers go in quotes"

    def read(self, value: Any, spot: Spot) -> Any:
        if not isinstance(value, dict):
            return spot.hidden().wrong(value, self.accepts)
        read = [(name, self._one(name, each, spot.at(name).hidden())) for name, each in value.items()]
        return BAD if any(each is BAD for _, each in read) else tuple(read)

    def _one(self, name: str, value: Any, spot: Spot) -> Any:
        if not re.fullmatch(patterns.VARIABLE, name):
            return spot.refuse('not a variable\'s name: letters, digits and "_", not beginning with a digit')
        match value:
            case bool():
                return "true" if value else "false"
            case str() if "\0" not in value:
                return value
            case int() if -_INT64 <= value < _INT64:
                return str(value)
        return spot.wrong(value, self.value_accepts)

    def schema(self) -> Schema:
        text = {"type": "string", "pattern": "^[^\\x00]*$"}
        number = {"type": "integer", "minimum": -_INT64, "maximum": _INT64 - 1}
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^{patterns.VARIABLE}$"},
            "additionalProperties": {"anyOf": [text, number, {"type": "boolean"}]},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Directives:
    """A table of unit directives, read into `Section.Directive` and its lines; no value of it is ever shown.

    `false` and an empty list remove a directive (no lines), `true` is "yes", a list is several lines.
    """

    accepts: str = 'a table of directives, such as { LimitNOFILE = 65536, "Unit.After" = ["postgresql.service"] }'
    value_accepts: str = (
        "one line of text, without control characters and with no backslash at its end, a whole number, true, false, "
        "or a list of such texts"
    )

    def read(self, value: Any, spot: Spot) -> Any:
        if not isinstance(value, dict):
            return spot.hidden().wrong(value, self.accepts)
        read: dict[str, Any] = {}
        bad = False
        for name, each in value.items():
            here = spot.at(name).hidden()
            key = name if "." in name else f"Service.{name}"
            lines = self._lines(name, each, here)
            bad = bad or lines is BAD
            if key in read:
                bad = here.refuse(f"given twice: {name.removeprefix('Service.')} means {key}") is BAD
            read[key] = lines
        return BAD if bad else tuple(read.items())

    def _lines(self, name: str, value: Any, spot: Spot) -> Any:
        if name in _SECTIONS and isinstance(value, dict):
            return spot.refuse(f'quote section and directive as one key: "{name}.Directive" = …')
        if not re.fullmatch(patterns.DIRECTIVE, name):
            return spot.refuse(
                'not a directive\'s name, such as LimitNOFILE, or "Unit.After" (Unit, Service or Install) in quotes'
            )
        lines = _texts(value)
        good = all(isinstance(line, str) and re.fullmatch(patterns.DIRECTIVE_VALUE, line) for line in lines)
        return lines if good else spot.wrong(value, self.value_accepts)

    def schema(self) -> Schema:
        text = {"type": "string", "pattern": f"^{patterns.DIRECTIVE_VALUE}$"}
        number = {"type": "integer", "minimum": -_INT64, "maximum": _INT64 - 1}
        values = [text, number, {"type": "boolean"}, {"type": "array", "items": text}]
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^{patterns.DIRECTIVE}$"},
            "additionalProperties": {"anyOf": values},
        }


def _texts(value: Any) -> tuple[Any, ...]:
    """Return a directive's lines, or what stands in their place where it is not acceptable."""
    match value:
        case bool():
            return ("yes",) if value else ()
        case int() if -_INT64 <= value < _INT64:
            return (str(value),)
        case list():
            return tuple(value)
    return (value,)
