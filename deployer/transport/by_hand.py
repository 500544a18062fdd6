"""A connection as a command line of OpenSSH, for a person to try what we tried. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from deployer.model import Host, Ssh
from deployer.transport.ssh_config import Target


def ssh_command(target: Target, host: Host, ssh: Ssh) -> str:
    """Return a command line that tries the same with OpenSSH and says what it does.

    Args:
        target: The hop that is meant; it may be a jump host of `host`.

    What the config of ours sets is in it. What stands in OpenSSH's own, ssh reads again by itself: so it is given the
    name that was asked for, and not the one that it stands for.
    """
    return shlex.join(["ssh", "-v", *_words(target, host, ssh), "true"])


def _words(target: Target, host: Host, ssh: Ssh) -> list[str]:
    words = ["-F", str(ssh.config)] if ssh.config is not None else []
    known = host.known_hosts.expanduser() if host.known_hosts is not None else None
    if known is not None and known in target.known_hosts:
        words += ["-o", f"UserKnownHostsFile={_listed(target.known_hosts, known)}"]
    if target.jump is not None:
        words += _jump(target.jump, host, ssh)
    elif target.name == host.address and host.proxy_jump.lower() == "none":
        words += ["-J", "none"]
    given = host.identity_file.expanduser() if host.identity_file is not None else None
    if target.identities_given:
        words += ["-i", str(given if given in target.identity_files else target.identity_files[0])]
    if given is not None and target.identity_files == (given,) and target.identities_only:
        words += ["-o", "IdentitiesOnly=yes"]
    return [*words, "-p", str(target.port), f"{target.user}@{target.name}"]


def _jump(jump: Target, host: Host, ssh: Ssh) -> list[str]:
    if host.known_hosts is None and host.identity_file is None:
        return ["-J", ",".join(_hops(jump)) if host.proxy_jump else jump.name]
    # -J would hand neither our known_hosts nor our key to the hop.
    *words, place = _words(jump, host, ssh)
    before = shlex.join(["ssh", *words]).replace("%", "%%")
    return ["-o", f"ProxyCommand={before} -W '[%h]:%p' {shlex.quote(place)}"]


def _hops(jump: Target) -> list[str]:
    address = f"[{jump.name}]" if ":" in jump.name else jump.name
    before = [] if jump.jump is None else _hops(jump.jump)
    return [*before, f"{jump.user}@{address}:{jump.port}"]


def _listed(files: tuple[Path, ...], known: Path) -> str:
    """Return the files as the value of `UserKnownHostsFile`; ours alone, where it is the only one."""
    chosen = files if len(files) > 1 and files[0] == known else (known,)
    texts = (str(path).replace("%", "%%") for path in chosen)  # OpenSSH would replace %h and the like
    return " ".join(f'"{text}"' if " " in text else text for text in texts)
