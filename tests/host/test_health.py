"""Each health check on a real host: what passes, what does not, and what is said of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.host.project import SERVER, OnHost, Project, wait_for

TIMES = 'settle = "500ms"\ntimeout = "2s"\ninterval = "200ms"\ncheck_timeout = "1s"'

UNIX_SERVER = (
    "#!/usr/bin/perl\nuse IO::Socket::UNIX;"
    "my $socket = IO::Socket::UNIX->new(Local => '/run/shop/app.sock', Listen => 9) or die $!;"
    "{} $SIG{{TERM}} = sub {{ exit 0 }}; sleep 1 while 1;"
)

# Answers its third request with 500, and tells the moment of each.
FLAKY_SERVER = (
    "#!/usr/bin/perl\n$| = 1; use IO::Socket::INET; use Time::HiRes 'time'; my $n = 0; $SIG{TERM} = sub { exit 0 };"
    "my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 4000, Listen => 9, ReuseAddr => 1);"
    "while (1) { my $client = $socket->accept or next; while (<$client>) { last if /^\\r?\\n$/ }"
    "my $status = ++$n == 3 ? 500 : 200; printf qq(request %d %.2f %d\\n), $n, time, $status;"
    "print $client qq(HTTP/1.0 $status Any\\r\\n\\r\\n\\r\\nok 1.0.0\\n); close $client }"
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check as `[health]` has it: what passes with a good server, and what does not, with what is said then."""

    passes: str
    fails: str
    why: str
    server: str = ""
    bad_server: str = ""


CHECKS = {
    "one of several statuses": Check(
        passes='http = "http://127.0.0.1:4000/"\nstatus = [204, 200]',
        fails='http = "http://127.0.0.1:4000/x?y=1"\nstatus = [201, 204]',
        why="http://127.0.0.1:4000/x?y=1 answered 200, not 201 or 204",
    ),
    "a text in the body": Check(
        passes='http = "http://localhost:4000"\nbody = "ok 1."',
        fails='http = "http://localhost:4000"\nbody = "fine"',
        why="http://localhost:4000/ answered 200, but without the text that health.body asks for",
    ),
    "a name that does not resolve": Check(
        passes='http = "http://localhost:4000/"',
        fails='http = "http://nowhere.invalid:4000/"',
        why="http://nowhere.invalid:4000/: ",
    ),
    "an answer in words that bash might use": Check(
        passes='http = "http://127.0.0.1:4000/"',
        fails='http = "http://127.0.0.1:4000/"',
        why="http://127.0.0.1:4000/: the answer is not HTTP",
        bad_server=SERVER.replace(
            'print $client "',
            r'print $client "/dev/tcp/127.0.0.1/4000: Connection refused\r\n"; close $client; next; "',
        ),
    ),
    "a TCP port": Check(
        passes="tcp = 4000", fails='tcp = "127.0.0.1:4001"', why="nothing accepts connections on 127.0.0.1 port 4001"
    ),
    "a Unix socket": Check(
        passes='unix = "/run/shop/app.sock"',
        fails='unix = "/run/shop/app.sock"',
        why="nobody listens on the socket /run/shop/app.sock",
        server=UNIX_SERVER.format(""),
        # The file stays behind.
        bad_server=UNIX_SERVER.format("close $socket; -S '/run/shop/app.sock' or die;"),
    ),
    "a command as the service": Check(
        passes='command = "test -x bin/server && test $(id -un) = app && test $GREETING = hello && ! touch /etc/x"',
        fails='command = "exit 4"',
        why="the health command ended with status 4: exit 4",
    ),
    "a command that hangs": Check(
        passes='command = "sleep 0.5"',
        fails='command = "sleep 60"',
        why="the health command did not end within 1 s: sleep 60",
    ),
    "every check that is set": Check(
        passes='tcp = 4000\ncommand = "true"',
        fails='tcp = 4000\ncommand = "false"',
        why="the health command ended with status 1: false",
    ),
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_a_check_lets_a_good_release_pass_and_tells_what_a_bad_one_lacks(
    project: Project, bare: OnHost, check: Check
) -> None:
    project.health = f"{check.passes}\n{TIMES}"
    files = {"bin/server": check.server.encode()} if check.server else None
    good = project.write().deploy("1.0.0", files=files)
    assert (good.status, bare.current[:6]) == (0, "1.0.0-"), good.text

    project.health = f"{check.fails}\n{TIMES}"
    files = {"bin/server": check.bad_server.encode()} if check.bad_server else files
    bad = project.write().deploy("1.1.0", files=files)
    assert (bad.status, bad.summary["hosts"][0]["verdict"], bare.current[:6]) == (1, "rolled-back", "1.0.0-"), bad.text
    assert f"not healthy within 2 s: {check.why}" in bad.of("failure")[0]["message"]
    assert any(event["text"].startswith(check.why) for event in bad.of("phase_started") if event["phase"] == "health")
    assert bare.is_settled()
    assert bare.is_consistent()


def test_a_check_that_fails_once_in_between_starts_the_settle_time_anew(project: Project, bare: OnHost) -> None:
    project.health = 'http = "http://127.0.0.1:4000/"\nsettle = "2s"\ntimeout = "9s"\ninterval = "300ms"'
    done = project.write().deploy("1.0.0", files={"bin/server": FLAKY_SERVER.encode()})
    assert done.status == 0, done.text
    said = bare.sh("journalctl -u shop.service -o cat | grep request")
    requests = [(float(at), status) for at, status in re.findall(r"request \d+ (\S+) (\d+)", said)]
    failed = next(at for at, status in requests if status == "500")
    assert requests[-1][0] - failed >= 2.0, requests
    assert any(event["text"] == "http://127.0.0.1:4000/ answered 500, not 200" for event in done.of("phase_started")), (
        done.text
    )


def test_status_tells_what_a_running_service_lacks(project: Project, bare: OnHost) -> None:
    project.health = f'command = "test ! -e /var/lib/shop/sick"\n{TIMES}'
    assert project.write().deploy("1.0.0").status == 0
    assert project.run("status").of("status")[0]["health"] == "ok"
    bare.sh("touch /var/lib/shop/sick")
    row = project.run("status").of("status")[0]
    assert row["health"] == "the health command ended with status 1: test ! -e /var/lib/shop/sick"
    assert row["state"] == "active (running)"
    assert bare.is_settled()


def test_a_look_at_the_status_does_not_disturb_an_activation(project: Project, bare: OnHost) -> None:
    # Long enough that the looks and the checks of the activation are sure to meet.
    project.health = 'command = "sleep 0.8"\nsettle = "3s"\ntimeout = "20s"\ninterval = "100ms"'
    assert project.write().deploy("1.0.0").status == 0
    with project.start("deploy", "--artifact", str(project.tarball("1.1.0")), "--host", bare.host.name) as client:
        wait_for(lambda: bare.version == "1.1.0")
        for _ in range(2):
            assert project.run("status").of("status")[0]["health"] == "ok"
        assert bare.sh("test -e /run/systemd/system.control/shop.service && echo on trial") == "on trial"
        output = client.communicate(timeout=60)[0]
    assert client.returncode == 0, output
    assert "health command" not in output.replace("the health checks", "")
    assert bare.current.startswith("1.1.0-")
