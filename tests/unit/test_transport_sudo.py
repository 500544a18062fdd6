"""A password for sudo: asked for once for each host, and never given to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from deployer.errors import LinkLostError, NotLetInError
from deployer.model import Secret
from deployer.transport import sudo
from deployer.transport.scripts import Elevation, Reply
from deployer.transport.ssh_config import Target

PROD1 = Target(name="prod1", hostname="192.0.2.1", port=22, user="deploy")
WANTS_A_PASSWORD = Reply(status=12, stdout="", stderr="sudo: a password is required\n")
NO = Reply(status=1, stdout="", stderr="sudo: 1 incorrect password attempt\n")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    sudo._taken.clear()


@dataclass(kw_only=True)
class Far:
    """A host whose sudo takes one password; what it was given and what we were asked is kept."""

    password: str
    typed: list[str | None]
    given: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    def attempt(self, elevation: Elevation) -> Reply:
        assert elevation.password is not None
        self.given.append(elevation.password.reveal())
        return Reply(status=0, stdout="", stderr="") if self.given[-1] == self.password else NO

    def prompt(self, question: str) -> Secret | None:
        self.questions.append(question)
        answer = self.typed.pop(0)
        return None if answer is None else Secret(answer)

    def become_root(self, target: Target = PROD1, *, environ: Mapping[str, str] | None = None) -> Elevation:
        return sudo.decide(
            host="prod1",
            target=target,
            run=lambda _script: WANTS_A_PASSWORD,
            attempt=self.attempt,
            prompt=self.prompt,
            environ=environ or {},
        )


def test_another_connection_to_the_same_host_asks_nothing() -> None:
    far = Far(password="mine", typed=["mine"])
    first = far.become_root()
    assert far.become_root() == first
    assert first.password == Secret("mine")
    assert len(far.questions) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(PROD1, user="admin"),
        replace(PROD1, hostname="192.0.2.2"),
        replace(PROD1, port=2222),
        replace(PROD1, jump=Target(name="b", hostname="192.0.2.9", port=22, user="deploy")),
        replace(PROD1, proxy_command="nc bastion 22"),
        replace(PROD1, host_key_alias="other"),
    ],
    ids=["login", "address", "port", "jump host", "proxy command", "host key"],
)
def test_a_password_goes_to_no_other_host_than_the_one_it_was_typed_for(other: Target) -> None:
    Far(password="mine", typed=["mine"]).become_root()
    far = Far(password="theirs", typed=["theirs"])
    far.become_root(other)
    assert far.given == ["theirs"]


def test_a_password_that_was_changed_meanwhile_is_asked_for_again() -> None:
    Far(password="old", typed=["old"]).become_root()
    far = Far(password="new", typed=["new"])
    far.become_root()
    assert (far.given, far.questions) == (["old", "new"], ["sudo password for deploy on 192.0.2.1 port 22"])
    far.become_root()
    assert far.given[2:] == ["new"]


def test_a_password_that_was_not_taken_is_not_kept() -> None:
    far = Far(password="mine", typed=["wrong", None, "mine"])
    with pytest.raises(NotLetInError):
        far.become_root()
    far.become_root()
    assert far.given == ["wrong", "mine"]


def test_a_link_that_breaks_during_the_try_takes_no_password_away(monkeypatch: pytest.MonkeyPatch) -> None:
    far = Far(password="mine", typed=["mine"])
    far.become_root()

    def lost(_far: Far, _elevation: Elevation) -> Reply:
        raise LinkLostError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Far, "attempt", lost)
        with pytest.raises(LinkLostError):
            far.become_root()
    far.become_root()
    assert len(far.questions) == 1


def test_the_variable_counts_for_more_than_what_was_typed() -> None:
    Far(password="typed", typed=["typed"]).become_root()
    far = Far(password="set", typed=["typed"])
    far.become_root(environ={"DEPLOYER_SUDO_PASSWORD": "set"})
    assert far.given == ["set"]
