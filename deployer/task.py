"""What makes a task for Invoke of a function of ours: its options, help, errors shown, an exit status.

For `inv` and for the `deployer` program alike. The tasks themselves are in `deployer/tasks.py`.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from deployer import signals

if TYPE_CHECKING:
    from deployer.verbs.run import Run

COMMON = {
    "config": "the config file (default: config/deploy.toml, or $DEPLOYER_CONFIG)",
    "host": "a host, group or glob of the config; repeat it for more (default: [deploy] default)",
    "output": "auto, rich, plain or json (default: auto, which is rich on a terminal)",
}
GOES_ON = "what a host was asked for before may go on there"
LOOKED = "no host was changed"
TASKS = Collection()


def verb(
    *,
    positional: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    lines_are_results: bool = False,
    goes_on_unread: bool = True,
    interrupted: str = GOES_ON,
    **helps: str,
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a task of a function `(run, *, options) -> exit status`: with the common options, and errors shown.

    Args:
        numbers: Options that take a whole number, 1 or more; left out, the function's own default.
        lines_are_results: Journal and command lines go to standard output.
        goes_on_unread: False for what ends when nobody takes its results any more, as in `deployer logs | head`.
        interrupted: What is true after an interrupt, for those that do not tell it themselves.
    """

    def made(body: Callable[..., int]) -> Callable[..., int]:
        own = [each for each in inspect.signature(body).parameters.values() if each.name != "run"]
        # A text to Invoke, whose own int() would end in a traceback, and to which 0 is as good as nothing.
        own = [each.replace(default="") if each.name in numbers else each for each in own]

        @functools.wraps(body)
        def task(context: Context, host: list[str], config: str, output: str, **options: Any) -> None:
            def work(run: Run) -> int:
                _refuse_misread(context)
                given = {name: value for name, value in options.items() if name not in numbers or value}
                given.update({name: _number(name, given[name]) for name in numbers if name in given})
                return _interruptible(run, lambda: body(run, **given), interrupted)

            code = execute(
                work,
                host,
                config,
                output,
                lines_are_results=lines_are_results,
                goes_on_unread=goes_on_unread,
            )
            if code:
                raise Exit(code=code)

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        common = [
            inspect.Parameter("host", kind, default=[]),
            inspect.Parameter("config", kind, default=""),
            inspect.Parameter("output", kind, default="auto"),
        ]
        first = [inspect.Parameter("context", kind)]
        task.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # what Invoke reads the options from
            first + [each.replace(kind=kind) for each in own] + common
        )
        TASKS.add_task(
            Task(
                task,
                name=body.__name__.rstrip("_"),
                positional=positional,
                iterable=("host",),
                auto_shortflags=False,
                help={**helps, **COMMON},
            )
        )
        return body

    return made


def _interruptible(run: Run, work: Callable[[], int], interrupted: str) -> int:
    from deployer.errors import InterruptedByUserError

    try:
        return work()
    except KeyboardInterrupt as error:
        look = " ".join(("deployer status", *(f"--host {each}" for each in run.wanted)))
        raise InterruptedByUserError(
            f"interrupted; {interrupted}", hint=look if interrupted == GOES_ON else ""
        ) from error


def _refuse_misread(context: Context) -> None:
    """Refuse what Invoke takes for something else than it says.

    Its --dry is for local commands: a task of ours would really run. An option whose value is missing or empty, as of
    an unset variable, is as good as left out to it: the default hosts would be meant, or the default tarball.
    """
    from deployer.errors import UsageError

    if context.config.run.dry:
        raise UsageError("there is no --dry", hint="deployer plan, or --plan behind deploy or rollback")
    for word, following in itertools.pairwise([*sys.argv[1:], "--"]):
        if word == "--host" and following.startswith("-"):
            raise UsageError("--host stands there without a value", hint="--host NAME, or leave it out")
        name, equals, value = word.partition("=")
        if name.startswith("--") and not value and (equals or not following):
            raise UsageError(f"{name} is empty: an unset variable?", hint=f"{name} VALUE, or leave it out")


def _number(name: str, value: str) -> int:
    from deployer.errors import UsageError

    try:
        number = int(value)
    except ValueError as error:
        raise UsageError(f"--{name} {value} is not a whole number", hint=f"like --{name} 2") from error
    if number < 1:
        raise UsageError(f"--{name} {value} is not possible", hint=f"--{name} 1, or more")
    return number


def execute(
    work: Callable[[Run], int],
    host: list[str],
    config: str,
    output: str,
    *,
    lines_are_results: bool = False,
    goes_on_unread: bool = True,
) -> int:
    """Run a verb and return its exit status; errors of ours are shown, bugs keep their traceback.

    SIGTERM and SIGHUP end it as Ctrl-C does: in order, telling the state of each host.
    """
    from deployer.errors import DeployerError, InterruptedByUserError
    from deployer.output.sink import fill_streams
    from deployer.verbs.run import Run, shown_failure

    fill_streams()
    run = None
    try:
        with signals.as_interrupts():
            try:
                run = Run(config=config, wanted=host, output=output, environ=os.environ)
            except DeployerError as error:
                sys.stderr.write(shown_failure(error))
                return error.exit_code
            with run.showing(lines_are_results=lines_are_results, goes_on_unread=goes_on_unread):
                code = _worked(run, work)
            return run.settled(code)
    except KeyboardInterrupt:
        # Before a run could take it, or a second one while it was telling of the first, to nobody perhaps.
        if run is not None:
            run.silence()
        return InterruptedByUserError.exit_code


def _worked(run: Run, work: Callable[[Run], int]) -> int:
    from deployer.engine import failure
    from deployer.errors import DeployerError, InterruptedByUserError

    try:
        return work(run)
    except DeployerError as error:
        run.emit(failure(error))
        return error.exit_code
    except KeyboardInterrupt:
        run.emit(failure(InterruptedByUserError("interrupted")))
        return InterruptedByUserError.exit_code
