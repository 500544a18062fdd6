"""Ways back, and what people put beside releases: rollbacks, pins, pruning, locks, and going back by hand."""

from __future__ import annotations

import json
import re

import pytest

from tests.host.project import OnHost, Project, wait_for

QUICK = 'tcp = 4000\nsettle = "300ms"\ntimeout = "5s"\ninterval = "100ms"'


@pytest.fixture
def quick(project: Project) -> Project:
    project.health = QUICK
    return project.write()


def deployed(project: Project, *versions: str) -> None:
    """Deploy releases one after the other, each with a unit and an environment of its own."""
    for version in versions:
        project.app = f'description = "shop in {version}"\nkeep = 9'
        project.env = f'set = {{ GREETING = "{version}" }}'
        done = project.write().deploy(version)
        assert done.status == 0, done.text


def staged(project: Project, *versions: str) -> None:
    for version in versions:
        assert project.deploy(version, "", "--no-activate").status == 0


def here(host: OnHost) -> list[str]:
    """The versions of the releases that are on the host."""
    return sorted(name.partition("-")[0] for name in host.sh("ls /opt/shop/releases").split())


def marks(project: Project) -> dict[str, list[str]]:
    return {row["version"]: row["marks"] or [] for row in project.run("releases").of("releases")}


def serves(host: OnHost, version: str) -> bool:
    """Are code, unit and environment those of a version, on the disk and in the process?"""
    environ = host.sh(f"tr '\\0' '\\n' </proc/{host.unit('MainPID')}/environ").splitlines()
    return (
        host.version == version
        and f"GREETING={version}" in environ
        and host.unit("Description") == f"shop in {version}"
        and host.is_consistent()
        and host.is_settled()
    )


