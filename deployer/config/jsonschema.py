"""The JSON Schema of a config, for editors; `python -m deployer.config.jsonschema` prints it.

It says what a schema can say. Beyond it are the loader's comparisons: durations that are longer than others, hosts and
groups that must exist, variables of `~`; and that 1.0 is no whole number in an environment or a directive, where its
spelling counts.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from deployer.config import schema
from deployer.config.definition import Key, Table


def json_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "deployer's config (config/deploy.toml)",
        "type": "object",
        "additionalProperties": False,
        "required": [table.name for table in schema.TABLES if any(key.required for key in table.keys)],
        "properties": {table.name: _named(table) if table.named else _table(table) for table in schema.TABLES},
    }


def text() -> str:
    """Return the schema as it is shipped."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _named(table: Table) -> dict[str, Any]:
    return {
        "description": table.doc,
        "type": "object",
        "propertyNames": {"pattern": f"^(?:{table.name_pattern})$"},
        "additionalProperties": {key: value for key, value in _table(table).items() if key != "description"},
    }


def _table(table: Table) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": table.doc,
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: _key(key) for key in table.keys},
    }
    required = [key.name for key in table.keys if key.required]
    if required:
        made["required"] = required
    rules = [rule.schema for rule in table.rules if rule.schema]
    if rules:
        made["allOf"] = rules
    return made


def _key(key: Key) -> dict[str, Any]:
    made = {"description": f"{key.doc}\n\nExample: `{key.example}`", **key.value.schema()}
    if key.default is not None:
        made["default"] = key.default
    return made


if __name__ == "__main__":
    sys.stdout.write(text())
