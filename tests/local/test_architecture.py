"""The rooms: imports point one way, guarded libraries have one door each, and each module says what it holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "deployer"

# From below to above. A room imports from lower layers and from itself, never from beside or above; docs/architecture.md
# draws the same.
LAYERS = (
    {"errors", "events", "durations", "signals", "sizes"},
    {"model", "local", "journal", "masking", "hints"},
    {"config", "kinds", "env", "host", "output", "transport", "sandbox"},
    {"artifact", "unit"},
    {"refusals", "inspect"},
    {"plan"},
    {"explain"},
    {"remote"},
    {"activation", "engine"},
    {"attach", "queue"},
    {"switch"},
    {"verbs"},
    {"task", "usage"},
    {"tasks"},
    {"cli"},
    {"inv"},
    {"__main__"},
)
# Within a layer, and with a reason: a mask hides the model's secrets.
BESIDE = {("masking", "model")}

# A library, or what starts processes, and the modules that may import it.
DOORS = {
    "fabric": ("transport/",),
    "paramiko": ("transport/",),
    "rich": ("output/screen.py", "output/tables.py"),
    "subprocess": ("local.py", "sandbox/"),
    "tomli": ("config/",),
    "invoke": ("task.py", "cli.py", "inv.py"),
}
# Functions of os that start a process, and who may call them: `sandbox ssh` hands its terminal to ssh.
STARTERS = ("os.system", "os.popen", "os.fork", "os.exec", "os.spawn", "os.posix_spawn")
MAY_START = ("verbs/here.py",)

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full names of what a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imported(tree_of(path))]
    names = {part[1] for part in parts if part[0] == "deployer" and len(part) > 1}
    # `from deployer import __version__` is of no room.
    return {name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert rooms_imported(path) == set()
        return
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    assert room in level, f"{room} has no layer yet"
    wrong = {
        other for other in rooms_imported(path) - {room} if level[other] >= level[room] and (room, other) not in BESIDE
    }
    assert wrong == set()


def test_every_layer_names_rooms_that_are_there() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert set().union(*LAYERS) == rooms


@pytest.mark.parametrize("library", DOORS)
def test_a_guarded_library_has_one_door(library: str) -> None:
    users = {
        name_of(path) for path in MODULES if any(name.split(".")[0] == library for name in imported(tree_of(path)))
    }
    assert users, f"nobody uses {library}"
    assert {user for user in users if not user.startswith(DOORS[library])} == set()


def test_nobody_starts_processes_past_the_door() -> None:
    found = set()
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith(STARTERS):
                found.add(name_of(path))
    assert found == set(MAY_START)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_holds(path: Path) -> None:
    said = ast.get_docstring(tree_of(path))
    assert said
    assert said.splitlines()[0].endswith((".", ":"))


def test_the_page_of_the_architecture_names_every_module() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    missing = []
    for path in MODULES:
        name = name_of(path)
        shown = path.name if "/" in name else f"deployer/{name}"
        if path.name != "__init__.py" and f"`{shown}`" not in page:
            missing.append(name)
        if "/" in name and f"`deployer/{name.split('/')[0]}/`" not in page:
            missing.append(name)
    assert missing == []
