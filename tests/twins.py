"""For twins: tests that take a guard out of a text of ours and see what it kept away. The table is in docs/testing.md."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deployer.host.scripts import part

Guards = Mapping[str, str]
"""Pieces of shell, each with what stands in its place without the guard."""


def without(text: str, guards: Guards) -> str:
    """Return the text without its guards. One that is not there, once, fails the test: the twin would show nothing."""
    for guard, instead in guards.items():
        assert text.count(guard) == 1, f"{text.count(guard)} times in the text: {guard}"
        text = text.replace(guard, instead)
    return text


def program_without(directory: Path, guards: Mapping[str, Guards]) -> dict[str, str]:
    """Return variables with which our program runs without guards of these parts of `host/sh`, for its host as well."""
    for name, pieces in guards.items():
        without(part(name), pieces)
    return program_patched(
        directory,
        "import deployer.host.scripts as scripts\n"
        f"guards, whole = {dict(guards)!r}, scripts.part\n"
        "def part(name):\n"
        "    text = whole(name)\n"
        "    for guard, instead in guards.get(name, {}).items():\n"
        "        text = text.replace(guard, instead)\n"
        "    return text\n"
        "scripts.part = part\n",
    )


def program_patched(directory: Path, python: str) -> dict[str, str]:
    """Return variables with which our program begins by running this, which patches its modules."""
    (directory / "sitecustomize.py").write_text(python)
    return {"PYTHONPATH": f"{directory}:{os.environ.get('PYTHONPATH') or Path.cwd()}"}
