"""A deploy to a real host, and what becomes of releases that are bad in the ways that releases are bad."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from deployer.sandbox import SUITES
from tests.host.project import Done, OnHost, Project

pytestmark = pytest.mark.parametrize("suite", SUITES, indirect=True)

PERL = "#!/usr/bin/perl\n"


def script(text: str) -> dict[str, bytes]:
    """A release whose server is this."""
    return {"bin/server": text.encode()}


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A way to be bad. `cause` is a pattern for what is said of it, `evidence` one for its journal.

    Times are as the host program saw them: a moment after the fact, and from a moment after the start.
    """

    cause: str
    evidence: str
    brk: str = ""
    files: str = ""
    service: str = ""
    health: str = ""


# A second of serving is long enough to be seen, and too short for the settle time.
SERVES_SHORTLY = (
    f"{PERL}$| = 1; use IO::Socket::INET; print qq(up\\n);"
    "my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 4000, Listen => 9, ReuseAddr => 1);"
    "$SIG{ALRM} = sub { die qq(gone again\\n) }; alarm 1;"
    "while (1) { my $client = $socket->accept or next; while (<$client>) { last if /^\\r?\\n$/ }"
    "print $client qq(HTTP/1.0 200 OK\\r\\n\\r\\nok\\n); close $client }"
)

BAD = {
    "dies at boot": Bad(brk="boot", cause=r"it exited with status 255, \d\.\d s", evidence="cannot boot: no database"),
    "dies after three seconds": Bad(
        brk="crash",
        health='settle = "5s"\ntimeout = "9s"',
        cause=r"it exited with status \d+, [2-5]\.\d s after its start",
        evidence="crashed after three seconds",
    ),
    "crash-loops": Bad(
        files=SERVES_SHORTLY,
        service='restart = "always"\nrestart_delay = "0s"',
        health='settle = "3s"\ntimeout = "8s"',
        cause=r"it died and was restarted by systemd \(exited, status=\d+/\w+\), within \d\.\d s of its start",
        evidence="gone again",
    ),
    "never opens its port": Bad(
        brk="noport",
        health='timeout = "2s"',
        cause=r"not healthy within 2 s: http://127\.0\.0\.1:4000/: connection refused",
        evidence="shop 2.0.0 starts",
    ),
    "answers 500": Bad(
        brk="500",
        health='timeout = "2s"',
        cause=r"not healthy within 2 s: http://127\.0\.0\.1:4000/ answered 500, not 200",
        evidence="shop 2.0.0 starts",
    ),
    "accepts and never answers": Bad(
        brk="hang",
        health='timeout = "2s"\ncheck_timeout = "1s"',
        cause=r"not healthy within 2 s: http://127\.0\.0\.1:4000/: no answer within 1 s",
        evidence="shop 2.0.0 starts",
    ),
    "ends by itself": Bad(
        files=f"{PERL}print qq(nothing to do\\n);",
        cause=r"it ended by itself with status 0, \d\.\d s after its start",
        evidence="nothing to do",
    ),
    "is killed": Bad(
        files=f"{PERL}$| = 1; print qq(out of luck\\n); kill KILL => $$; sleep 9;",
        cause=r"it was ended by signal KILL, \d\.\d s after its start",
        evidence="out of luck",
    ),
    "cannot be executed": Bad(
        files="#!/nowhere/interpreter\n", cause=r"it could not be executed: status 203/EXEC", evidence="status=203/EXEC"
    ),
    "has a sandbox that cannot be made": Bad(
        service='directives = { ReadWritePaths = "/nowhere/at/all" }',
        cause=r"it could not be executed: status 226/NAMESPACE",
        evidence="/nowhere/at/all",
    ),
}


def spoiled(project: Project, bad: Bad) -> Done:
    """Deploy a bad 2.0.0."""
    project.service += f"\n{bad.service}"
    for line in bad.health.splitlines():
        key = line.partition(" ")[0]
        project.health = "\n".join(
            [*(each for each in project.health.splitlines() if not each.startswith(f"{key} ")), line]
        )
    return project.write().deploy("2.0.0", bad.brk, files=script(bad.files) if bad.files else None)


@pytest.fixture
def serving(project: Project, on_host: OnHost) -> OnHost:
    """A host on which 1.0.0 serves, as every bad deploy must leave it."""
    if on_host.version != "1.0.0" or not on_host.is_settled():
        on_host.clear()
        assert project.deploy("1.0.0").status == 0
    return on_host


