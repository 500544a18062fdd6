from __future__ import annotations

import pytest

from deployer.errors import UsageError
from deployer.unit.command import absolute


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("bin/shop start", "/r/bin/shop start"),
        ("./bin/shop start", "/r/bin/shop start"),
        ("server", "/r/server"),
        ("/usr/bin/env FOO=1  bin/x", "/usr/bin/env FOO=1  bin/x"),
        ("%h/bin/x", "%h/bin/x"),
        ("-bin/shop", "-/r/bin/shop"),
        ("@bin/shop argv0", "@/r/bin/shop argv0"),
        ("+!:bin/shop", "+!:/r/bin/shop"),
        ("-/bin/true", "-/bin/true"),
        ('"bin/my shop" start', '"/r/bin/my shop" start'),
        ("'bin/my shop' start", "'/r/bin/my shop' start"),
        ('-"bin/my shop" start', '-"/r/bin/my shop" start'),
        ('"-bin/my shop" start', '"-/r/bin/my shop" start'),
        ('"/opt/my shop" start', '"/opt/my shop" start'),
        ("bin/my\\x20shop", "/r/bin/my\\x20shop"),
        ("  bin/shop  a  ", "/r/bin/shop  a"),
        ("bin/shop --port ${PORT} $ARGS 'a \"b\"' %n \\; ;x", "/r/bin/shop --port ${PORT} $ARGS 'a \"b\"' %n \\; ;x"),
        ("bin/a x ; bin/b ; /bin/c", "/r/bin/a x ; /r/bin/b ; /bin/c"),
    ],
)
def test_a_relative_program_is_moved_below_the_release_and_nothing_else_changes(command: str, text: str) -> None:
    assert absolute(command, release="/r") == text


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "names no program"),
        ("   ", "names no program"),
        ("-", "names no program"),
        ('""', "names no program"),
        ("; bin/x", "names no program"),
        ("bin/x ;", "names no program"),
        ("$SHELL -c x", "begins with a variable"),
        ("../other/bin/x", "outside the release"),
        ('"bin/x', "a quote that is not closed"),
        ("bin/x it's", "a quote that is not closed"),
        ("bin/x \\", "a backslash at its end"),
    ],
)
def test_a_command_that_cannot_be_started_is_refused(command: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        absolute(command, release="/r")
