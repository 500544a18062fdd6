"""The threat model is held to the tests that it names."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`((?:unit|local|host)/[\w/]+\.py)(?:::(\w+))?`", PAGE)
ATTACKERS = ("laptop", "CI", "network", "hostile artifact", "hostile app", "Another user", "curious colleague")


def section(words: str) -> str:
    found = re.search(rf"^## [^\n]*{words}[^\n]*\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, words
    return found[1]


def is_there(file: str, name: str) -> bool:
    path = TESTS / file
    return path.exists() and (not name or re.search(rf"^\s*def {name}\(", path.read_text(), re.MULTILINE) is not None)


def test_every_test_that_is_named_is_there() -> None:
    assert [f"{file}::{name}" for file, name in NAMED if not is_there(file, name)] == []
    assert len(NAMED) > 60
    # In whatever directory: none goes unread.
    assert len(NAMED) == len(re.findall(r"`[^`\s]+/test_", PAGE))


def test_a_test_that_is_not_there_would_be_found() -> None:
    assert not is_there("unit/test_injection.py", "test_made_up")
    assert not is_there("unit/test_made_up.py", "")


def test_every_attacker_has_answers_with_proof_and_limits() -> None:
    for words in ATTACKERS:
        text = section(words)
        rows = [row for row in text.splitlines() if row.startswith("| ")][1:]
        assert rows, words
        assert [row for row in rows if "/test_" not in row.rsplit("|", 2)[1]] == [], words
        assert re.search(r"^(Not against|Seen by everybody):", text, re.MULTILINE), words
