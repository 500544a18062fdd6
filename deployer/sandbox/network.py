"""The network of a lab: one bridge with a /24 that nothing else on this machine uses, and the links of its hosts."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from deployer.errors import HostError, UsageError
from deployer.sandbox.commands import as_root, must, run

_LINKS = Path("/sys/class/net")
_LOCK_TIMEOUT_S = 30.0
NOBODY = "02:00:00:00:00:fe"
"""A hardware address that no link has."""
# 198.18/15 is set aside for tests of networks: for machines on which a VPN claims the whole of 10/8.
_RANGES = (ipaddress.IPv4Network("10.64.0.0/10"), ipaddress.IPv4Network("198.18.0.0/15"))


def free_network(taken: tuple[ipaddress.IPv4Network, ...], *, start: int) -> ipaddress.IPv4Network:
    """A /24 that overlaps nothing taken; the search begins at the `start`-th, so that labs spread out.

    Raises:
        UsageError: Every one is taken.
    """
    for block in _RANGES:
        first, size = int(block.network_address), block.num_addresses >> 8
        for offset in range(size):
            candidate = ipaddress.IPv4Network((first + ((start + offset) % size << 8), 24))
            if not any(candidate.overlaps(network) for network in taken):
                return candidate
    raise UsageError(
        "no private /24 network is free on this machine", hint="see what is routed: ip route show table all"
    )


def taken_networks() -> tuple[ipaddress.IPv4Network, ...]:
    """The IPv4 networks that this machine has addresses in or routes to."""
    found = []
    for interface in json.loads(must(("ip", "-json", "-4", "address", "show"))):
        found += [f"{info['local']}/{info['prefixlen']}" for info in interface.get("addr_info", ()) if "local" in info]
    for route in json.loads(must(("ip", "-json", "-4", "route", "show", "table", "all")) or "[]"):
        found.append(route.get("dst", "default"))
    return tuple(ipaddress.IPv4Network(text, strict=False) for text in found if text != "default")


def raise_bridge(name: str, network: ipaddress.IPv4Network | None, *, start: int) -> ipaddress.IPv4Network:
    """Make the bridge unless it is there, and give its network: the wanted one, or a free one where that is None.

    Raises:
        HostError: The wanted network has been taken by something else since, or the kernel refused.
    """
    with _one_at_a_time():
        if network is not None and has_link(name):
            return network
        drop_link(name)  # one that nobody remembers the network of
        taken = taken_networks()
        if network is not None and any(network.overlaps(other) for other in taken):
            raise HostError(
                f"the sandbox's network {network} is now used by something else on this machine",
                hint="take the hosts down and up again: deployer sandbox down",
            )
        chosen = network or free_network(taken, start=start)
        # With a hardware address of its own: else it takes that of a port, and changes it when the port goes.
        link = (
            "link",
            "add",
            "name",
            name,
            "address",
            f"02:{start >> 16 & 255:02x}:{start >> 8 & 255:02x}:{start & 255:02x}:00:01",
        )
        try:
            must(as_root("ip", *link, "type", "bridge", "forward_delay", "0"))
            must(as_root("ip", "address", "add", f"{chosen[1]}/24", "dev", name))
            must(as_root("ip", "link", "set", "dev", name, "up"))
        except BaseException:
            drop_link(name)
            raise
        return chosen


def drop_link(name: str) -> None:
    """Remove the bridge, or a host's link, if there is one."""
    if has_link(name):
        try:
            must(as_root("ip", "link", "delete", "dev", name))
        except HostError:
            if has_link(name):  # else the kernel was quicker
                raise


def cut(link: str, *, bridge: str, address: str, hardware: str) -> None:
    """Let nothing through to a host any more, and say so to nobody: packets vanish in both directions.

    Both ends keep their carrier, as when a cable far away is cut. The neighbour is pinned, for without it the
    kernel would find out by ARP and answer "no route to host" after three seconds.
    """
    must(as_root("ip", "neighbour", "replace", address, "lladdr", hardware, "dev", bridge, "nud", "permanent"))
    must(as_root("bridge", "link", "set", "dev", link, "state", "0"))


def restore(link: str, *, bridge: str, address: str) -> None:
    """Undo `cut`."""
    must(as_root("bridge", "link", "set", "dev", link, "state", "3"))
    run(as_root("ip", "neighbour", "delete", address, "dev", bridge), timeout_s=30)  # none is pinned after a boot


@contextlib.contextmanager
def mislaid(address: str, *, device: str) -> Iterator[None]:
    """Send what is for an address to a neighbour that does not exist, without a word."""
    must(as_root("ip", "neighbour", "replace", address, "lladdr", NOBODY, "dev", device, "nud", "permanent"))
    try:
        yield
    finally:
        run(as_root("ip", "neighbour", "delete", address, "dev", device), timeout_s=30)


def has_link(name: str) -> bool:
    return (_LINKS / name).exists()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """One of us at a time looks for a free network, in this network namespace, whichever user or state directory."""
    # An abstract name belongs to the network namespace, needs no file that all users may write, and dies with us.
    with socket.socket(socket.AF_UNIX) as lock:
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                lock.bind("\0deployer-sandbox-network")
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise HostError("another deployer keeps the sandbox networks locked") from error
                time.sleep(0.05)
        yield