class TestRollback:
    def test_twice_goes_further_back_and_not_forth(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0", "1.1.0", "1.2.0")
        assert serves(bare, "1.2.0")
        assert marks(quick) == {"1.2.0": ["current"], "1.1.0": ["rollback target"], "1.0.0": []}
        for version in ("1.1.0", "1.0.0"):
            back = quick.run("rollback")
            assert (back.status, back.verdicts) == (0, {bare.host.name: "changed"}), back.text
            assert serves(bare, version)
        none = quick.run("rollback")
        assert none.status == 2
        assert f"there is no good release before {bare.current}" in none.of("failure")[0]["message"]
        assert serves(bare, "1.0.0")
        # A deploy after that goes on from there.
        deployed(quick, "1.3.0")
        assert marks(quick)["1.0.0"] == ["rollback target"]

    def test_to_a_release_takes_the_beginning_of_its_id(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0", "1.1.0", "2.0.0")
        forth = quick.run("rollback", "--to", "1.0")
        assert (forth.status, serves(bare, "1.0.0")) == (0, True), forth.text
        before = bare.sh("cat /opt/shop/ledger.jsonl")
        for wanted, said in (("1.", "could be any of 1.0.0-"), ("3.0", "no releases on")):
            done = quick.run("rollback", "--to", wanted)
            assert (done.status, said in done.of("failure")[0]["message"]) == (2, True), done.text
        same = quick.run("rollback", "--to", bare.current)
        assert (same.status, same.verdicts) == (0, {bare.host.name: "unchanged"})
        plan = quick.run("rollback", "--to", "2", "--plan")
        assert (plan.status, "→ 2.0.0-" in plan.of("text")[0]["text"]) == (0, True)
        assert bare.sh("cat /opt/shop/ledger.jsonl") == before
        assert serves(bare, "1.0.0")

    def test_to_a_bad_release_goes_back_again(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0")
        bad = quick.deploy("1.1.0", "boot")
        assert bad.status == 1
        done = quick.run("rollback", "--to", "1.1.0")
        assert (done.status, done.verdicts) == (1, {bare.host.name: "rolled-back"}), done.text
        assert serves(bare, "1.0.0")

    def test_to_a_pruned_release_is_refused(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0", "1.1.0", "1.2.0")
        assert quick.run("prune", "--keep", "-1").status == 2
        assert quick.run("prune", "--keep", "1").status == 0
        assert here(bare) == ["1.1.0", "1.2.0"]
        assert marks(quick)["1.0.0"] == ["pruned"]
        done = quick.run("rollback", "--to", "1.0.0")
        assert done.status == 2
        assert f"no releases on {bare.host.name} match '1.0.0'" in done.of("failure")[0]["message"]


class TestPrune:
    def test_leaves_what_is_newest_committed_good_before_pinned_or_in_use(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0", "1.1.0")
        staged(quick, "1.2.0", "1.3.0", "1.4.0", "1.5.0")
        ids = {name.partition("-")[0]: name for name in bare.sh("ls /opt/shop/releases").split()}
        ambiguous = quick.run("pin", "1.")
        assert ambiguous.status == 2
        assert ids["1.2.0"] in ambiguous.of("failure")[0]["message"]
        assert quick.run("pin", "9.9.9").status == 2
        assert quick.run("pin", "1.2.0").of("pin")[0]["done"] == f"{ids['1.2.0']} pinned"
        bare.sh(
            f"systemd-run --quiet --unit=user -p WorkingDirectory=/opt/shop/releases/{ids['1.3.0']} sleep 300; "
            "mkdir /opt/shop/releases/somebodys-own"
        )
        plan = quick.run("prune", "--keep", "1", "--plan")
        assert [row["release"] for row in plan.of("prune")] == [ids["1.4.0"]], plan.text
        assert ids["1.4.0"] in bare.sh("ls /opt/shop/releases")
        done = quick.run("prune", "--keep", "1")
        assert [row["release"] for row in done.of("prune")] == [ids["1.4.0"]]
        assert here(bare) == ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.5.0", "somebodys"]
        assert marks(quick) == {
            "1.5.0": [],
            "1.4.0": ["pruned"],
            "1.3.0": [],
            "1.2.0": ["pinned"],
            "1.1.0": ["current"],
            "1.0.0": ["rollback target"],
        }
        bare.sh("systemctl stop user.service")
        for told in (f"{ids['1.2.0']} no longer pinned", "it was not pinned"):
            assert quick.run("pin", ids["1.2.0"], "--remove").of("pin")[0]["done"] == told
        # A deploy prunes by [app] keep.
        quick.app = "keep = 2"
        assert quick.write().deploy("1.6.0").status == 0
        assert here(bare) == ["1.1.0", "1.5.0", "1.6.0", "somebodys"]
        assert [entry["id"] for entry in bare.ledger if entry["event"] == "pinned"] == [ids["1.2.0"]]

    def test_leaves_what_a_rollback_would_go_to(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0", "1.1.0", "1.2.0")
        assert quick.run("rollback").status == 0
        assert quick.run("prune", "--keep", "1").status == 0
        assert here(bare) == ["1.0.0", "1.1.0"]
        assert quick.run("rollback").status == 0
        assert serves(bare, "1.0.0")


class TestLock:
    def test_refuses_a_deploy_with_its_reason_and_not_a_rollback(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0", "1.1.0")
        assert quick.run("lock").status == 2
        assert quick.run("lock", "--reason", 'the "sale"', environ={"DEPLOYER_WHO": "ada"}).status == 0
        refused = quick.deploy("1.2.0")
        assert (refused.status, refused.verdicts) == (4, {bare.host.name: "failed"}), refused.text
        message = refused.of("failure")[0]["message"]
        assert message.startswith("ada has locked shop since 20")
        assert message.endswith(': the "sale"')
        assert quick.run("status").of("status")[0]["locked"] == 'the "sale"'
        assert serves(bare, "1.1.0")

        assert quick.run("rollback").status == 0
        assert serves(bare, "1.0.0")

        rival = quick.run("lock", "--reason", "mine")
        assert (rival.status, "ada" in rival.of("note")[0]["text"]) == (4, True), rival.text
        assert quick.run("status").of("status")[0]["locked"] == 'the "sale"'
        other = quick.run("unlock")
        assert (other.status, "somebody else" in other.of("failure")[0]["message"]) == (4, True)
        assert "locked by ada since" in other.of("note")[0]["text"]
        assert quick.deploy("1.2.0").status == 4
        assert quick.run("unlock", "--force").status == 0
        assert quick.deploy("1.2.0").status == 0
        assert quick.run("lock", "--reason", "mine").status == 0
        assert quick.run("unlock").status == 0
        said = [(entry["event"], entry["who"]) for entry in bare.ledger if "lock" in entry["event"]]
        assert said == [("locked", "ada"), ("unlocked", "tester"), ("locked", "tester"), ("unlocked", "tester")]

    @pytest.mark.usefixtures("bare")
    def test_with_an_end_ends_by_itself(self, quick: Project) -> None:
        deployed(quick, "1.0.0")
        assert quick.run("lock", "--reason", "lunch", "--until", "6s").status == 0
        assert quick.deploy("1.1.0").status == 4
        wait_for(lambda: quick.run("status").of("status")[0]["locked"] is None)
        assert quick.deploy("1.1.0").status == 0

    def test_that_comes_after_the_plan_is_seen_by_the_host(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0", "1.1.0")
        old = bare.sh("ls /opt/shop/releases | grep ^1.0.0")
        launch = f"/opt/shop/releases/{old}/.deployer/activate launch t1"
        assert quick.run("lock", "--reason", "lunch").status == 0
        for words, code in ((f"{bare.current} deploy", "frozen"), (f"{old} rollback", "stale")):
            said = bare.sh(f"{launch} {words} 5 no me || true")
            assert json.loads(said.splitlines()[-1].removeprefix("error "))["code"] == code, said
        assert serves(bare, "1.1.0")


class TestByHand:
    def test_an_administrator_goes_back_without_a_client(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0", "1.1.0")
        old = bare.sh("ls /opt/shop/releases | grep ^1.0.0")
        # More than are kept, for all that is known on the host alone.
        bare.sh(f"cd /opt/shop/releases; for n in 1 2 3 4 5 6; do cp -a {old} 0.$n.0-aaaaaaaa; done")
        program = f"/opt/shop/releases/{old}/.deployer/activate"
        said = bare.sh(f"runuser -u deploy -- sudo {program}")
        assert said.splitlines()[-1] == f"changed; committed: {old}", said
        assert serves(bare, "1.0.0")
        assert (bare.ledger[-1]["who"], bare.ledger[-1]["why"]) == (f"deploy, by hand on {bare.host.name}", "rollback")
        assert len(here(bare)) == 8

    def test_a_bad_one_goes_back_and_says_why(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0")
        assert quick.deploy("1.1.0", "boot", "--no-activate").status == 0
        bad = bare.sh("ls /opt/shop/releases | grep ^1.1.0")
        said = bare.sh(f"/opt/shop/releases/{bad}/.deployer/activate 2>&1 || echo status $?").splitlines()
        assert said[-1] == "status 1", said
        assert re.fullmatch(
            rf"rolled-back: it exited with status 255, \d\.\d s after its start; committed: {bare.current}", said[-2]
        ), said
        assert serves(bare, "1.0.0")

    def test_says_why_it_does_not_begin(self, quick: Project, bare: OnHost) -> None:
        deployed(quick, "1.0.0")
        program = f"/opt/shop/releases/{bare.current}/.deployer/activate"
        bare.sh("systemd-run --quiet --unit=deployer-shop.service sleep 300")
        said = bare.sh(f"{program} 2>&1 || echo status $?").splitlines()
        bare.sh("systemctl stop deployer-shop.service")
        assert said == ["another activation of shop is under way", "status 1"]