def test_a_release_is_deployed_upgraded_and_rolled_back(project: Project, bare: OnHost) -> None:
    first = project.deploy("1.0.0")
    assert (first.status, bare.version) == (0, "1.0.0")
    assert bare.is_settled()
    assert bare.is_consistent()
    assert bare.sh("systemctl is-enabled shop.service") == "enabled"

    project.env = 'set = { GREETING = "salut" }'
    second = project.write().deploy("1.1.0")
    assert (second.status, bare.version) == (0, "1.1.0")
    assert any("GREETING=salut" in line["message"] or "***" in line["message"] for line in second.of("journal"))

    back = project.run("rollback")
    assert (back.status, bare.version) == (0, "1.0.0")
    assert "hello" in bare.sh("cat /etc/default/shop.env")
    assert bare.is_settled()
    assert bare.is_consistent()
    assert [entry["event"] for entry in bare.ledger if entry["event"] in ("good", "bad")] == ["good"] * 3


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_release_is_gone_back_from_that(project: Project, serving: OnHost, bad: Bad) -> None:
    before = serving.current
    done = spoiled(project, bad)
    row = done.summary["hosts"][0]
    assert (done.status, row["verdict"], row["release"]) == (1, "rolled-back", before), done.text

    assert serving.version == "1.0.0"
    assert serving.current == before
    assert serving.is_settled()
    assert serving.is_consistent()
    assert serving.unit("NRestarts") == "0"

    failure = done.of("failure")[0]
    assert re.search(bad.cause, failure["message"]), failure
    assert failure["message"].endswith(f"{serving.host.name} is back on {before}")
    assert any(bad.evidence in line for line in failure["evidence"]), failure
    # What comes after it is pruning.
    entry = [entry for entry in serving.ledger if entry["event"] != "pruned"][-1]
    assert (entry["event"], entry["end"], entry["id"].startswith("2.0.0-")) == ("bad", "rolled-back", True)
    assert re.search(bad.cause, entry["cause"])

    logs = project.run("logs", "--deploy", entry["id"], "--host", serving.host.name)
    assert logs.status == 0
    assert any(bad.evidence in line["message"] for line in logs.of("journal")), logs.text


def test_a_unit_that_the_host_does_not_accept_is_never_started(project: Project, serving: OnHost) -> None:
    process = serving.unit("MainPID")
    project.service += '\ndirectives = { MemoryMaximum = "1G" }'
    done = project.write().deploy("2.1.0")
    assert (done.status, done.summary["hosts"][0]["verdict"]) == (1, "failed")
    message = done.of("failure")[0]["message"]
    assert "systemd on this host does not accept the unit" in message
    assert re.search(r"Unknown key (name )?'MemoryMaximum'", message), message
    # It lies there all the same, and a rollback may name any release.
    back = project.run("rollback", "--to", "2.1.0")
    assert (back.status, back.summary["hosts"][0]["verdict"]) == (1, "failed"), back.text
    assert "systemd on this host does not accept the unit" in back.of("failure")[0]["message"]
    assert (serving.unit("MainPID"), serving.version) == (process, "1.0.0")
    assert serving.is_settled()


