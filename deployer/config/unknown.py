"""What to say of a key that is not known: the nearest known one, or where it belongs, or what there is."""

from __future__ import annotations

from deployer.config import schema
from deployer.config.definition import Table
from deployer.config.near import near


def unknown_key(name: str, table: Table) -> str:
    """Say that a table has no such key."""
    elsewhere = [other.title for other in schema.TABLES if other is not table and name in other.names]
    if elsewhere:
        return f"unknown key here; it belongs into {' or '.join(elsewhere)}"
    meant = near(name, table.names)
    if meant:
        return f'unknown key, did you mean "{meant}"?'
    return f"unknown key; {table.title} takes {', '.join(table.names)}"


def unknown_table(name: str) -> str:
    """Say that a config has no such table, or no such key above its tables."""
    tables = [table.title for table in schema.TABLES if name in table.names]
    if tables:
        return f"unknown key here; it belongs into {' or '.join(tables)}"
    meant = near(name, schema.BY_NAME)
    if meant:
        return f'unknown table, did you mean "{meant}"?'
    return f"unknown table; a config takes {', '.join(table.title for table in schema.TABLES)}"
