"""What is there already: the same release again, what a person changed on the host, and who may read what."""

from __future__ import annotations

import pytest

from tests.host.project import OnHost, Project

QUICK = 'tcp = 4000\nsettle = "300ms"\ntimeout = "5s"\ninterval = "100ms"'


@pytest.fixture
def deployed(project: Project, bare: OnHost) -> OnHost:
    """A host on which 1.0.0 serves."""
    project.health = QUICK
    assert project.write().deploy("1.0.0").status == 0
    return bare


def drift(project: Project) -> list[str]:
    return project.run("status").of("status")[0]["drift"] or []


def phases(done_events: list[dict[str, str]]) -> list[str]:
    return [event["phase"] for event in done_events]


class TestSameTarball:
    def test_and_all_else_the_same_changes_nothing(self, project: Project, deployed: OnHost) -> None:
        process, ledger = deployed.unit("MainPID"), deployed.sh("cat /opt/shop/ledger.jsonl")
        done = project.deploy("1.0.0")
        assert (done.status, done.verdicts) == (0, {deployed.host.name: "unchanged"}), done.text
        assert (deployed.unit("MainPID"), deployed.sh("cat /opt/shop/ledger.jsonl")) == (process, ledger)
        assert "nothing to do" in project.run("plan", "--artifact", str(project.tarball("1.0.0"))).of("text")[0]["text"]

    def test_with_another_environment_is_a_release_of_its_own_without_an_upload(
        self, project: Project, deployed: OnHost
    ) -> None:
        first = deployed.current
        project.env = 'set = { GREETING = "salut" }'
        done = project.write().deploy("1.0.0")
        assert (done.status, deployed.current) == (0, f"{first}.2"), done.text
        # Before the hosts are asked nobody knows their ids for it: it goes by its version.
        assert done.of("note")[0]["text"].startswith("shop 1.0.0 (kind exec, ")
        assert "upload" not in phases(done.of("phase_started"))
        assert not done.of("progress")
        inodes = deployed.sh(
            f"stat -c %i /opt/shop/releases/{first}/bin/server /opt/shop/releases/{first}.2/bin/server"
        )
        assert len(set(inodes.split())) == 1
        assert "salut" in deployed.sh("cat /etc/default/shop.env")
        assert "hello" in deployed.sh(f"cat /opt/shop/releases/{first}/.deployer/env")
        assert deployed.is_consistent()
        # The environment of before is the release of before.
        project.env = 'set = { GREETING = "hello" }'
        back = project.write().deploy("1.0.0")
        assert (back.status, deployed.current) == (0, first)
        assert "copy" not in phases(back.of("phase_started"))
        assert deployed.is_consistent()

    def test_under_another_version_is_a_release_of_its_own_without_an_upload(
        self, project: Project, deployed: OnHost
    ) -> None:
        promoted = project.tarball("1.0.0").rename(project.directory / "shop-1.0.1.tar.gz")
        done = project.run("deploy", "--artifact", str(promoted))
        assert (done.status, deployed.current.rpartition("-")[0]) == (0, "1.0.1"), done.text
        assert "upload" not in phases(done.of("phase_started"))
        assert deployed.is_consistent()
        assert project.deploy("1.0.0").status == 0
        assert deployed.current.rpartition("-")[0] == "1.0.0"

    def test_over_a_stopped_service_starts_it(self, project: Project, deployed: OnHost) -> None:
        assert project.run("stop").status == 0
        assert deployed.unit("ActiveState") == "inactive"
        done = project.deploy("1.0.0")
        assert (done.status, done.verdicts, deployed.version) == (0, {deployed.host.name: "changed"}, "1.0.0")
        assert "upload" not in phases(done.of("phase_started"))
        assert deployed.is_settled()
        assert deployed.is_consistent()


class TestEdited:
    @pytest.mark.parametrize(
        ("path", "line", "drifted"),
        [
            ("/etc/default/shop.env", "THEIRS=1", "the environment file is edited"),
            ("/etc/systemd/system/shop.service", "# theirs", "the unit file is edited"),
        ],
    )
    def test_is_said_and_a_copy_is_kept(
        self, project: Project, deployed: OnHost, path: str, line: str, drifted: str
    ) -> None:
        deployed.sh(f"echo '{line}' >>{path}; systemctl daemon-reload")
        assert drift(project) == [drifted]
        plan = project.run("plan", "--artifact", str(project.tarball("1.0.0"))).of("text")[0]["text"]
        assert f"{path} was edited on the host; it will be replaced, and a copy kept in /opt/shop/replaced" in plan, (
            plan
        )
        if path.endswith(".env"):
            assert "removed: THEIRS" in plan
        # A bad deploy leaves it as it is.
        bad = project.deploy("1.1.0", "boot")
        assert (bad.status, bad.verdicts) == (1, {deployed.host.name: "rolled-back"})
        assert deployed.sh(f"tail -n 1 {path}") == line

        done = project.deploy("1.0.0")
        assert done.status == 0
        assert any(f"{path} was edited on the host" in note["text"] for note in done.of("note")), done.text
        copies = deployed.sh("ls /opt/shop/replaced").split()
        assert copies
        for copy in copies:
            assert deployed.sh(f"tail -n 1 /opt/shop/replaced/{copy}; stat -c %a /opt/shop/replaced/{copy}").split(
                "\n"
            ) == [line, "600"]
        assert drift(project) == []
        assert deployed.is_consistent()


