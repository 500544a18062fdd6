"""init and sandbox: what happens on this machine alone."""

from __future__ import annotations

import os
from pathlib import Path

from deployer import config as configs
from deployer.errors import UsageError
from deployer.events import Listing, Note, Text
from deployer.verbs.run import Run

DEFAULT_NAME = "sandbox1"


def init(run: Run, *, name: str) -> int:
    """Write a starter config; what is there already stays."""
    here = Path.cwd()
    for text in configs.init(here, name=name):
        run.emit(Note(level="info", text=text))
    run.emit(Note(level="info", text="edit config/deploy.toml", hint="deployer check"))
    return 0


def sandbox(run: Run, action: str, *, name: str, suite: str, command: str) -> int:
    """Boot, list, enter, reboot, cut off or remove throwaway hosts."""
    from deployer.sandbox import Lab, host_entry, state_directory

    lab = Lab(state_directory(run.environ))
    chosen = name or DEFAULT_NAME
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
        argv = lab.ssh_argv(chosen, *((command,) if command else ()))
        with run.paused():
            # A status of the command's own; a signal shows as a negative number.
            return abs(os.spawnvp(os.P_WAIT, argv[0], argv))  # noqa: S606 - ssh, with our arguments
    elif action in ("reboot", "powercut", "boot"):
        getattr(lab, action)(chosen)
        run.emit(Note(level="info", text=f"{action} of {chosen} done"))
    elif action == "down":
        lab.down(name or None)
        run.emit(Note(level="info", text=f"{name or 'every sandbox host'} is gone"))
    else:
        raise UsageError(f"sandbox {action} is not known", hint="up, list, ssh, reboot, powercut, boot or down")
    return 0
