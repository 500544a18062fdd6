"""init and sandbox: what happens on this machine alone."""

from __future__ import annotations

import math
import os
import shlex
from typing import TYPE_CHECKING

from deployer import config as configs
from deployer import local
from deployer.config.near import near
from deployer.errors import UsageError
from deployer.events import CommandLine, Listing, Note, Text
from deployer.verbs.run import Run

if TYPE_CHECKING:
    from deployer.sandbox import Lab

ACTIONS = ("up", "list", "ssh", "reboot", "powercut", "boot", "down")
DEFAULT_NAME = "sandbox1"


def init(run: Run, *, name: str) -> int:
    """Write a starter config; what is there already stays."""
    if run.wanted:
        raise UsageError("init writes files here and asks no host: --host is of no use to it", hint="deployer init")
    for text in configs.init(local.working_directory(), name=name, config=run.config_named):
        run.emit(Note(level="info", text=text))
    path = run.config_named or configs.DEFAULT_PATH
    named = f" --config {shlex.quote(run.config_named)}" if run.config_named else ""
    run.emit(Note(level="info", text=f"edit {path}", hint=f"deployer check{named}"))
    return 0


def sandbox(run: Run, action: str, *, name: str, suite: str, command: str) -> int:
    """Boot, list, enter, reboot, cut off or remove throwaway hosts; `--host` is as good as `--name`."""
    from deployer.sandbox import Lab, host_entry, state_directory

    named = _named(run, action, name=name, suite=suite, command=command)
    chosen = named or DEFAULT_NAME
    lab = Lab(state_directory(run.environ))
    if action == "up":
        host = lab.up(chosen, suite=suite, on_line=lambda text: run.emit(Note(level="info", text=text)))
        run.emit(Text(name="sandbox", text=host_entry(host)))
        run.emit(
            Note(
                level="info",
                text=f"{chosen} is up",
                hint=f"deployer setup --host {chosen}, then deployer deploy --host {chosen}",
            )
        )
    elif action == "list":
        rows = tuple(
            {"host": each.name, "address": each.address, "suite": each.suite, "running": each.running}
            for each in lab.hosts()
        )
        columns = ("host", "address", "suite", "running")
        run.emit(Listing(name="sandbox", columns=columns, rows=rows, empty="no sandbox hosts"))
    elif action == "ssh":
        return _ssh(run, lab, chosen, command)
    elif action == "down":
        _down(run, lab, named)
    else:
        if action != "boot":
            _require_running(lab, chosen)
        getattr(lab, action)(chosen)
        run.emit(Note(level="info", text=f"{action} of {chosen} done"))
    return 0


def _named(run: Run, action: str, *, name: str, suite: str, command: str) -> str:
    """Return the host that is named, if any; what would be of no use to the action is refused."""
    if action not in ACTIONS:
        meant = near(action, ACTIONS)
        text = f"sandbox {action} is not known" + (f' (did you mean "{meant}"?)' if meant else "")
        raise UsageError(text, hint="up, list, ssh, reboot, powercut, boot or down")
    if suite and action != "up":
        raise UsageError(f"--suite is of a new host, and sandbox {action} makes none", hint="deployer sandbox up")
    if command and action != "ssh":
        raise UsageError(f"sandbox {action} runs no command", hint='deployer sandbox ssh --command "…"')
    words = [*([name] if name else []), *(each.strip() for given in run.wanted for each in given.split(","))]
    names = list(dict.fromkeys(words))
    if names and action == "list":
        raise UsageError("sandbox list shows every sandbox host", hint="deployer sandbox list")
    if len(names) > 1:
        text = f"sandbox {action} works on one host, and {len(names)} are named: {', '.join(names)}"
        raise UsageError(text, hint=f"deployer sandbox {action} --name {names[0]}")
    return names[0] if names else ""


def _require_running(lab: Lab, name: str) -> None:
    if not lab.host(name).running:
        raise UsageError(f"the sandbox host {name} is off", hint=f"deployer sandbox boot --name {name}", host=name)


def _ssh(run: Run, lab: Lab, name: str, command: str) -> int:
    """Open a shell or run a command, and return its status; one that a signal ended gives the signal's number."""
    _require_running(lab, name)
    argv = lab.ssh_argv(name, *((command,) if command else ()))
    if run.is_for_programs:
        if not command:
            raise UsageError("a shell is nothing for --output json", hint='add --command "…", or leave --output out')

        def on_line(text: str) -> None:
            run.emit(CommandLine(host=name, command=command, text=text))

        return abs(local.stream(argv, timeout_s=math.inf, on_line=on_line).status)
    with run.paused():
        return abs(os.spawnvp(os.P_WAIT, argv[0], argv))  # noqa: S606 - ssh, with our arguments


def _down(run: Run, lab: Lab, name: str) -> None:
    gone = lab.down(name or None)
    if name and not gone:
        there = ", ".join(host.name for host in lab.hosts()) or "none"
        text = f"there is no sandbox host {name!r} (there: {there}); nothing was thrown away"
        raise UsageError(text, hint="deployer sandbox list")
    text = f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone" if gone else "there was no sandbox host"
    run.emit(Note(level="info", text=text))
