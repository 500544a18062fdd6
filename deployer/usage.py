"""A command line judged beside Invoke: one task a call, and our own words for what is not understood.

Invoke would chain tasks, take an unquoted word for the next task, and say "No idea what 'x' is!" of all else. Pure:
words and the tasks' options in, a name or an error out.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from deployer.errors import UsageError

HELP = ("--help", "-h")
_DRY = ("--dry", "--dry-run", "-R")
# As docs/commands.md writes them; any other is its option's name.
_VALUES = {
    "artifact": "PATH_OR_URL",
    "config": "FILE",
    "deploy": "ID",
    "grep": "PATTERN",
    "host": "NAME",
    "keep": "N",
    "lines": "N",
    "output": "KIND",
    "parallel": "N",
    "priority": "WORD",
    "reason": "TEXT",
    "release": "ID",
    "since": "TIME",
    "suite": "NAME",
    "to": "ID",
    "until": "TIME",
    "wait": "SPAN",
}
# What a bare word was most likely meant for, where it is not --host.
_BARE = {
    "deploy": "artifact",
    "fetch": "artifact",
    "init": "name",
    "inspect": "artifact",
    "plan": "artifact",
    "rollback": "to",
    "sandbox": "name",
    "unit": "artifact",
}


class Option(Protocol):
    """An option of a task, as Invoke's `Argument` is one; `kind` is `list` where it may be repeated."""

    @property
    def name(self) -> str | None: ...

    @property
    def takes_value(self) -> bool: ...

    @property
    def kind(self) -> object: ...

    @property
    def help(self) -> str | None: ...


class Options(Protocol):
    """A task's options, as Invoke's `ParserContext` has them; flags are written as they are typed."""

    @property
    def flags(self) -> Mapping[str, Option]: ...

    @property
    def positional_args(self) -> Sequence[Option]: ...


def judge(words: Sequence[str], tasks: Mapping[str, Options], *, before: Iterable[str] = ()) -> str:
    """Judge what stands behind the program's own options; return the task whose help is asked for, else nothing.

    Args:
        before: The program's own options, which may stand before a task.

    Raises:
        UsageError: There is something in it that cannot be meant.
    """
    if not words:
        return ""
    task, *rest = words
    if task.startswith("-"):
        _refuse_in_front(task, rest, tasks, before)
    known = known_task(task, tasks)
    line = _taken_apart(task, rest, known)
    if line.asks_for_help:
        return task
    _refuse_too_many(line, known, tasks)
    for option in line.wanted[len(line.bare) :]:
        article = "an" if str(option.name)[:1] in "aeiou" else "a"
        raise UsageError(f"{task} needs {article} {option.name}: {option.help}", hint=_call(task, known))
    return ""


def known_task(name: str, tasks: Mapping[str, Options]) -> Options:
    """Return a task's options.

    Raises:
        UsageError: There is no such task; the message has the one that was meant, perhaps.
    """
    if name in tasks:
        return tasks[name]
    meant = _near(name, tasks)
    hint = f"deployer --help {meant}, or deployer --list" if meant else "deployer --list"
    if name == "help":  # the word of many programs
        hint = "deployer --help, or deployer --help TASK"
    raise UsageError(f'there is no task "{name}"{_did_you_mean(meant)}', hint=hint)


def value_word(option: Option) -> str:
    """Return what stands for an option's value in help and hints."""
    return _VALUES.get(str(option.name), str(option.name).upper())


def places(known: Options) -> tuple[str, ...]:
    """Return what stands bare behind a task, for its usage: "COMMAND"."""
    return tuple(str(option.name).upper() for option in known.positional_args)


@dataclass(kw_only=True)
class _Line:
    """What stands behind a task. `wanted` are the options that take a bare word, as far as they were not named."""

    task: str
    wanted: list[Option]
    bare: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    in_order: list[str] = field(default_factory=list)
    asks_for_help: bool = False


