"""Units on real hosts: under awkward names, from a template of the user's own, and over somebody else's."""

from __future__ import annotations

import pytest

from deployer.sandbox import SUITES
from tests.host.project import OnHost, Project, wait_for

# The well-known unit of a Phoenix application, its paths replaced by placeholders and nothing else.
SOURCE = """\
[Unit]
Description=Runner for My Phoenix App
After=network.target

[Service]
WorkingDirectory={{release}}
EnvironmentFile={{env_file}}
ExecStart={{release}}/bin/my_phoenix_app start
ExecStop={{release}}/bin/my_phoenix_app stop
User={{user}}
RemainAfterExit=yes

[Install]
WantedBy=multi-user.target
"""

# As an old release does it: "start" puts the server into the background and is done, "stop" ends it.
DAEMON = """\
#!/bin/sh
pid=/tmp/my_phoenix_app.pid
case $1 in
    start) sleep 0.5; setsid bin/server </dev/null & echo $! >$pid; sleep 0.3 ;;
    stop) echo stopping $(cat $pid); kill $(cat $pid) ;;
esac
"""

FOREIGN = """\
[Unit]
Description=Somebody's own

[Service]
EnvironmentFile=/etc/default/shop.env
ExecStart=/usr/bin/perl -MIO::Socket::INET -e ' my $s = IO::Socket::INET->new(LocalAddr => q(127.0.0.1), LocalPort => 4000, \
Listen => 9, ReuseAddr => 1); while (my $c = $s->accept) { print $c qq(ok foreign $ENV{WHOSE}\\n); close $c }'

[Install]
WantedBy=multi-user.target
"""


def enabled(host: OnHost) -> str:
    return host.sh(f"systemctl is-enabled '{host.project.name}.service' 2>/dev/null || true")


class TestNames:
    """Everything works whatever the app is called."""

    @pytest.mark.parametrize("suite", SUITES, indirect=True)
    @pytest.mark.parametrize("name", ["shop-run-api", "shop.example", "web@blue"])
    def test_all_that_is_done_to_an_app_works_under_that_name(self, project: Project, bare: OnHost, name: str) -> None:
        project.name = name
        project.service += '\nmigrate = "echo migrated"'
        project.app = "keep = 2"
        project.health += '\ncommand = "true"'
        project.write()
        first = project.deploy("1.0.0")
        assert (first.status, bare.version, enabled(bare)) == (0, "1.0.0", "enabled"), first.text
        assert any(line["message"] == "migrated" for line in first.of("journal")), first.text
        assert bare.is_settled()
        assert bare.is_consistent()

        bad = project.deploy("1.1.0", "boot")
        assert (bad.status, bad.summary["hosts"][0]["verdict"], bare.version) == (1, "rolled-back", "1.0.0"), bad.text
        assert any("cannot boot" in line for line in bad.of("failure")[0]["evidence"])
        assert bare.is_settled()
        assert bare.is_consistent()

        assert project.deploy("1.2.0").status == 0
        back = project.run("rollback")
        assert (back.status, bare.version) == (0, "1.0.0"), back.text
        ran = project.run("run", "id -un; echo $GREETING")
        assert [line["text"] for line in ran.of("command")] == ["app", "hello"], ran.text
        pruned = project.run("prune", "--keep", "1")
        assert pruned.status == 0, pruned.text
        assert bare.current in bare.sh(f"ls /opt/{name}/releases")
        assert project.run("status").of("status")[0]["health"] == "ok"
        assert project.run("restart").status == 0
        assert any("starts" in line["message"] for line in project.run("logs").of("journal"))
        assert bare.is_settled()
        assert bare.is_consistent()

    @pytest.mark.parametrize("name", ["shop-run-api", "web@blue"])
    def test_the_boot_guard_of_that_name_finishes_a_commit(self, project: Project, bare: OnHost, name: str) -> None:
        project.name = name
        project.write()
        assert project.deploy("1.0.0").status == 0
        assert project.deploy("1.1.0").status == 0
        guard = f"deployer-recover@{name}.service"
        assert bare.sh(f"systemctl show -P Before '{guard}'").split().count(f"{name}.service") == 1
        assert bare.sh(f"readlink -f '/etc/systemd/system/multi-user.target.wants/{guard}'").endswith(guard)
        # As a power cut in the middle of the commit of 1.0.0 would have left it.
        old = bare.sh(f"ls /opt/{name}/releases | grep ^1.0.0")
        bare.sh(
            f"systemctl stop '{name}.service'; printf 'to {old}\\nfrom {bare.current}\\ntoken t1\\nwhy rollback\\nkeep 5\\n"
            f"who me\\n' >/opt/{name}/committing; systemctl start '{guard}'"
        )
        assert bare.current == old
        assert [bare.ledger[-1][key] for key in ("event", "id", "token")] == ["good", old, "t1"]
        assert project.run("status").of("status")[0]["drift"] is None
        bare.sh(f"systemctl start '{name}.service'")
        assert bare.is_settled()
        assert bare.is_consistent()

    def test_a_one_off_of_one_app_does_not_reach_into_another_of_a_similar_name(
        self, project: Project, bare: OnHost
    ) -> None:
        assert project.deploy("1.0.0").status == 0
        # Its drop-in for one-offs stays in /run.
        assert project.run("run", "true").status == 0
        bare.sh("systemctl disable --now shop.service")
        project.name = "shop-run-api"
        done = project.write().deploy("1.0.0")
        assert (done.status, bare.version) == (0, "1.0.0"), done.text


