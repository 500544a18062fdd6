"""Becoming root: decided once for a connection, without ever showing a password.

A login as root needs nothing. Otherwise sudo is asked whether it wants a password; if so, it comes from
`$DEPLOYER_SUDO_PASSWORD` or a prompt, is checked, and from then on goes to sudo on stdin alone. What was typed is
asked for once in the life of the program, however many connections to that host it takes; no other host gets it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

from deployer.errors import NotLetInError
from deployer.model import Secret
from deployer.transport.scripts import Elevation, Reply
from deployer.transport.ssh_config import Target

PASSWORD_VARIABLE = "DEPLOYER_SUDO_PASSWORD"  # noqa: S105 - the name of the variable

# -k: a password that was given a moment ago would make sudo skip one that we send.
_WITHOUT_PASSWORD = "sudo -k -n -H --"  # noqa: S105 - sudo's options
_WITH_PASSWORD = 'sudo -k -S -H -p "" --'  # noqa: S105 - likewise

# $? alone tells the cases apart: 0 root already, 10 sudo without a password, 11 no sudo, 12 sudo wants something.
_PROBE = f"""
[ "$(id -u)" != 0 ] || exit 0
command -v sudo >/dev/null || exit 11
LC_ALL=C {_WITHOUT_PASSWORD} /bin/bash -c "exit 0" </dev/null && exit 10
exit 12
"""
# Not as an argument, which the shell's history and the process list would keep.
_SET_PASSWORD = f"read -rs {PASSWORD_VARIABLE} && export {PASSWORD_VARIABLE}"

# The whole target and not its address alone: behind another jump host the same address is another host.
_taken: dict[Target, Secret] = {}

Ask = Callable[[str], Secret | None]
RunPlain = Callable[[str], Reply]
TryPassword = Callable[[Elevation], Reply]


def decide(
    *,
    host: str,
    target: Target,
    run: RunPlain,
    attempt: TryPassword,
    prompt: Ask,
    environ: Mapping[str, str],
) -> Elevation:
    """Find out how to become root, asking for a password where there is no other way.

    Args:
        run: Runs a script as the login user.
        attempt: Runs a command that does nothing, as root, the password on stdin.

    Raises:
        NotLetInError: sudo is not there, does not let this user, or did not take the password (asked for twice).
    """
    login, place = target.user, target.place
    reply = run(_PROBE)
    if reply.status == 0:
        return Elevation()
    if reply.status == 10:
        return Elevation(words=_WITHOUT_PASSWORD)
    if reply.status == 11:
        raise NotLetInError(
            f"{login} is not root on {place}, and there is no sudo",
            host=host,
            hint=f"log in as root (user of [hosts.{host}]), or install sudo there",
        )
    given = environ.get(PASSWORD_VARIABLE, "")
    if not given and (known := _taken.get(target)) is not None:
        elevation = Elevation(words=_WITH_PASSWORD, password=known)
        if attempt(elevation).status == 0:
            return elevation
        _taken.pop(target, None)  # it was changed there meanwhile
    elevation = _with_password(reply, host=host, target=target, attempt=attempt, prompt=prompt, given=given)
    if not given and elevation.password is not None:
        _taken[target] = elevation.password
    return elevation


def _with_password(
    said: Reply, *, host: str, target: Target, attempt: TryPassword, prompt: Ask, given: str
) -> Elevation:
    login, place = target.user, target.place
    questions = [f"sudo password for {login} on {place}", f"sudo did not take that; password for {login} on {place}"]
    password = Secret(given) if given else prompt(questions.pop(0))
    if password is None:
        raise NotLetInError(
            f"sudo does not let {login} become root on {place} without a password: {_words(said)}",
            host=host,
            hint=f"{_SET_PASSWORD}; or, as root on the host: {_rule(login)}",
            details=_details(said),
        )
    while True:
        if not _is_one_line(password):
            raise NotLetInError("the sudo password has a line break or a NUL in it", host=host, hint="type it again")
        elevation = Elevation(words=_WITH_PASSWORD, password=password)
        reply = attempt(elevation)
        if reply.status == 0:
            return elevation
        again = prompt(questions.pop(0)) if questions and not given else None
        if again is None:
            raise NotLetInError(
                f"sudo did not let {login} become root on {place}: {_words(reply)}",
                host=host,
                hint=f"{_refused(given)}; or, as root on the host: {_rule(login)}",
                details=_details(reply),
            )
        password = again


def _is_one_line(password: Secret) -> bool:
    return not set(password.reveal()) & set("\n\r\0")


def _words(reply: Reply) -> str:
    lines = [line for line in reply.stderr.splitlines() if line.startswith("sudo:")] or reply.stderr.splitlines()
    return lines[-1].removeprefix("sudo:").strip() if lines else f"status {reply.status}"


def _details(reply: Reply) -> tuple[str, ...]:
    return tuple(line for line in reply.stderr.splitlines()[-5:] if line.strip())


def _refused(given: str) -> str:
    if given:
        return f"if {PASSWORD_VARIABLE} is not the password there: {_SET_PASSWORD}"
    return "run it again with the password of that user on the host, if that was not it"


def _rule(login: str) -> str:
    file = re.sub(r"[^A-Za-z0-9_-]", "_", login)  # sudo leaves out files with a dot in their name
    return f"echo {shlex.quote(f'{login} ALL=(ALL) NOPASSWD: ALL')} > /etc/sudoers.d/{file}"
