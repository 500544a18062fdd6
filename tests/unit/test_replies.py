"""What scripts print, read back as ours: hints name the host, which a script does not know by that name."""

from __future__ import annotations

import json

import pytest

from deployer.errors import LockedError
from deployer.host.replies import error_from
from deployer.journal import journal_line


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("follow it with: deployer attach", "follow it with: deployer attach --host web1"),
        ("deployer prune, or make room", "deployer prune --host web1, or make room"),
        ("look at it with: deployer status; then again", "look at it with: deployer status --host web1; then again"),
        ("deployer logs --host web1", "deployer logs --host web1"),
        ("on the host: journalctl -u deployer-shop.service", "on the host: journalctl -u deployer-shop.service"),
        ("", ""),
    ],
)
def test_a_hint_of_a_script_names_the_host(said: str, shown: str) -> None:
    error = error_from(json.dumps({"code": "busy", "message": "busy", "hint": said}), host="web1")
    assert isinstance(error, LockedError)
    assert error.hint == shown


def test_a_number_of_thousands_of_digits_in_a_journal_is_no_number() -> None:
    fields = {"MESSAGE": "x", "_PID": "9" * 5000, "PRIORITY": "9" * 5000, "__REALTIME_TIMESTAMP": "1000000"}
    line = journal_line(json.dumps(fields), host="web1")
    assert line is not None
    assert (line.pid, line.priority, line.at) == (0, 6, 1.0)