class TestTemplate:
    """The unit of the user's own, as it is written."""

    @pytest.fixture
    def phoenix(self, project: Project) -> Project:
        (project.config.parent / "my_phoenix_app.service").write_text(SOURCE)
        project.name = "my_phoenix_app"
        project.service = 'template = "my_phoenix_app.service"'
        return project.write()

    @pytest.mark.parametrize("suite", SUITES, indirect=True)
    def test_is_deployed_watched_and_gone_back_from(self, phoenix: Project, bare: OnHost) -> None:
        files = {"bin/my_phoenix_app": DAEMON.encode()}
        first = phoenix.deploy("1.0.0", files=files)
        assert (first.status, bare.version) == (0, "1.0.0"), first.text
        assert bare.unit("SubState") == "exited"
        assert (enabled(bare), bare.is_settled()) == ("enabled", True)
        unit = bare.sh("cat /etc/systemd/system/my_phoenix_app.service")
        assert f"ExecStart=/opt/my_phoenix_app/releases/{bare.current}/bin/my_phoenix_app start" in unit
        assert "EnvironmentFile=/etc/default/my_phoenix_app.env" in unit

        second = phoenix.deploy("1.1.0", files=files)
        assert (second.status, bare.version) == (0, "1.1.0"), second.text

        # systemd sees nothing of it: the unit is "active (exited)" all the time.
        phoenix.health = phoenix.health.replace('timeout = "8s"', 'timeout = "2s"')
        bad = phoenix.write().deploy("1.2.0", "boot", files=files)
        assert (bad.status, bad.summary["hosts"][0]["verdict"]) == (1, "rolled-back"), bad.text
        assert "connection refused" in bad.of("failure")[0]["message"]
        assert any("cannot boot: no database" in line for line in bad.of("failure")[0]["evidence"])
        assert (bare.version, bare.current[:5], bare.is_settled()) == ("1.1.0", "1.1.0", True)

        back = phoenix.run("rollback")
        assert (back.status, bare.version) == (0, "1.0.0"), back.text
        assert bare.sh("pgrep -u app -fc bin/server") == "1"

    @pytest.mark.usefixtures("bare")
    def test_is_told_what_its_remain_after_exit_hides(self, phoenix: Project) -> None:
        done = phoenix.run("check")
        told = [row["text"] for row in done.of("check") if row["check"] == "unit text"]
        assert any("RemainAfterExit=yes hides crashes" in text for text in told), done.text
        assert any("After=network.target does not promise" in text for text in told), done.text
        assert not [row for row in done.of("check") if row["check"] == "unit" and not row["ok"]], done.text


