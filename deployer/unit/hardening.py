"""What keeps a service away from the rest of its host: the levels of `[service] hardening`.

Only directives that systemd 247 knows. `systemd-analyze security` (0 is tight, 10 is open) gives a unit 1.3 with strict,
7.0 with basic and 9.2 with off on systemd 252; 1.1, 6.8 and 9.0 on 257.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deployer.model import Config

Lines = tuple[tuple[str, str], ...]

# Hardly anything that serves requests notices these.
_BASIC: Final[Lines] = (
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "full"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectControlGroups", "yes"),
    ("RestrictSUIDSGID", "yes"),
)

# ProcSubset=pid is not among them: it hides /proc/meminfo, /proc/cpuinfo and /proc/sys, which os_mon of Erlang, Go's
# listen backlog, Node's os module and most language runtimes read. systemd.exec(5) advises against it for that reason.
_STRICT: Final[Lines] = (
    ("CapabilityBoundingSet", ""),
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "strict"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateUsers", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectProc", "invisible"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("RemoveIPC", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
    # Without it, a call that is not allowed ends the process by SIGSYS.
    ("SystemCallErrorNumber", "EPERM"),
)


def hardening(config: Config, *, jit: bool) -> Lines:
    """Return the sandbox's directives, in order.

    Args:
        jit: The program makes memory executable that it has written; MemoryDenyWriteExecute= would stop it.
    """
    level = config.service.hardening
    if level == "off":
        return ()
    home = ("ProtectHome", _protect_home(config))
    if level == "basic":
        return (*_BASIC, home)
    lines = (*_STRICT, home)
    if not jit:
        lines = (*lines, ("MemoryDenyWriteExecute", "yes"))
    wanted = _ambient(dict(config.service.directives))
    if wanted:
        # A capability (such as CAP_NET_BIND_SERVICE, for a port below 1024) counts only inside its bounding set, and not
        # in a user namespace of the service's own.
        lines = tuple(line for line in lines if line[0] not in ("CapabilityBoundingSet", "PrivateUsers"))
        lines = (("CapabilityBoundingSet", wanted), *lines)
    return lines


def _ambient(given: Mapping[str, tuple[str, ...]]) -> str:
    return " ".join(given.get("Service.AmbientCapabilities", ())).strip()


def _protect_home(config: Config) -> str:
    # A release below /home could not even be entered with "yes".
    top = config.app.root.parts[1:2]
    return "read-only" if top in (("home",), ("root",)) else "yes"