def test_a_refused_template_is_named_with_its_own_line(project: Project, serving: OnHost) -> None:
    template = project.config.with_name("my.service")
    template.write_text(
        "[Service]\nExecStart={{release}}/bin/server\nEnvironmentFile={{env_file}}\nType=forever\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    project.service = 'template = "my.service"'
    failed, checked = project.write().deploy("2.1.0"), project.run("check")
    failure = failed.of("failure")[0]
    (row,) = [row for row in checked.of("check") if row["check"] == "unit"]
    assert (failed.status, checked.status, row["ok"]) == (1, 1, False)
    assert "my.service:4: Failed to parse" in failure["message"]
    assert row["text"].startswith("my.service:4: Failed to parse")
    assert "shop.service:" not in failure["message"] + row["text"]
    assert f"correct {template} (" in failure["hint"]
    assert row["next"] == f"correct {template}"
    assert serving.is_settled()


def test_a_migration_that_fails_leaves_the_service_alone(project: Project, serving: OnHost) -> None:
    process, before = serving.unit("MainPID"), serving.current
    project.service += """\nmigrate = ["true", "echo cannot reach the database >&2; exit 3", "touch /run/shop/never"]"""
    done = project.write().deploy("2.2.0")
    row = done.summary["hosts"][0]
    assert (done.status, row["verdict"], row["release"]) == (1, "failed", before)
    failure = done.of("failure")[0]
    assert "the migration ended with status 3: echo cannot reach" in failure["message"]
    assert failure["message"].endswith(f"{serving.host.name} still serves {before}")
    assert any("cannot reach the database" in line for line in failure["evidence"]), failure
    assert any("cannot reach the database" in line["message"] for line in done.of("journal")), done.text
    assert (serving.unit("MainPID"), serving.version) == (process, "1.0.0")
    assert serving.is_settled()
    assert serving.sh("ls -A /run/shop; ls -A /run/systemd/system") == ""
    entry = [entry for entry in serving.ledger if entry["event"] != "pruned"][-1]
    assert (entry["event"], entry["end"]) == ("bad", "failed")
    logs = project.run("logs", "--deploy", entry["id"])
    assert any("cannot reach the database" in line["message"] for line in logs.of("journal")), logs.text


def test_a_migration_that_hangs_is_ended(project: Project, serving: OnHost) -> None:
    project.service += '\nmigrate = "sleep 100"\nmigrate_timeout = "1500ms"'
    done = project.write().deploy("2.3.0")
    assert (done.status, serving.version) == (1, "1.0.0")
    assert "the migration did not end within 1.5 s: sleep 100" in done.of("failure")[0]["message"], done.text


def test_a_migration_sees_what_the_service_sees(project: Project, bare: OnHost) -> None:
    look = (
        'echo "$GREETING|${ODD}|$(id -un)|$PWD|$0" >/var/lib/shop/seen; '
        "touch /etc/seen 2>/dev/null || echo read-only >>/var/lib/shop/seen; ls bin >>/var/lib/shop/seen"
    )
    project.service += f"\nmigrate = '''{look}'''"
    project.env = """set = { GREETING = "hello", ODD = 'a "b" $(id) `id` ${HOME} \\ c' }"""
    done = project.write().deploy("1.0.0")
    assert (done.status, bare.version) == (0, "1.0.0"), done.text
    assert bare.sh("cat /var/lib/shop/seen").splitlines() == [
        f'hello|a "b" $(id) `id` ${{HOME}} \\ c|app|/opt/shop/releases/{bare.current}|/bin/sh',
        "read-only",
        "server",
    ]
    assert bare.is_settled()
    assert bare.is_consistent()


def test_an_old_release_that_ignores_its_stop_does_not_hold_up_the_next(project: Project, bare: OnHost) -> None:
    project.service += '\nstop_timeout = "2s"'
    assert project.write().deploy("1.0.0", "stubborn").status == 0
    old = bare.unit("MainPID")
    done = project.deploy("1.1.0")
    assert (done.status, bare.version) == (0, "1.1.0"), done.text
    # Its own time limit, and not the 30 s that hold without one.
    assert done.summary["hosts"][0]["took_s"] < 25
    assert bare.sh(f"test -d /proc/{old} || echo gone; pgrep -u app -c") == "gone\n1"
    assert bare.is_settled()
    assert bare.is_consistent()
    assert "Killing" in bare.sh("journalctl -u shop.service")


class TestFirstDeploy:
    """The very first deploy of an app is bad: there is nothing to go back to."""

    @pytest.mark.parametrize("brk", ["boot", "noport-stubborn"])
    def test_leaves_nothing_installed_and_a_good_one_works(self, project: Project, bare: OnHost, brk: str) -> None:
        project.health = project.health.replace('timeout = "8s"', 'timeout = "2s"')
        project.service += '\nstop_timeout = "1s"'
        stubborn = script(f"{PERL}$SIG{{TERM}} = 'IGNORE'; sleep 1 while 1;")
        done = project.write().deploy("1.0.0", brk, files=stubborn if brk == "noport-stubborn" else None)
        row = done.summary["hosts"][0]
        assert (done.status, row["verdict"], row["release"]) == (1, "stopped", ""), done.text
        assert row["took_s"] < 20
        message = done.of("failure")[0]["message"]
        assert message.endswith(f"There was nothing to go back to: the service is stopped on {bare.host.name}"), message
        assert bare.sh("systemctl show -P LoadState -P ActiveState shop.service").split() == ["not-found", "inactive"]
        assert (
            bare.sh("ls /etc/systemd/system/*shop* /etc/systemd/system/*/*shop* /etc/default/shop* 2>&1 || true").count(
                "No such file"
            )
            == 3
        )
        assert bare.sh("pgrep -u app || true") == ""
        assert (bare.current, bare.ledger[-1]["end"]) == ("", "stopped")
        assert bare.is_settled()

        good = project.deploy("1.0.1")
        assert (good.status, bare.version) == (0, "1.0.1"), good.text
        assert bare.is_consistent()

    def test_with_a_failing_migration_starts_nothing(self, project: Project, bare: OnHost) -> None:
        project.service += '\nmigrate = "exit 7"'
        done = project.write().deploy("1.0.0")
        assert (done.status, done.summary["hosts"][0]["verdict"]) == (1, "failed")
        message = done.of("failure")[0]["message"]
        assert message.endswith(f"Nothing was started on {bare.host.name}"), message
        assert bare.sh("systemctl show -P LoadState shop.service") == "not-found"
