"""A terminal there, joined to ours."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from deployer import local
from deployer.errors import UsageError
from deployer.transport import Connection
from tests.host.transport.box import PASSWORD, Box, raised


@pytest.mark.parametrize("user", ["root", "easy", "passer"])
def test_a_terminal_is_joined_to_ours(near: Box, tmp_path: Path, user: str) -> None:
    program = tmp_path / "client.py"
    program.write_text(
        f"""
import os, sys
from pathlib import Path
from deployer.model import Host, Ssh
from deployer.transport import connect
host = Host(name="x", address={near.sandbox.address!r}, user={user!r},
            identity_file=Path({str(near.sandbox.identity_file)!r}), known_hosts=Path({str(near.sandbox.known_hosts)!r}))
environ = {{"TERM": "xterm-256color", "DEPLOYER_SUDO_PASSWORD": {PASSWORD!r}}}
connection = connect(host, Ssh(), prompt=lambda _: None, environ=environ, note=print)
status = connection.interactive("echo \\"$(id -un) $TERM $(stty size)\\"; IFS= read -r x; echo \\"<$x>\\"; test -t 0; exit 3")
connection.close()
sys.exit(status)
"""
    )
    # What a shell of before has exported is not this terminal's size.
    command = (
        f"stty cols 93 rows 31; COLUMNS=80 LINES=24 exec {shlex.quote(sys.executable)} {shlex.quote(str(program))}"
    )
    done = local.run(("script", "-qec", command, "/dev/null"), timeout_s=40, stdin=b"typed 'ahead'\r")
    text = done.stdout.decode()
    assert "root xterm-256color 31 93" in text, text
    assert "<typed 'ahead'>" in text
    assert PASSWORD not in text
    assert done.status == 3, text


def test_without_a_terminal_there_is_no_interactive_command(to_near: Connection) -> None:
    raised(UsageError, lambda: to_near.interactive("true"), within_s=5)
