"""The JSON Schema of `--output json`, made from the events themselves: `python -m deployer.output.schema`.

The schema ships beside this file as events.schema.json; docs/json-events.md is its page for people. Tests hold both
to the events.
"""

from __future__ import annotations

import json
import sys
import types
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from deployer.events import JSON_TYPES, HostEnded

_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
}


def events_schema() -> dict[str, Any]:
    """Return the schema of one line. A type that is no event's is a row of a listing, with keys of its own.

    Keys that it does not name are allowed: a later version may add some.
    """
    events = {name: _object(event, name) for event, name in sorted(JSON_TYPES.items(), key=lambda item: item[1])}
    row = {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string", "not": {"enum": sorted(events)}}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of deployer --output json",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in (*events, "row")],
        "$defs": {**events, "row": row, "host": _object(HostEnded)},
    }


def schema_text() -> str:
    """Return the schema as the file that ships."""
    return json.dumps(events_schema(), indent=2) + "\n"


def _object(cls: type[Any], name: str = "") -> dict[str, Any]:
    hints = get_type_hints(cls)
    properties = {field.name: _schema(hints[field.name]) for field in fields(cls)}
    if name:
        properties = {"type": {"const": name}, **properties}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _schema(hint: Any) -> dict[str, Any]:
    if hint in _SIMPLE:
        return dict(_SIMPLE[hint])
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": _schema(args[0])}
    if origin is types.UnionType:
        return {"anyOf": [_schema(arg) for arg in args]}
    if hint is type(None):
        return {"type": "null"}
    if hint is HostEnded:
        return {"$ref": "#/$defs/host"}
    raise TypeError(f"an event's field of type {hint!r} has no JSON form yet")


if __name__ == "__main__":
    sys.stdout.write(schema_text())
