"""The documentation is held to the code: commands, links, statuses, variables, messages and examples."""

from __future__ import annotations

import copy
import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tomli
from invoke.tasks import Task

from deployer import config, errors
from deployer.engine import EXIT_CODES
from deployer.task import COMMON
from deployer.tasks import GROUPS, namespace
from deployer.unit import hardening
from deployer.usage import value_word

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/*/README.md")]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TASKS: dict[str, Task[Any]] = dict(namespace.tasks)
VARIABLE = re.compile(r"\bDEPLOYER_[A-Z_]+\b")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page(name: str) -> str:
    return text_of(ROOT / "docs" / name)


def options_of(task: Task[Any]) -> set[str]:
    """Return the long options of a task, as they are typed."""
    return {f"--{name.replace('_', '-')}" for name in inspect.signature(task.body).parameters if name != "context"}


def section(text: str, heading: str) -> str:
    """Return what stands below a `## ` heading that has these words in it, up to the next."""
    found = re.search(rf"^## [^\n]*{re.escape(heading)}[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section for {heading}"
    return found[1]


# -- commands -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_and_option_is_described(name: str) -> None:
    text = section(page("commands.md"), f"`{name}`")
    common = {f"--{option}" for option in COMMON}
    # A bare word is taken for it; it may be described without its option.
    own = options_of(TASKS[name]) - common
    assert {option for option in own if f"`{option}" not in text} == set()


def test_the_options_of_every_task_are_described() -> None:
    text = section(page("commands.md"), "Options of every task")
    assert [option for option in COMMON if f"`--{option} " not in text] == []


def test_the_first_table_groups_the_tasks_as_the_list_does() -> None:
    rows = re.findall(r"^\| \*\*(.+)\*\* \| (.*) \|$", page("commands.md"), re.MULTILINE)
    assert {head.lower(): tuple(re.findall(r"`([a-z]+)`", cells)) for head, cells in rows} == GROUPS


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_values_of_options_are_called_as_in_the_help(name: str) -> None:
    options = {each.name: each for each in copy.deepcopy(TASKS[name]).get_arguments() if each.takes_value}
    described = re.findall(r"`--([a-z-]+) ([A-Z_]+)`", section(page("commands.md"), f"`{name}`"))
    wrong = [each for each in described if each[0] in options and value_word(options[each[0]]) != each[1]]
    assert wrong == []


def test_every_described_section_is_a_task() -> None:
    described = set(re.findall(r"`([a-z]+)`", " ".join(re.findall(r"^## (.*)$", page("commands.md"), re.MULTILINE))))
    assert described == set(TASKS)


def code_of(text: str) -> Iterator[str]:
    """Yield inline code, and the lines of fenced blocks that are commands or parts of scripts."""
    for kind, body in FENCE.findall(text):
        if kind in ("", "sh", "console", "yaml", "shell"):
            yield from body.splitlines()
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def commands_in(code: str) -> Iterator[tuple[str, list[str]]]:
    """Yield (task, further words) of each call of the program in a piece of code."""
    for found in re.finditer(r"(?:^|[\s(;&'\"])(?:deployer|inv) ([^`\n]*)", code):
        rest = re.split(r"\s#\s|\s*[|;>&]|, then |, or |\)", found[1])[0]
        try:
            words = shlex.split(rest)
        except ValueError:
            words = rest.split()
        if words and re.fullmatch(r"[a-z]+", words[0]):
            yield words[0], words[1:]


def is_call(code: str) -> bool:
    # Prose and output speak of deployer as well: "Written by deployer. What is …".
    return re.match(r"(\$ |# |- |run: |\s)*(if ! |sudo )?([A-Z_]+=\S+ )*(deployer|inv) [a-z-]", code) is not None


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_no_page_speaks_of_a_task_or_option_that_is_not_there(path: Path) -> None:
    wrong = []
    for code in code_of(text_of(path)):
        for task, words in commands_in(code) if is_call(code.strip()) else ():
            options = {word.partition("=")[0] for word in words if word.startswith("--")}
            if task not in TASKS or options - options_of(TASKS[task]) - {"--help"}:
                wrong.append(code)
    assert wrong == []


def test_a_made_up_task_or_option_would_be_found() -> None:
    assert list(commands_in("$ deployer deploy --fast --host a")) == [("deploy", ["--fast", "--host", "a"])]
    assert "--fast" not in options_of(TASKS["deploy"])
    assert "undeploy" not in TASKS


def source_files() -> list[Path]:
    return [path for path in sorted((ROOT / "deployer").rglob("*")) if path.suffix in (".py", ".sh", ".toml", ".txt")]


def test_no_hint_of_the_program_names_a_task_or_option_that_is_not_there() -> None:
    wrong = []
    for path in source_files():
        for found in re.finditer(
            r"""["'`:,(] ?deployer ([a-z]+)((?: +--?[a-z][a-z-]*| +[{A-Z"'$][^ "'`]*)*)""", text_of(path)
        ):
            task, options = found[1], set(re.findall(r"--[a-z-]+", found[2]))
            if task in TASKS and options - options_of(TASKS[task]):
                wrong.append(f"{name_of(path)}: {found[0]}")
            if task in TASKS and task == "sandbox" and re.search(r"(up|down|ssh|boot) [{a-z]", found[0]):
                wrong.append(f"{name_of(path)}: a name needs --name: {found[0]}")
    assert wrong == []


# -- links --------------------------------------------------------------------------------------------------------------


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(path)), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        number = 0
        while (unique := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(unique)
    return found


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text_of(path)))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors_of(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_what_stands_in_a_file_by_the_pages_is_there(path: Path) -> None:
    for name, file in re.findall(r"`(\w+)` in `(deployer/[\w/.]+)`", text_of(path)):
        assert re.search(rf"\b{name}\b", text_of(ROOT / file)), f"{path.name}: `{name}` is not in {file}"


def test_the_index_names_every_page() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"({name})" not in page("README.md")} == set()


# -- statuses, variables, tables of the code ----------------------------------------------------------------------------


def test_every_error_and_its_status_is_described() -> None:
    classes = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.DeployerError)
    ]
    text = page("exit-codes.md")
    assert [each.__name__ for each in classes if f"| `{each.__name__}` | {each.exit_code} |" not in text] == []
    assert len(re.findall(r"^\| `\w+Error` \|", text, re.MULTILINE)) == len(classes)
    statuses = {each.exit_code for each in classes} | set(EXIT_CODES.values())
    assert {int(each) for each in re.findall(r"^\| \*\*(\d+)\*\* \|", text, re.MULTILINE)} == statuses


def test_every_variable_of_ours_is_described_and_no_other() -> None:
    used = {name for path in source_files() for name in VARIABLE.findall(text_of(path))}
    described = set(VARIABLE.findall(section(page("commands.md"), "Environment variables")))
    assert used == described
    elsewhere = {path for path in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "script").iterdir()] if path.is_file()}
    known = used | {name for path in elsewhere for name in VARIABLE.findall(text_of(path))}
    assert {name for path in PAGES for name in VARIABLE.findall(text_of(path))} - known == set()


def test_every_hardening_directive_has_its_reason() -> None:
    names = {name for name, _ in (*hardening._BASIC, *hardening._STRICT)} | {"ProtectHome", "MemoryDenyWriteExecute"}
    described = set(re.findall(r"^\| `(\w+)=", section(page("units.md"), "Hardening"), re.MULTILINE))
    assert described == names


def test_every_file_of_a_hosts_root_is_described() -> None:
    scripts = [
        path for path in source_files() if path.suffix == ".sh" and path.parent.name == "sh" and "host" in path.parts
    ]
    names = {name for path in scripts for name in re.findall(r"\$ROOT\"?/([a-z]+)", text_of(path))}
    assert names >= {"releases", "incoming", "committing", "current"}
    assert {name for name in names if f"/opt/APP/{name}" not in page("how-it-works.md")} == set()


def test_every_dependency_has_its_reason() -> None:
    project = tomli.loads(text_of(ROOT / "pyproject.toml"))
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    names = [re.split(r"[<>=\[ ]", each)[0] for each in (*wanted, *project["build-system"]["requires"])]
    assert [name for name in names if f"`{name}`" not in page("dependencies.md")] == []


# -- examples -----------------------------------------------------------------------------------------------------------


def toml_blocks() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        # The page of all keys is made from the definition, and shows single lines.
        if path.name != "configuration.md":
            yield from (
                (f"{name_of(path)}:{number}", body)
                for number, (kind, body) in enumerate(FENCE.findall(text_of(path)))
                if kind == "toml"
            )


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in toml_blocks()])
def test_the_examples_of_configs_load(body: str) -> None:
    whole = body if "[app]" in body else f'[app]\nname = "shop"\nuser = "shop"\n\n{body}'
    loaded = config.loads(whole, path=ROOT / "config/deploy.toml")
    assert loaded.app.name == "shop"


def test_the_messages_that_are_explained_are_those_of_the_code() -> None:
    source = "\n".join(text_of(path) for path in source_files())
    # A sentence may be cut in two literals, at the end of a line of code.
    source = re.sub(r"""["']\s*\n\s*f?["']""", "", source)
    unknown = []
    for heading in re.findall(r'^### "(.*)"$', page("troubleshooting.md"), re.MULTILINE):
        # What Invoke says is not in our source.
        pieces = [] if heading.startswith("No idea what") else [piece.strip(" .,") for piece in heading.split("…")]
        unknown += [f"{heading}: {piece}" for piece in pieces if piece and piece not in source]
    assert unknown == []


def test_the_pages_name_nothing_of_the_machine_they_were_written_on() -> None:
    assert [name_of(path) for path in PAGES if re.search(r"/root/|/tmp/pytest|root@vm", text_of(path))] == []