class TestMissing:
    def test_a_unit_that_was_disabled_by_hand_is_said_and_enabled_again(
        self, project: Project, deployed: OnHost
    ) -> None:
        deployed.sh("systemctl disable --quiet shop.service")
        assert drift(project) == ["the unit is disabled, so it would not start at boot"]
        done = project.deploy("1.0.0")
        assert done.status == 0
        assert any("would not start at boot" in note["text"] for note in done.of("note"))
        assert deployed.sh("systemctl is-enabled shop.service") == "enabled"
        assert drift(project) == []

    def test_files_that_are_gone_come_back_with_the_release_of_before(self, project: Project, deployed: OnHost) -> None:
        deployed.sh("rm /etc/default/shop.env /etc/systemd/system/shop.service")
        assert drift(project)[:2] == ["the unit file is missing", "the environment file is missing"]
        bad = project.deploy("1.1.0", "boot")
        assert (bad.status, bad.verdicts, deployed.version) == (1, {deployed.host.name: "rolled-back"}, "1.0.0")
        assert deployed.is_settled()
        assert deployed.is_consistent()

    def test_a_committed_release_that_is_gone_is_said_and_staged_anew(self, project: Project, deployed: OnHost) -> None:
        gone = deployed.current
        deployed.sh(f"rm -rf /opt/shop/releases/{gone}")
        assert f"the committed release {gone} is no longer on the host" in drift(project)
        done = project.deploy("1.0.0")
        assert (done.status, deployed.version, deployed.current) == (0, "1.0.0", f"{gone}.2"), done.text
        assert "upload" in phases(done.of("phase_started"))
        assert deployed.is_settled()
        assert deployed.is_consistent()
        assert drift(project) == []

    def test_a_bad_deploy_over_a_release_that_is_gone_needs_a_person(self, project: Project, deployed: OnHost) -> None:
        gone = deployed.current
        deployed.sh(f"rm -rf /opt/shop/releases/{gone}")
        done = project.deploy("1.1.0", "boot")
        assert (done.status, done.verdicts) == (3, {deployed.host.name: "needs-person"}), done.text
        assert f"the release {gone} is no longer there" in done.of("failure")[0]["message"]
        assert deployed.is_settled()


def test_everything_is_readable_for_those_who_need_it_and_nobody_else(project: Project, bare: OnHost) -> None:
    project.health = QUICK
    done = project.write().deploy("1.0.0", files={"data/readme.txt": b"text"})
    assert done.status == 0
    # A bad one, for its evidence.
    project.deploy("1.1.0", "boot")
    release = f"/opt/shop/releases/{bare.current}"
    modes = dict(
        line.split(" ", 1)
        for line in bare.sh(
            f"stat -c '%n %a %U:%G' /opt/shop /opt/shop/releases /opt/shop/incoming /opt/shop/ledger.jsonl {release} "
            f"{release}/bin {release}/bin/server {release}/data {release}/.deployer {release}/.deployer/* "
            "/etc/default/shop.env /etc/systemd/system/shop.service /etc/systemd/system/deployer-recover@shop.service "
            "/run/shop /var/lib/shop"
        ).splitlines()
    )
    assert modes == {
        "/opt/shop": "755 root:root",
        "/opt/shop/releases": "755 root:root",
        "/opt/shop/incoming": "700 root:root",
        "/opt/shop/ledger.jsonl": "600 root:root",
        release: "750 root:app",
        f"{release}/bin": "755 root:root",
        f"{release}/bin/server": "755 root:root",
        f"{release}/data": "755 root:root",
        f"{release}/.deployer": "700 root:root",
        f"{release}/.deployer/activate": "700 root:root",
        **{
            f"{release}/.deployer/{name}": "600 root:root"
            for name in (
                "committed.service",
                "digest",
                "env",
                "files.gz",
                "identity",
                "manifest.json",
                "one-off.conf",
                "settings",
                "trial.service",
            )
        },
        "/etc/default/shop.env": "600 root:root",
        "/etc/systemd/system/shop.service": "644 root:root",
        "/etc/systemd/system/deployer-recover@shop.service": "644 root:root",
        "/run/shop": "750 app:app",
        "/var/lib/shop": "750 app:app",
    }
    # What it comes to: the service reads its tree and writes none of it, and its evidence is root's.
    assert bare.sh(f"runuser -u app -- cat {release}/data/readme.txt") == "text"
    assert bare.sh("runuser -u app -- find /var/lib/shop /opt/shop -not -type l -writable 2>/dev/null || true") == (
        "/var/lib/shop"
    )
    assert bare.sh("runuser -u deploy -- ls /opt/shop/releases/*/bin 2>&1 || true").count("Permission denied") == 2
    assert bare.sh(
        "stat -c '%a %U' /opt/shop/releases/*/.deployer/evidence /opt/shop/releases/*/.deployer/evidence/*"
    ).split("\n") == ["700 root", "600 root", "600 root"]
