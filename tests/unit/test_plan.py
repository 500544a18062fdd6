"""What a deploy or rollback would be, from values alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deployer import plan
from deployer.artifact import Artifact, FileMember
from deployer.config import loads
from deployer.env import Environment, Variable
from deployer.errors import BusyError, DeployerError, HostError, LockedError, UsageError
from deployer.explain import explain
from deployer.host.facts import Facts, Freeze, LedgerEntry, StagedRelease
from deployer.kinds.base import Launch, Release
from deployer.model import Secret
from deployer.plan import Candidate, Deploy

CONFIG = loads(
    """
    [app]
    name = "shop"
    user = "app"
    [service]
    kind = "exec"
    exec_start = "bin/server"
    migrate = "bin/migrate"
    [health]
    http = "http://127.0.0.1:4000/"
    [hosts.prod1]
    """,
    path=Path("/project/config/deploy.toml"),
)
HOST = CONFIG.hosts[0]
DIGEST = "ab" * 32
ARTIFACT = Artifact(
    path=Path("/project/shop-1.0.tar.gz"),
    sha256=DIGEST,
    size_bytes=4_100_000,
    file_name="shop-1.0.tar.gz",
    version="1.0",
    release=Release(kind="exec", name="shop", version="1.0"),
    strip=0,
    top="",
    members=2,
    unpacked_bytes=9_000_000,
    files=(FileMember(path="bin/server", size_bytes=10, mode=0o755, sha256="cd" * 32),),
)
CANDIDATE = Candidate(
    config=CONFIG, artifact=ARTIFACT, launch=Launch(exec_start="bin/server"), who="ana", revision="abc"
)
READY = Facts(systemd=252, group="app", free_bytes=10**10, unit={"LoadState": "not-found"})


def environment(**values: str) -> Environment:
    return Environment(variables=tuple(Variable(name=k, value=Secret(v), origin="test") for k, v in values.items()))


def planned(facts: Facts, **values: str) -> Deploy:
    return plan.deploy(CANDIDATE, host=HOST, facts=facts, environment=environment(**values or {"A": "secret-value"}))


def after(first: Deploy, **changes: object) -> Facts:
    """The facts of a host on which the plan was carried out."""
    release = StagedRelease(
        id=first.release, identity=first.payload.identity, digest=DIGEST, pinned=False, size_bytes=1
    )
    running = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    facts = replace(
        READY,
        committed=first.release,
        running=first.release,
        releases=(release,),
        unit=running,
        unit_text=first.payload.committed_unit,
        env_text=Secret('A="secret-value"\n'),
    )
    return replace(facts, **changes)  # type: ignore[arg-type] # names of fields


def test_a_first_deploy_uploads_and_pins_its_paths() -> None:
    found = planned(READY)
    assert (found.release, found.expect, found.stage, found.copy_from, found.unchanged) == (
        "1.0-abababab",
        "",
        True,
        "",
        False,
    )
    assert "WorkingDirectory=/opt/shop/releases/1.0-abababab\n" in found.payload.trial_unit
    assert "EnvironmentFile=/opt/shop/releases/1.0-abababab/.deployer/env\n" in found.payload.trial_unit
    same_but = found.payload.trial_unit.replace(
        "/opt/shop/releases/1.0-abababab/.deployer/env", "/etc/default/shop.env"
    )
    assert found.payload.committed_unit == same_but


def test_the_same_again_is_nothing_to_do() -> None:
    found = planned(after(planned(READY)))
    assert found.unchanged
    assert not found.stage


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "enabled"}},
        {"env_drift": "edited"},
        {"unit_drift": "missing"},
        {"running": "0.9-cdcdcdcd"},
        {"trial": {"to": "x"}},
    ],
)
def test_what_is_not_as_it_was_left_is_activated_again_without_staging(changes: dict[str, object]) -> None:
    found = planned(after(planned(READY), **changes))
    assert not found.unchanged
    assert not found.stage


def test_another_environment_is_a_release_of_its_own_with_the_same_tree() -> None:
    found = planned(after(planned(READY)), A="another", B="new")
    assert (found.release, found.stage, found.copy_from) == ("1.0-abababab.2", True, "1.0-abababab")
    assert (found.environment.added, found.environment.changed, found.environment.removed) == (("B",), ("A",), ())


def test_an_id_of_the_ledgers_past_is_not_used_again() -> None:
    facts = replace(READY, ledger=(LedgerEntry(at="t", event="pruned", id="1.0-abababab"),))
    assert planned(facts).release == "1.0-abababab.2"


def test_the_explanation_names_variables_and_never_values() -> None:
    found = planned(after(planned(READY)), A="another-secret", B="new-secret")
    text = explain(found, config=CONFIG, artifact=ARTIFACT, before={"bin/server": "00 5", "old": "11 1"})
    assert text == (
        "prod1: shop 1.0-abababab → 1.0-abababab.2\n"
        "  release      the tree of 1.0-abababab, no upload\n"
        "  files        0 added, 1 changed, 1 removed; 10 B new\n"
        "  environment  added: B · changed: A\n"
        "  unit         unchanged\n"
        "  migrate      bin/migrate\n"
        "  restart      shop.service, then http://127.0.0.1:4000/ answers 200; it stays up for 5 s, within 60 s\n"
    )


def test_the_explanation_of_a_first_deploy_calls_the_unit_new() -> None:
    text = explain(planned(READY), config=CONFIG, artifact=ARTIFACT, before=None)
    assert "prod1: shop nothing yet → 1.0-abababab\n" in text
    assert "  unit         new\n" in text


@pytest.mark.parametrize("values", [{}, {"A": "another-secret"}], ids=["the same again", "a new release"])
def test_what_is_replaced_is_no_warning_besides(values: dict[str, str]) -> None:
    edited = after(planned(READY), unit_drift="edited", env_drift="edited")
    found = planned(replace(edited, clock_skew_s=120.0), **values)
    assert found.warnings == ("the host's clock is +120 s from this machine's",)
    text = explain(found, config=CONFIG, artifact=ARTIFACT, before=None)
    assert "  unit         as committed\n  replaces     /etc/systemd/system/shop.service was edited on the host" in text
    assert text.count("the unit file is edited") == (0 if values else 1)  # why the same is activated again


def test_what_is_missing_is_a_warning_and_in_a_plan_the_reason() -> None:
    found = planned(after(planned(READY), unit_drift="missing"))
    assert found.warnings == ("the unit file is missing",)
    text = explain(found, config=CONFIG, artifact=ARTIFACT, before=None)
    assert text.count("the unit file is missing") == 1
    assert "  because      the unit file is missing\n" in text


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"systemd": 239}, HostError, "systemd 239"),
        ({"group": ""}, HostError, "no user 'app'"),
        ({"missing_tools": ("flock",)}, HostError, "lacks flock"),
        ({"read_only": "/opt/shop"}, HostError, "file system of /opt/shop on prod1 is read-only"),
        ({"read_only": "/etc/default/shop.env"}, HostError, "of /etc/default/shop.env on prod1 is read-only"),
        ({"free_bytes": 1000}, HostError, "1.0 kB free"),
        ({"unit": {"LoadState": "masked"}}, HostError, "masked"),
        (
            {"unit": {"LoadState": "loaded", "FragmentPath": "/usr/lib/systemd/system/shop.service"}},
            HostError,
            "shop.service is a unit of prod1's own already: /usr/lib/systemd/system/shop.service",
        ),
        ({"under_way": True, "trial": {"who": "bob"}}, LockedError, "started by bob"),
        ({"frozen": Freeze(who="bob", at="t", reason="the fair")}, LockedError, "the fair"),
    ],
)
def test_a_host_that_cannot_take_it_says_why(
    changes: dict[str, object], error: type[DeployerError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        planned(replace(READY, **changes))  # type: ignore[arg-type] # names of fields
    assert caught.value.hint
    assert caught.value.host == "prod1"


@pytest.mark.parametrize(
    ("who", "hint"),
    [
        ("ana", "it is your own: deployer unlock --host prod1"),
        ("bob", "deployer unlock --host prod1, once bob agrees"),
    ],
)
def test_a_lock_of_ones_own_needs_nobody_to_agree(who: str, hint: str) -> None:
    with pytest.raises(LockedError) as caught:
        planned(replace(READY, frozen=Freeze(who=who, at="t", reason="the fair")))
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": {"LoadState": "loaded", "FragmentPath": "/etc/systemd/system/shop.service"}},
        {"unit": {"LoadState": "loaded", "FragmentPath": "/run/systemd/system.control/shop.service"}},
        {"unit": {"LoadState": "not-found", "FragmentPath": ""}},
        {"unit": {"LoadState": "loaded", "FragmentPath": "/usr/lib/systemd/system/shop.service"}, "committed": "0.9-x"},
    ],
)
def test_a_unit_in_our_own_place_is_no_obstacle(changes: dict[str, object]) -> None:
    assert planned(replace(READY, **changes)).stage  # type: ignore[arg-type] # names of fields


def test_a_lock_does_not_stop_a_look_at_the_plan_which_tells_of_it() -> None:
    frozen = Freeze(who="bob", at="2026-11-24T08:00:00Z", reason="the fair")
    told = "bob has locked shop since 2026-11-24T08:00:00Z: the fair; until that is over, a deploy is refused"

    def looked(facts: Facts) -> str:
        found = plan.deploy(
            CANDIDATE, host=HOST, facts=facts, environment=environment(A="secret-value"), look_only=True
        )
        return explain(found, config=CONFIG, artifact=ARTIFACT, before=None)

    text = looked(replace(READY, frozen=frozen))
    assert text.startswith("prod1: shop nothing yet → 1.0-abababab\n")
    assert text.endswith(f"  warning      {told}\n")
    serves = "prod1: 1.0-abababab is committed and runs; nothing to do\n"
    assert looked(after(planned(READY), frozen=frozen)) == f"{serves}  warning      {told}\n"
    with pytest.raises(BusyError):
        looked(replace(READY, frozen=frozen, under_way=True))


def test_a_lock_does_not_stop_a_rollback() -> None:
    facts = after(
        planned(READY),
        frozen=Freeze(who="bob", at="t", reason="r"),
        releases=(StagedRelease(id="0.9-x", identity="i", digest="d", pinned=False, size_bytes=1),),
        ledger=(LedgerEntry(at="t", event="good", id="0.9-x"), LedgerEntry(at="t", event="good", id="1.0-abababab")),
    )
    assert plan.rollback(CONFIG, host=HOST, facts=facts).release == "0.9-x"
    assert plan.rollback(CONFIG, host=HOST, facts=facts).proven
    assert plan.rollback(CONFIG, host=HOST, facts=facts, to="0.9").release == "0.9-x"
    with pytest.raises(UsageError, match="no releases on prod1 match '7'"):
        plan.rollback(CONFIG, host=HOST, facts=facts, to="7")
    with pytest.raises(UsageError, match=r"there is no good release before 1\.0-abababab on prod1"):
        plan.rollback(CONFIG, host=HOST, facts=replace(facts, ledger=()))
    with pytest.raises(UsageError, match="prod1 has no good release to go back to"):
        plan.rollback(CONFIG, host=HOST, facts=replace(facts, ledger=(), committed=""))


def test_a_release_that_could_be_several_is_told_with_all_of_them() -> None:
    here = tuple(
        StagedRelease(id=each, identity="i", digest="d", pinned=False, size_bytes=1) for each in ("1.0-x", "1.1-x", "2")
    )
    with pytest.raises(UsageError) as caught:
        plan.rollback(CONFIG, host=HOST, facts=replace(READY, releases=here), to="1")
    assert caught.value.message == "'1' could be any of 1.0-x, 1.1-x on prod1"
    assert caught.value.hint == "deployer releases --host prod1"


# -- behind an activation that is under way -------------------------------------------------------------------------

BEGUN = LedgerEntry(at="2026-11-24T08:00:00Z", event="activating", id="2.0-x", token="t", who="bob")


def test_a_host_at_work_says_what_whose_and_since_when() -> None:
    with pytest.raises(BusyError) as caught:
        planned(replace(READY, under_way=True, ledger=(BEGUN,)))
    text = "another activation of shop is under way on prod1: 2.0-x, started by bob at 2026-11-24T08:00:00Z"
    assert (caught.value.message, caught.value.exit_code) == (text, 4)
    assert "--wait 15m" in caught.value.hint


def test_an_activation_of_which_the_ledger_knows_nothing_yet_is_not_taken_for_the_last_one() -> None:
    over = LedgerEntry(at="t", event="good", id="2.0-x", token="t")
    with pytest.raises(BusyError, match=r"under way on prod1$"):
        planned(replace(READY, under_way=True, ledger=(BEGUN, over)))


def test_a_deploy_that_queues_is_planned_to_be_staged_and_never_has_nothing_to_do() -> None:
    facts = after(planned(READY), under_way=True)
    queued = plan.deploy(CANDIDATE, host=HOST, facts=facts, environment=environment(A="secret-value"), queues=True)
    assert (queued.queued, queued.unchanged, queued.warnings) == (True, False, ())
    free = plan.deploy(
        CANDIDATE,
        host=HOST,
        facts=replace(facts, under_way=False),
        environment=environment(A="secret-value"),
        queues=True,
    )
    assert (free.queued, free.unchanged) == (False, True)


def test_a_deploy_that_queues_is_refused_by_a_lock_at_once() -> None:
    facts = replace(READY, under_way=True, frozen=Freeze(who="bob", at="t", reason="the fair"))
    with pytest.raises(LockedError, match="the fair") as caught:
        plan.deploy(CANDIDATE, host=HOST, facts=facts, environment=environment(A="secret-value"), queues=True)
    assert not isinstance(caught.value, BusyError)


def test_a_commit_that_was_cut_off_half_way_is_nobodys_edit() -> None:
    edited = {"unit_drift": "edited", "env_drift": "edited"}
    assert len(planned(after(planned(READY), **edited)).replaces) == 2
    found = planned(after(planned(READY), **edited, committing=True))
    assert (found.replaces, found.warnings, found.unchanged) == ((), (), False)


def test_a_rollback_that_queues_decides_nothing_yet() -> None:
    facts = after(planned(READY), under_way=True)
    queued = plan.rollback(CONFIG, host=HOST, facts=facts, to="7", queues=True)
    assert (queued.queued, queued.unchanged, queued.release) == (True, False, "")
    with pytest.raises(BusyError):
        plan.rollback(CONFIG, host=HOST, facts=facts)


def two_good(**changes: object) -> Facts:
    return after(
        planned(READY),
        releases=(StagedRelease(id="0.9-x", identity="i", digest="d", pinned=False, size_bytes=1),),
        ledger=(LedgerEntry(at="t", event="good", id="0.9-x"), LedgerEntry(at="t", event="good", id="1.0-abababab")),
        **changes,
    )


def test_a_rollback_behind_an_activation_that_did_not_hold_has_nothing_to_do() -> None:
    found = plan.rollback(CONFIG, host=HOST, facts=two_good(), behind="1.0-abababab")
    assert (found.release, found.unchanged) == ("1.0-abababab", True)
    assert "another rollback of prod1 would go further back" in found.warnings[0]


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"behind": "0.9-y"}, {}),
        ({"behind": None}, {}),
        ({"behind": "1.0-abababab", "to": "0.9"}, {}),
        ({"behind": "1.0-abababab"}, {"unit": {"LoadState": "loaded", "ActiveState": "failed"}}),
    ],
    ids=["another was committed", "nothing was waited for", "a release was named", "nothing serves"],
)
def test_any_other_rollback_behind_one_goes_back_from_what_is_committed(
    options: dict[str, str], changes: dict[str, object]
) -> None:
    found = plan.rollback(CONFIG, host=HOST, facts=two_good(**changes), **options)  # type: ignore[arg-type] # options
    assert (found.release, found.unchanged) == ("0.9-x", False)
