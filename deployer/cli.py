"""The `deployer` program: the tasks of `deployer/tasks.py`, from any directory."""

from __future__ import annotations

import contextlib
import errno
import inspect
import itertools
import os
import sys
from collections.abc import Iterator

from invoke.exceptions import Exit, ParseError
from invoke.program import Program
from invoke.util import helpline

from deployer import __version__, signals, usage
from deployer.errors import InterruptedByUserError, UsageError
from deployer.output.sink import fill_streams
from deployer.task import COMMON
from deployer.tasks import GROUPS, namespace

OPTIONS = (
    ("--help [TASK]", "show this, or what a task takes"),
    ("--list", "list the tasks alone"),
    ("--list-format json", "list them for a program"),
    ("--version", "show the version"),
    ("--print-completion-script SHELL", "print what completes commands in bash, zsh or fish"),
)
"""What Invoke's programs have and ours offers; the rest is for commands that Invoke runs, which are none of ours."""
_OURS = frozenset(name for names in GROUPS.values() for name in names)
_TAKEN = ("help", "version", "list", "list-format", "complete", "print-completion-script")
_FORMATS = ("flat", "nested", "json")


class Grouped(Program):
    """Invoke's program, but with the table of contents, our help of a task, and our way to refuse a line."""

    spoken = "deployer"

    def list_tasks(self) -> None:
        """Show the tasks by what they are for, a project's own behind ours; in other forms it is Invoke's own list."""
        names = list(self.collection.task_names)
        if self.list_format == "json" or self.list_root or not _OURS.intersection(names):
            super().list_tasks()
            return
        groups = {**GROUPS, "of this project": tuple(sorted(set(names) - _OURS))}
        width = max(len(name) for name in names)
        for heading, members in groups.items():
            there = [name for name in members if name in names]
            if there:
                _say(f"{heading[0].upper()}{heading[1:]}:")
                self.print_columns([(name.ljust(width), helpline(self.collection[name].body)) for name in there])
        _say(f"What a task takes: {self.spoken} --help TASK")

    def print_task_help(self, name: str) -> None:
        """Show how a task is called, and its options: its own, and those of every task."""
        if name not in _OURS:
            super().print_task_help(name)
            return
        known = self.parser.contexts[name]
        _say(" ".join((f"Usage: {self.spoken}", name, *usage.places(known), "[OPTIONS]")), "")
        _say(f"{inspect.getdoc(self.collection[name].body)}", "")
        columns = {
            option.name: (f"{flag} {usage.value_word(option)}" if option.takes_value else flag, option.help or "")
            for flag, option in known.flags.items()
        }
        width = max(len(spec) for spec, _ in columns.values())
        for heading, names in (
            ("Options:", [each for each in columns if each not in COMMON]),
            ("Options of every task:", list(COMMON)),
        ):
            if names:
                _say(heading)
                # As wide as the widest of all, so that they stand below each other.
                self.print_columns([(columns[each][0].ljust(width), columns[each][1]) for each in names])

    def refused(self, error: UsageError) -> Exit:
        """Return what ends the program with an error's words and status; in JSON the words are told here."""
        words = self.argv[1:]
        if "--output=json" in words or ("--output", "json") in itertools.pairwise(words):
            from deployer.events import Failure, to_json  # what a faulty line alone needs
            from deployer.output.jsonlines import json_line

            event = Failure(message=error.message, hint=error.hint, exit_code=error.exit_code)
            _say(*map(json_line, to_json(event)))
            return Exit(code=error.exit_code)
        return Exit(f"error: {error.message}\nnext: {error.hint}", code=error.exit_code)


class Deployer(Grouped):
    """The program with one task a call, our own words for a faulty command line, and our exit statuses."""

    def parse_core(self, argv: list[str] | None) -> None:
        with self._usage():
            super().parse_core(argv)
            for name, argument in self.args.items():
                if name not in _TAKEN and argument.value and argument.value != argument.default:
                    self._refuse_core(name, str(argument.value))
            if (kind := self.args["list-format"].value) not in _FORMATS:
                raise UsageError(f"--list-format {kind} is not known", hint=f"one of {', '.join(_FORMATS)}")

    def parse_tasks(self) -> None:
        with self._usage():
            fault: Exception | None = None
            # As they are before the tasks' words, among which Invoke would find options of its own.
            asked, listed = self.args.help.value, self.args.list.value
            try:
                super().parse_tasks()
            except (ParseError, ValueError) as error:
                fault = error
            if not self.args.complete.value:
                self._judge(asked, listed)
            if fault is not None:
                raise fault

    def execute(self) -> None:
        try:
            super().execute()
        except KeyboardInterrupt as error:
            # Before a task could take it, or a second one while it was telling of the first. Invoke itself would say 1.
            raise Exit("interrupted", code=InterruptedByUserError.exit_code) from error

    def print_help(self) -> None:
        """Show what there is of options before a task, and the tasks."""
        _say("Usage: deployer TASK [OPTIONS]", "", "Options before a task:")
        self.print_columns(OPTIONS)
        self.list_tasks()

    def _judge(self, asked: object, listed: object) -> None:
        tasks, words = self.parser.contexts, self.core.unparsed
        if isinstance(listed, str):
            raise UsageError(f"--list takes no word, and {listed} is one", hint="deployer --list")
        if self.core.remainder:
            raise UsageError("nothing can stand behind --", hint='a command is one word: deployer run "ls -l"')
        if isinstance(asked, str):
            usage.known_task(asked, tasks)
        explained = usage.judge(words, tasks, before=self.initial_context.flags)
        if explained:
            # Invoke would take `run --help` for a command of that name.
            self.print_task_help(explained)
            raise Exit

    def _refuse_core(self, name: str, value: str) -> None:
        if name == "config":
            # Before the task it is Invoke's own option, for a file of another kind.
            raise UsageError("--config stands behind the task", hint=f"deployer TASK --config {value}")
        # Invoke's, for tasks that run local commands: here they would do nothing, --dry least of all.
        hint = "to change nothing: deployer plan, or deployer deploy --plan" if name == "dry" else "deployer --help"
        raise UsageError(f"there is no option --{name} before a task", hint=hint)

    @contextlib.contextmanager
    def _usage(self) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            raise self.refused(error) from error
        except ValueError as error:
            # What Invoke makes of `--list-depth many`: "invalid literal for int() with base 10: 'many'".
            text = f"{str(error).rpartition(': ')[2]} is not a whole number"
            raise self.refused(UsageError(text, hint="deployer --help")) from error
        except ParseError as error:
            raise self.refused(UsageError(str(error), hint="deployer --list, or deployer --help TASK")) from error


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def main() -> None:
    """Run the program."""
    fill_streams()
    with unread(), signals.as_interrupts():
        Deployer(name="deployer", binary="deployer", namespace=namespace, version=__version__).run()


@contextlib.contextmanager
def unread() -> Iterator[None]:
    """End the program in peace where its standard output is closed or full."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # `deployer --help | head`: nobody reads on. What Python flushes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(f"error: standard output could not be written: {error.strerror}")
