"""Which hosts a command line means: names, groups and globs, never silently all."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from deployer.config.near import near
from deployer.errors import UsageError
from deployer.model import Config, Host


def select_hosts(
    config: Config, wanted: Sequence[str], *, extra: Sequence[Host] = (), off: Sequence[str] = ()
) -> tuple[Host, ...]:
    """Return the hosts that are meant, in the config's order and each once.

    Args:
        wanted: Names of hosts or groups, globs of them, or several with commas between them. None: the config's
            default, else its only host.
        extra: Hosts that are not in the config, such as those of the sandbox. They are meant by their name, or by a
            glob that no configured host or group fits.
        off: Names of sandbox hosts that are there and do not run.

    Raises:
        UsageError: A name is not known or of a host that is off, or none was given and it is not clear which is meant.
    """
    hosts = (*config.hosts, *(host for host in extra if host.name not in {known.name for known in config.hosts}))
    if not wanted:
        return _unasked(config, hosts)
    names = [name.strip() for item in wanted for name in item.split(",")]
    if not all(names):
        # An unset variable of a CI job must not come out as "the default hosts".
        raise UsageError("--host is empty", hint=_known(hosts))
    meant = {name: _meant(name, config.hosts, hosts) for name in names}
    unknown = [name for name, found in meant.items() if not found]
    # A glob that only hosts fit which are off means those.
    asleep = [each for each in off if any(fnmatchcase(each, name) for name in unknown)]
    if asleep:
        said = f"host {asleep[0]} is" if len(asleep) == 1 else f"hosts {', '.join(asleep)} are"
        raise UsageError(f"the sandbox {said} off", hint=f"deployer sandbox boot --name {asleep[0]}")
    if unknown:
        raise UsageError(_unknown(unknown, hosts), hint=_known(hosts))
    chosen = {host.name for found in meant.values() for host in found}
    return tuple(host for host in hosts if host.name in chosen)


def _unasked(config: Config, hosts: tuple[Host, ...]) -> tuple[Host, ...]:
    if config.default_hosts:
        return _meant(config.default_hosts, config.hosts, config.hosts)
    if len(config.hosts) == 1:
        return config.hosts
    if not hosts:
        hint = f"add a [hosts.NAME] table to {config.path}, or try: deployer sandbox up"
        raise UsageError("the config has no hosts, so there is nowhere to go", hint=hint)
    raise UsageError(
        "no host was named, and the config has no [deploy] default",
        hint=f"name one with --host; {_known(hosts)}",
    )


def _meant(name: str, configured: tuple[Host, ...], hosts: tuple[Host, ...]) -> tuple[Host, ...]:
    exact = tuple(host for host in hosts if host.name == name)
    if exact:
        return exact
    group = tuple(host for host in hosts if name in host.groups)
    if group:
        return group
    return _like(name, configured) or _like(name, hosts)


def _like(glob: str, hosts: tuple[Host, ...]) -> tuple[Host, ...]:
    return tuple(host for host in hosts if any(fnmatchcase(name, glob) for name in (host.name, *host.groups)))


def _unknown(names: list[str], hosts: tuple[Host, ...]) -> str:
    told = []
    for name in names:
        meant = near(name, (*(host.name for host in hosts), *_groups(hosts)))
        told.append(f'"{name}"' + (f' (did you mean "{meant}"?)' if meant else ""))
    return f"there is no host or group {' and no '.join(told)}"


def _known(hosts: tuple[Host, ...]) -> str:
    if not hosts:
        return "the config has no hosts: add a [hosts.NAME] table, or try: deployer sandbox up"
    groups = _groups(hosts)
    text = f"known hosts: {', '.join(host.name for host in hosts)}"
    return f"{text}; groups: {', '.join(groups)}" if groups else text


def _groups(hosts: tuple[Host, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(group for host in hosts for group in host.groups))
