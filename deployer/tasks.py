"""The commands, as one Invoke collection: for `inv` through a `tasks.py`, and for the `deployer` program.

A task here is a name, its options and its help; what it does is in `deployer/verbs/`, which is imported when a task
runs and not before: `--list`, `--help` and completion stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.task import LOOKED, TASKS, verb

if TYPE_CHECKING:
    from deployer.verbs.run import Run

GROUPS = {
    "deploying": ("deploy", "plan", "rollback", "attach"),
    "looking": ("status", "releases", "logs", "check", "env"),
    "service": ("start", "stop", "restart"),
    "one-off": ("run", "console", "migrate", "version", "ping"),
    "tarball": ("build", "fetch", "inspect", "unit"),
    "hosts": ("setup", "lock", "unlock", "prune", "pin"),
    "this machine": ("init", "sandbox"),
}
"""The table of contents: every task once, in the order of `--list` and of the first table of docs/commands.md."""


@verb(
    numbers=("parallel",),
    artifact="a tarball: path or URL (default: what [artifact] says)",
    plan="show what would change, and change nothing",
    yes="do not ask before something edited on a host is replaced",
    no_activate="stage only: upload and unpack, switch nothing",
    detach="for one host: start the activation and leave; it goes on by itself",
    parallel="hosts activated at once, after the first (default: [deploy] parallel)",
    wait="queue behind an activation that is under way, for so long at most (15m)",
)
def deploy(
    run: Run,
    *,
    artifact: str = "",
    plan: bool = False,
    yes: bool = False,
    no_activate: bool = False,
    detach: bool = False,
    parallel: int = 0,
    wait: str | None = None,
) -> int:
    """Put a release on hosts, watch it, go back if it fails."""
    from deployer.verbs import deploying

    return deploying.deploy(
        run,
        artifact=artifact,
        plan_only=plan,
        yes=yes,
        activate=not no_activate,
        detach=detach,
        parallel=parallel,
        wait=wait,
    )


@verb(interrupted=LOOKED, artifact="a tarball: path or URL (default: what [artifact] says)")
def plan(run: Run, *, artifact: str = "") -> int:
    """Show what the same deploy would change; change nothing."""
    from deployer.verbs import deploying

    return deploying.show_plan(run, artifact=artifact)


@verb(
    numbers=("parallel",),
    to="the release to go to (default: the last good one before)",
    plan="show what would change, and change nothing",
    detach="for one host: start the activation and leave; it goes on by itself",
    parallel="hosts activated at once, after the first (default: [deploy] parallel)",
    wait="queue behind an activation that is under way, for so long at most (15m)",
)
def rollback(
    run: Run, *, to: str = "", plan: bool = False, detach: bool = False, parallel: int = 0, wait: str | None = None
) -> int:
    """Go back to the last good code, unit and environment."""
    from deployer.verbs import deploying

    return deploying.rollback(run, to=to, plan_only=plan, detach=detach, parallel=parallel, wait=wait)


@verb(interrupted="the activation goes on by itself; deployer attach follows it again")
def attach(run: Run) -> int:
    """Follow an activation that is under way."""
    from deployer.verbs import deploying

    return deploying.attach(run)


@verb(interrupted=LOOKED)
def status(run: Run) -> int:
    """Show each host's release, state, health and drift."""
    from deployer.verbs import looking

    return looking.status(run)


@verb(interrupted=LOOKED)
def releases(run: Run) -> int:
    """List the releases of each host, from its ledger."""
    from deployer.verbs import looking

    return looking.releases(run)


@verb(
    interrupted=LOOKED,
    lines_are_results=True,
    goes_on_unread=False,
    follow="go on showing new lines",
    lines="how many of the last lines, or all (default: 100; with --deploy all)",
    since="from this time on, as journalctl takes it, such as today or -1h",
    until="up to this time",
    priority="this priority and worse, such as err or warning",
    grep="lines that match this pattern",
    deploy="the last activation of this release",
)
def logs(
    run: Run,
    *,
    follow: bool = False,
    lines: str = "",
    since: str = "",
    until: str = "",
    priority: str = "",
    grep: str = "",
    deploy: str = "",
) -> int:
    """Show the service's journal."""
    from deployer.verbs import looking

    return looking.logs(
        run, follow=follow, lines=lines, since=since, until=until, priority=priority, grep=grep, deploy=deploy
    )


@verb()
def start(run: Run) -> int:
    """Start the service, with its journal live."""
    from deployer.verbs import acting

    return acting.control(run, "start")


@verb()
def stop(run: Run) -> int:
    """Stop the service, with its journal live."""
    from deployer.verbs import acting

    return acting.control(run, "stop")


@verb()
def restart(run: Run) -> int:
    """Restart the service, with its journal live."""
    from deployer.verbs import acting

    return acting.control(run, "restart")


@verb(interrupted=LOOKED)
def build(run: Run) -> int:
    """Run the config's build and say what came out."""
    from deployer.verbs import deploying

    return deploying.build(run)


