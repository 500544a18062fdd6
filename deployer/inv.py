"""The tasks for a `tasks.py`, and an `inv` that lists them and complains as `deployer` does.

Invoke lists tasks by their names, and refuses a line before any of ours is asked; a collection has no say in either
(2.2.1: `Program._make_pairs` sorts, `Collection.from_module` makes a plain one of ours). Its `Program` is made to be
subclassed, though, so the one that loads this module becomes ours. With the tasks of `deployer.tasks` alone in a
`tasks.py`, `inv` stays as it is.
"""

from __future__ import annotations

from invoke import main
from invoke.exceptions import ParseError

from deployer import usage
from deployer.cli import Grouped, unread
from deployer.errors import UsageError
from deployer.tasks import namespace

__all__ = ["namespace"]


class Inv(Grouped):
    """`inv`, which may chain tasks and has a project's own beside ours: what Invoke takes is taken."""

    spoken = "inv"

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
            asked = self.args.help.value
            if isinstance(asked, str):
                usage.known_task(asked, self.parser.contexts)
        except UsageError as error:
            raise self.refused(error) from error
        except ParseError as error:
            raise self.refused(self._explained(error)) from error

    def list_tasks(self) -> None:
        # By now `run` of Invoke's own program is under way, so what surrounds it cannot be ours.
        with unread():
            super().list_tasks()

    def print_task_help(self, name: str) -> None:
        with unread():
            super().print_task_help(name)

    def _explained(self, error: ParseError) -> UsageError:
        """Say in our words what Invoke has met, where we find it too."""
        words, at = list(self.core.unparsed), error.context.name if error.context else None
        # Tasks before the one that was being read are in order.
        words = words[words.index(at) :] if at in words else words
        try:
            usage.judge(words, self.parser.contexts, before=self.initial_context.flags)
        except UsageError as fault:
            return fault
        return UsageError(str(error), hint="inv --list, or inv --help TASK")


if getattr(main.program, "argv", None):
    main.program.__class__ = Inv
