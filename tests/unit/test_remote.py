"""A host as the engine uses it, over a connection that is made up."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deployer import config
from deployer.remote import Remote
from tests.shop import CONFIG

EDITED = ("drift.unit", "edited")
EXCHANGING = ("exchanging", "yes")
UNDER_WAY = ("under_way", "yes")
COMMITTING = ("committing", "to 2-b")


class Link:
    """Answers each probe with the next of these facts."""

    def __init__(self, answers: list[tuple[tuple[str, str], ...]]) -> None:
        self._answers = answers

    def run(self, _script: str, **_options: Any) -> SimpleNamespace:
        facts = (("committed", "1-a"), *self._answers.pop(0))
        lines = [f"fact {name} {base64.b64encode(value.encode()).decode()}" for name, value in facts]
        return SimpleNamespace(status=0, stdout="\n".join((*lines, "done")), stderr="")


@pytest.mark.parametrize(
    ("first", "looks"),
    [
        ((EDITED,), 1),
        ((EDITED, EXCHANGING, UNDER_WAY), 1),
        ((EDITED, EXCHANGING, COMMITTING), 1),
        ((EDITED, EXCHANGING), 2),
    ],
)
def test_a_host_is_looked_at_again_where_a_commit_ended_meanwhile(
    tmp_path: Path, first: tuple[tuple[str, str], ...], looks: int
) -> None:
    path = tmp_path / "deploy.toml"
    path.write_text(CONFIG)
    known = config.load(path)
    answers = [first, ()]
    remote = Remote(cast("Any", Link(answers)), host=known.hosts[0], app=known.app, step_timeout_s=1)
    facts = remote.probe()
    assert (len(answers), facts.drift) == (2 - looks, ("the unit file is edited",) if first == (EDITED,) else ())