@verb(interrupted=LOOKED, artifact="a tarball: path or URL (default: what [artifact] says)")
def fetch(run: Run, *, artifact: str = "") -> int:
    """Get the tarball without a build, and say where."""
    from deployer.verbs import deploying

    return deploying.fetch(run, artifact=artifact)


@verb(interrupted=LOOKED, artifact="a tarball: path or URL (default: what [artifact] says)")
def inspect_(run: Run, *, artifact: str = "") -> int:
    """Say what a tarball is, and what unit it would get."""
    from deployer.verbs import deploying

    return deploying.inspect(run, artifact=artifact)


@verb(interrupted=LOOKED)
def check(run: Run) -> int:
    """Look at everything a deploy needs, and change nothing."""
    from deployer.verbs import checking

    return checking.check(run)


@verb(sudo="let the login user become root without a password", plan="show what would change, and change nothing")
def setup(run: Run, *, sudo: bool = False, plan: bool = False) -> int:
    """Prepare a host once: the service's user, the directories."""
    from deployer.verbs import acting

    return acting.setup(run, sudo=sudo, plan_only=plan)


@verb(interrupted=LOOKED, reveal="show the values too, on the screen and in JSON")
def env(run: Run, *, reveal: bool = False) -> int:
    """Compare the environment here with each host's, by name."""
    from deployer.verbs import looking

    return looking.env(run, reveal=reveal)


@verb(interrupted=LOOKED, artifact="a tarball: path or URL (default: what [artifact] says)")
def unit(run: Run, *, artifact: str = "") -> int:
    """Show the unit that a deploy would install."""
    from deployer.verbs import deploying

    return deploying.show_unit(run, artifact=artifact)


@verb(
    positional=("command",),
    lines_are_results=True,
    goes_on_unread=False,
    command="what to run, in quotes; a relative program starts at the release's root",
)
def run_(run: Run, *, command: str) -> int:
    """Run a command as the service would, on each host."""
    from deployer.verbs import acting

    return acting.one_off(run, command)


@verb()
def console(run: Run) -> int:
    """Open the release's remote console, on one host."""
    from deployer.verbs import acting

    return acting.console(run)


@verb(lines_are_results=True)
def migrate(run: Run) -> int:
    """Run the config's migrations in the committed release."""
    from deployer.verbs import acting

    return acting.migrate(run)


@verb(interrupted=LOOKED, lines_are_results=True, goes_on_unread=False)
def version(run: Run) -> int:
    """Ask the committed release for its version."""
    from deployer.verbs import acting

    return acting.kind_command(run, "version")


@verb(interrupted=LOOKED, lines_are_results=True, goes_on_unread=False)
def ping(run: Run) -> int:
    """Ask whether the running node answers."""
    from deployer.verbs import acting

    return acting.kind_command(run, "ping")


@verb(
    reason="why; it is needed, and shown to whoever meets the lock",
    until="a time (2026-11-24T08:00) or duration (45m) (default: until unlock)",
    force="replace somebody else's lock",
)
def lock(run: Run, *, reason: str = "", until: str = "", force: bool = False) -> int:
    """Refuse every activation but a rollback."""
    from deployer.verbs import acting

    return acting.lock(run, reason=reason, until=until, force=force)


@verb(force="take away somebody else's lock without a question")
def unlock(run: Run, *, force: bool = False) -> int:
    """Take a lock away."""
    from deployer.verbs import acting

    return acting.unlock(run, force=force)


@verb(numbers=("keep",), keep="how many to keep (default: [app] keep)", plan="show what would go, and remove nothing")
def prune(run: Run, *, keep: int = 0, plan: bool = False) -> int:
    """Remove old releases from hosts."""
    from deployer.verbs import acting

    return acting.prune(run, keep=keep, plan_only=plan)


@verb(
    positional=("release",),
    release="the release's id as deployer releases shows it, or the beginning that only one has",
    remove="let it be pruned again",
)
def pin(run: Run, *, release: str, remove: bool = False) -> int:
    """Keep a release from being pruned."""
    from deployer.verbs import acting

    return acting.pin(run, release, remove=remove)


@verb(interrupted=LOOKED, name="the app's name (default: that of the directory)")
def init(run: Run, *, name: str = "") -> int:
    """Write a starter config for this directory."""
    from deployer.verbs import here

    return here.init(run, name=name)


@verb(
    interrupted="what was begun may be half done; deployer sandbox list shows what is there",
    positional=("action",),
    action="up, list, ssh, reboot, powercut, boot or down",
    name="which host, as --host does too (default: sandbox1; down: all)",
    suite="for up: the Debian of a new host, bookworm (default) or trixie",
    command="for ssh: run this instead of a shell",
)
def sandbox(run: Run, *, action: str, name: str = "", suite: str = "", command: str = "") -> int:
    """Throwaway systemd hosts on this machine."""
    from deployer.verbs import here

    return here.sandbox(run, action, name=name, suite=suite, command=command)


for _group, _names in GROUPS.items():
    for _task in (TASKS[name] for name in _names):
        # `inv --list` is Invoke's: by name, one first line of a docstring each. So the line names its group.
        _task.__doc__ = f"{_group}: {_task.body.__doc__}"

namespace = TASKS