def _taken_apart(task: str, words: Sequence[str], known: Options) -> _Line:
    line = _Line(task=task, wanted=list(known.positional_args))
    coming, given = deque(words), set[str]()
    while coming:
        word = coming.popleft()
        name, equals, value = word.partition("=")
        if word in HELP:
            line.asks_for_help = True
            return line
        if name in known.flags:
            option = known.flags[name]
            line.wanted = [each for each in line.wanted if each is not option]
            if not option.takes_value:
                if equals:
                    raise UsageError(f"{name} takes no value, and {value!r} is one", hint=f"deployer {task} {name}")
                continue
            if name in given and option.kind is not list:
                raise UsageError(f"{name} is given twice", hint=f"deployer {task} {name} {value_word(option)}")
            given.add(name)
            if not equals:
                _refuse_without_value(task, name, coming, known)
                coming.popleft()
        else:
            line.in_order.append(word)
            (line.unknown if word.startswith("-") and len(word) > 1 else line.bare).append(word)
    return line


def _refuse_in_front(word: str, rest: Sequence[str], tasks: Mapping[str, Options], before: Iterable[str]) -> NoReturn:
    name, _, value = word.partition("=")
    if name in _DRY:
        _refuse_dry(name)
    task = next((each for each in rest if each in tasks), "")
    if any(name in options.flags for options in ([tasks[task]] if task else tasks.values())):
        value = value or next((each for each in rest if each != task and not each.startswith("-")), "VALUE")
        raise UsageError(
            f"{name} stands behind the task", hint=f"deployer {task or 'TASK'} {name} {shlex.quote(value)}"
        )
    meant = _near(name, before)
    raise UsageError(f"there is no option {name} before a task{_did_you_mean(meant)}", hint="deployer --help")


def _refuse_dry(name: str) -> NoReturn:
    raise UsageError(f"there is no option {name}", hint="to change nothing: deployer plan, or deployer deploy --plan")


def _refuse_without_value(task: str, flag: str, coming: Sequence[str], known: Options) -> None:
    hint = f"deployer {task} {flag} {value_word(known.flags[flag])}"
    if not coming:
        raise UsageError(f"{flag} stands there without a value: an unset variable?", hint=hint)
    if coming[0].partition("=")[0] in known.flags:
        raise UsageError(f"{flag} stands there without a value, and {coming[0]} follows: an unset variable?", hint=hint)


def _refuse_too_many(line: _Line, known: Options, tasks: Mapping[str, Options]) -> None:
    task = line.task
    meant = {word: _near(word.partition("=")[0], known.flags) for word in line.unknown if word.startswith("--")}
    # What is unquoted behind `run` is of the command: its options, too, if they are not ours with a slip.
    if task == "run" and line.wanted and len(line.in_order) > 1 and not any(meant.values()):
        raise UsageError(
            f"the command is one word, and {line.in_order[1]} is another",
            hint=f"quote it: deployer run {_quoted(line.in_order)}",
        )
    for word in line.unknown:
        name = word.partition("=")[0]
        if name in _DRY:
            _refuse_dry(name)
        raise UsageError(f"{task} has no option {name}{_did_you_mean(meant.get(word, ''))}", hint=_help(task))
    for word in line.bare[len(line.wanted) :]:
        if word in tasks:
            text = f"one task at a time, and here are {task} and {word}"
            raise UsageError(text, hint=f"deployer {task}, then: deployer {word}")
        option = _BARE.get(task, "host")
        likely = f"deployer {' '.join((task, *line.bare[: len(line.wanted)]))} --{option} {shlex.quote(word)}"
        raise UsageError(f'{task} takes no further word, and "{word}" is one', hint=f"{likely}, or {_help(task)}")


def _call(task: str, known: Options) -> str:
    words = [f'"{name}"' if name == "COMMAND" else name for name in places(known)]
    return f"deployer {task} {' '.join(words)}, or {_help(task)}"


def _help(task: str) -> str:
    return f"deployer --help {task}"


def _quoted(words: Iterable[str]) -> str:
    text = " ".join(words)
    return shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'


def _did_you_mean(meant: str) -> str:
    if not meant:
        return ""
    return f" (did you mean {meant}?)" if meant.startswith("-") else f' (did you mean "{meant}"?)'


def _near(name: str, known: Iterable[str]) -> str:
    from deployer.config.near import near  # what a faulty line alone needs

    return near(name, known)
