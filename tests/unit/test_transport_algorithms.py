"""What is offered to an sshd holds no weak algorithm, whatever the library knows."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import paramiko
import pytest

from deployer.transport import algorithms, dial

WEAK = re.compile(r"sha1(?!\d)|md5|cbc|3des|arcfour|blowfish|dss|^ssh-rsa|group1-|^none$")
KNOWN_ONCE = {
    "ciphers": ("aes128-cbc", "3des-cbc", "arcfour", "blowfish-cbc", "none"),
    "macs": ("hmac-sha1", "hmac-sha1-96", "hmac-md5", "hmac-md5-96", "none"),
    "key_exchanges": (
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha1",
        "gss-group14-sha1-toWM5Slw5Ew8Mqkay+al2g==",
    ),
    "signatures": ("ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com"),
}


@pytest.fixture
def transport() -> Iterator[paramiko.Transport]:
    here, there = socket.socketpair()
    with here, there:
        yield dial._transport(here, (), 5.0, {})


def offered(transport: paramiko.Transport) -> dict[str, tuple[str, ...]]:
    """What goes into our first packet, and what our own keys sign with, by place."""
    made: Any = transport
    return {
        place: tuple(getattr(made, f"preferred_{place}")) for place in ("kex", "keys", "ciphers", "macs", "pubkeys")
    }


def test_nothing_weak_is_offered(transport: paramiko.Transport) -> None:
    found = offered(transport)
    assert [name for names in found.values() for name in names if WEAK.search(name)] == []
    assert all(found.values()), "something is left in every place"


def test_the_library_itself_would_offer_weak_ones() -> None:
    """Twin: as paramiko comes, there are some."""
    here, there = socket.socketpair()
    with here, there:
        found = offered(paramiko.Transport(here))
    assert [name for names in found.values() for name in names if WEAK.search(name)] != []


@pytest.mark.parametrize("place", sorted(KNOWN_ONCE))
def test_a_library_that_knows_a_weak_one_again_changes_nothing(place: str) -> None:
    weak = KNOWN_ONCE[place]
    assert all(WEAK.search(name) or "gss" in name for name in weak)
    assert getattr(algorithms, place)((*weak, "made-up-sha512")) == []


def agreed_on(ours: paramiko.Transport, there: socket.socket) -> bool:
    """Do the two sides agree on strict key exchange, the other one as an sshd of today?"""
    theirs: Any = paramiko.Transport(there)
    try:
        theirs.add_server_key(paramiko.ECDSAKey.generate())
        theirs.start_server(event=threading.Event(), server=paramiko.ServerInterface())
        ours.start_client(timeout=60)
        made: Any = ours
        return bool(made.agreed_on_strict_kex)
    finally:
        for side in (ours, theirs):
            side.close()
            side.join(10)


def test_two_sides_of_a_connection_agree_on_strict_key_exchange() -> None:
    """Without it somebody in between can drop our first packets unseen (CVE-2023-48795)."""
    here, there = socket.socketpair()
    with here, there:
        assert agreed_on(dial._transport(here, (), 5.0, {}), there)


def test_without_the_offer_there_would_be_no_strict_key_exchange() -> None:
    """Twin: keys are agreed on all the same, and nobody is told."""
    here, there = socket.socketpair()
    with here, there:
        assert not agreed_on(dial._transport(here, (), 5.0, {"strict_kex": False}), there)
