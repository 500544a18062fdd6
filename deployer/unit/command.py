"""The command line of `ExecStart=`: the user's text, with its program made absolute and nothing else changed.

Source: systemd.service(5), "COMMAND LINES".
"""

from __future__ import annotations

import re
from typing import Final

from deployer.errors import UsageError

# Prefixes (@ argv[0], - may fail, : no variables, + and ! privileges) may stand before the quote or behind it.
_LEAD: Final = re.compile(r"""([@:+!|-]*)(["']?)([@:+!|-]*)""")
_WORD: Final = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|[^\s"'\\])+""")


def absolute(command: str, *, release: str) -> str:
    """Return the command with a relative program moved below the release, as it can stand after `ExecStart=`.

    Several commands (`a ; b`, for a oneshot) are each treated so. Arguments, `${NAME}` and `%` stay the user's.

    Args:
        release: The release's path as it can stand in a unit.

    Raises:
        UsageError: There is no program, or a quote is not closed.
    """
    done = []
    first = True
    at = 0
    for found in _words(command):
        done.append(command[at : found.start()])
        done.append(_absolute_word(found[0], command, release) if first else found[0])
        first = found[0] == ";"
        at = found.end()
    if first:
        raise _unusable(command, "names no program")
    return "".join(done).strip()


def _words(command: str) -> list[re.Match[str]]:
    words = list(_WORD.finditer(command))
    between = _WORD.sub("", command)
    if between.strip():
        raise _unusable(command, "has a quote that is not closed, or a backslash at its end")
    return words


def _absolute_word(word: str, command: str, release: str) -> str:
    lead = _LEAD.match(word)
    at = lead.end() if lead else 0
    program = word[at:].removeprefix("./")
    if not program.strip("\"'") or word == ";":
        raise _unusable(command, "names no program")
    if program.startswith("$"):
        raise _unusable(command, "begins with a variable, which systemd does not expand in a program's name")
    if program.startswith("../"):
        raise _unusable(command, "begins with ../, which is outside the release")
    # A specifier such as %h is a path of its own already; what it stands for is the user's business.
    if program.startswith(("/", "%")):
        return word
    return f"{word[:at]}{release}/{program}"


def _unusable(command: str, why: str) -> UsageError:
    return UsageError(
        f"the start command {command!r} {why}", hint='write it as in exec_start = "bin/server --port ${PORT}"'
    )