def test_a_unit_of_the_hosts_own_is_never_hidden_by_ours(project: Project, bare: OnHost) -> None:
    project.name = "ssh"
    before = bare.unit("FragmentPath")
    done = project.write().deploy("1.0.0")
    assert done.status == 1
    assert f"ssh.service is a unit of {bare.host.name}'s own already: {before}" in done.of("failure")[0]["message"]
    assert before.endswith("/systemd/system/ssh.service")
    assert bare.sh("ls -d /opt/ssh /etc/systemd/system/ssh.service /etc/default/ssh.env 2>/dev/null || true") == ""
    (row,) = [row for row in project.run("check").of("check") if row["check"] == "host"]
    assert (row["ok"], before in row["text"]) == (False, True)


class TestForeign:
    """Somebody's own unit and environment at our paths, before the first deploy."""

    @pytest.fixture
    def foreign(self, bare: OnHost) -> OnHost:
        bare.lab.enter(bare.host.name, f"cat >/etc/systemd/system/shop.service <<'END'\n{FOREIGN}END\n")
        bare.sh("echo WHOSE=theirs >/etc/default/shop.env; chmod 644 /etc/default/shop.env; systemctl daemon-reload")
        bare.sh("systemctl enable --now shop.service")
        wait_for(lambda: self.answer(bare) == "ok foreign theirs")
        return bare

    def answer(self, host: OnHost) -> str:
        return host.sh("timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/4000; cat <&3' 2>/dev/null || true")

    def test_is_replaced_and_a_copy_is_kept(self, project: Project, foreign: OnHost) -> None:
        plan = project.run("plan", "--artifact", str(project.tarball("1.0.0")))
        assert "/etc/systemd/system/shop.service was not written by deployer" in plan.text, plan.text
        done = project.deploy("1.0.0")
        assert (done.status, foreign.version) == (0, "1.0.0"), done.text
        notes = " ".join(note["text"] for note in done.of("note"))
        assert "/etc/systemd/system/shop.service was not written by deployer" in notes
        assert "/etc/default/shop.env was not written by deployer" in notes
        assert foreign.is_consistent()
        assert foreign.sh("stat -c '%a %U' /opt/shop/replaced /opt/shop/replaced/*").splitlines() == [
            "700 root",
            "600 root",
            "600 root",
        ]
        assert foreign.sh("cat /opt/shop/replaced/*-shop.service") == FOREIGN.strip()
        assert foreign.sh("cat /opt/shop/replaced/*-shop.env") == "WHOSE=theirs"

    @pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
    def test_is_as_it_was_after_a_bad_first_deploy(self, project: Project, foreign: OnHost, running: bool) -> None:  # noqa: FBT001
        if not running:
            foreign.sh("systemctl stop shop.service")
        done = project.deploy("1.0.0", "boot")
        assert (done.status, done.summary["hosts"][0]["verdict"]) == (1, "rolled-back"), done.text
        message = done.of("failure")[0]["message"]
        assert message.endswith(f"{foreign.host.name} is back on the shop.service that was there before"), message
        assert foreign.unit("ActiveState") == ("active" if running else "inactive")
        assert self.answer(foreign) == ("ok foreign theirs" if running else "")
        assert foreign.sh("cat /etc/systemd/system/shop.service") == FOREIGN.strip()
        assert foreign.sh("cat /etc/default/shop.env; stat -c %a /etc/default/shop.env").split() == [
            "WHOSE=theirs",
            "644",
        ]
        assert foreign.unit("FragmentPath") == "/etc/systemd/system/shop.service"
        assert (foreign.current, foreign.is_settled()) == ("", True)
