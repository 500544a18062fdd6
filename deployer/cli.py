"""The `deployer` program: the tasks of `deployer/tasks.py`, from any directory."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from deployer import __version__, signals
from deployer.output.sink import fill_streams
from deployer.tasks import namespace

_NEXT = "\nnext: deployer --list, or deployer --help TASK"


_CORE = ("help", "version", "list", "list-depth", "list-format", "complete", "print-completion-script")


class Deployer(Program):
    """Invoke's program, but with our exit status for a faulty command line, and no traceback for one."""

    def parse_core(self, argv: list[str] | None) -> None:
        with self._usage():
            super().parse_core(argv)
        if self.args.config.value:
            # Before the task it is Invoke's own option, for a file of another kind.
            path = self.args.config.value
            raise Exit(f"error: --config stands behind the task\nnext: deployer TASK --config {path}", code=2)
        for name, argument in self.args.items():
            # Invoke's, for tasks that run local commands: here they would do nothing, --dry least of all.
            if name not in _CORE and argument.value and argument.value != argument.default:
                raise Exit(f"error: there is no option --{name} before a task\nnext: deployer --help", code=2)

    def parse_tasks(self) -> None:
        with self._usage():
            super().parse_tasks()
        if len(self.tasks) > 1:
            first, second = self.tasks[0].name, self.tasks[1].name
            quoted = f'quote the command: deployer run "… {second} …"' if first == "run" else f"deployer {first}"
            raise Exit(f"error: one task at a time, and here are {first} and {second}\nnext: {quoted}", code=2)

    def print_help(self) -> None:
        """Show what there is of options before a task, and the tasks."""
        sys.stdout.write(f"Usage: {self.binary} TASK [options]\n\nOptions before a task:\n\n")
        names = tuple(f"--{name}" for name in _CORE)
        self.print_columns(
            [each for each in self.initial_context.help_tuples() if any(name in each[0] for name in names)]
        )
        self.list_tasks()

    def execute(self) -> None:
        try:
            super().execute()
        except KeyboardInterrupt as error:
            # Before a task could take it, or a second one while it was telling of the first. Invoke itself would say 1.
            raise Exit("interrupted", code=130) from error

    @contextlib.contextmanager
    def _usage(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            # What Invoke makes of `--parallel many`: "invalid literal for int() with base 10: 'many'".
            found = str(error).rpartition(": ")[2]
            raise Exit(f"error: {found} is not a whole number{_NEXT}", code=2) from error
        except ParseError as error:
            raise Exit(f"error: {error}{_NEXT}", code=2) from error


def main() -> None:
    """Run the program."""
    fill_streams()
    try:
        with signals.as_interrupts():
            Deployer(name="deployer", binary="deployer", namespace=namespace, version=__version__).run()
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
