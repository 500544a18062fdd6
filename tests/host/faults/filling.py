"""File systems of a host that are full, of blocks or of inodes, for as long as a test wants.

They are tmpfs: of one of those the size can be set to what is used, at any moment, and set back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from tests.host.project import OnHost

Kind = Literal["blocks", "inodes"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DIRECTORIES = ("/opt", "/etc", "/run")

# What others free meanwhile is filled up, too. Where something is written while it is measured, the remount fails. The
# last command of each tells whether there is no room in the end.
_FILL = {
    "blocks": "mount -o remount,size=$(df --output=used -B 1 {0} | tail -n 1 | tr -d ' ') {0} && "
    "! cat /dev/zero 2>/dev/null >{0}/.filler && ! head -c 4096 /dev/zero 2>/dev/null >{0}/.fill-try",
    "inodes": "mount -o remount,nr_inodes=$(df --output=iused {0} | tail -n 1 | tr -d ' ') {0} && "
    "{{ while mkdir $(mktemp -u {0}/.fill-XXXXXXXX) 2>/dev/null; do :; done; }} && ! mkdir $(mktemp -u {0}/.fill-XXXXXXXX) 2>/dev/null",
}


def own_file_systems(on_host: OnHost) -> None:
    """Give the directories file systems of their own; until the host's end."""
    for directory in DIRECTORIES:
        on_host.sh(
            f"[[ $(findmnt -no FSTYPE {directory}) == tmpfs ]] || {{ cp -a {directory} /kept && "
            f"mount -t tmpfs -o mode=0755 none {directory} && cp -a /kept/. {directory}/ && rm -rf /kept; }}"
        )
        _set_back(on_host, directory)


@contextmanager
def full(on_host: OnHost, directory: str, kind: Kind) -> Iterator[None]:
    """Let nothing be added to a directory of `own_file_systems`; what is there can be written over, renamed, removed."""
    fill = _FILL[kind].format(directory)
    try:
        on_host.sh(f"for _ in {{1..50}}; do {fill} && exit 0; done 2>&1; exit 1")
        yield
    finally:
        _set_back(on_host, directory)


def _set_back(on_host: OnHost, directory: str) -> None:
    on_host.sh(f"mount -o remount,size=256m,nr_inodes=100k {directory}; rm -rf {directory}/.fill*")
