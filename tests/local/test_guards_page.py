"""The table of guards in docs/testing.md is held to the tests: those that it names, and those that call themselves twins."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/testing.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<guard>[^|]+) \| (?P<test>`[^|]+) \| (?P<twin>[^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`((?:unit|local|host|vm)/[\w/]+\.py::test_\w+)`")


def all_tests() -> dict[str, str]:
    """Every test by `FILE::NAME`, with its docstring."""
    return {
        f"{path.relative_to(TESTS)}::{node.name}": ast.get_docstring(node) or ""
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def section() -> str:
    found = re.search(r"^## Guards and their twins\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_every_test_and_twin_that_is_named_is_there() -> None:
    named = NAME.findall(section())
    assert len(named) > 90
    assert sorted(set(named) - all_tests().keys()) == []
    assert "local/test_guards_page.py::test_made_up" not in all_tests()


def test_every_guard_has_a_test_and_a_twin_or_says_why_not() -> None:
    rows = list(ROW.finditer(section()))
    assert len(rows) > 40
    # But for headings and the lines below them, each line of a table is such a row.
    assert len(rows) == len(re.findall(r"^\| (?!guard )", section(), re.MULTILINE))
    for row in rows:
        assert NAME.search(row["test"]), row["guard"]
        twin = row["twin"]
        assert NAME.search(twin) or twin == "in the same test" or re.match(r"none: \w+ \w+", twin), row["guard"]


def test_every_twin_is_in_the_table() -> None:
    twins = {name for name, docstring in all_tests().items() if re.match(r"(And )?[Tt]win\b", docstring)}
    assert len(twins) > 30
    assert sorted(twins - set(NAME.findall(section()))) == []
