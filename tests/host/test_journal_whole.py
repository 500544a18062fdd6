"""What the journal says of a start or a stop is shown and kept, to its first line."""

from __future__ import annotations

from tests.host.project import Done, OnHost, Project

# Found before the real one by what our scripts run: a journal that is slow to begin, as on a busy host.
SLOW_JOURNALCTL = "/usr/local/sbin/journalctl"


def test_a_stop_and_a_start_show_their_journal_though_it_comes_late(project: Project, bare: OnHost) -> None:
    assert project.deploy("1.0.0").status == 0
    bare.sh(
        f"printf '#!/bin/sh\\nsleep 0.8\\nexec /usr/bin/journalctl \"$@\"\\n' >{SLOW_JOURNALCTL}; chmod 755 {SLOW_JOURNALCTL}"
    )
    try:
        stopped = project.run("stop", "--host", bare.host.name)
        started = project.run("start", "--host", bare.host.name)
    finally:
        bare.sh(f"rm -f {SLOW_JOURNALCTL}")

    said = [line["message"] for line in stopped.of("journal")]
    assert said.count("bye") == 1
    assert [line for line in said if line.startswith("Stopped shop.service")], said
    assert any("shop 1.0.0 starts" in line["message"] for line in started.of("journal"))
    assert (stopped.of("stop")[0]["state"], started.of("start")[0]["state"]) == ("inactive (dead)", "active (running)")


def test_the_evidence_of_a_failed_start_lacks_no_line(project: Project, bare: OnHost) -> None:
    assert project.deploy("1.0.0").status == 0

    assert project.deploy("1.1.0", "boot").status == 1

    kept = bare.sh("cat /opt/shop/releases/1.1.0-*/.deployer/evidence/*.journal")
    # The first of these two is the first line after the place in the journal from which on the evidence is taken.
    assert "Stopping shop.service" in kept
    assert "bye" in kept
    assert "cannot boot: no database" in kept


# Overwrites its line and knows no UTF-8, on its way up and on its way down.
ODD_SERVER = b"""#!/usr/bin/perl
use strict; use IO::Socket::INET; $| = 1;
$SIG{TERM} = sub { print "caf\\xe9 bye\\n"; exit 0 };
print "progress 1\\rprogress 2: @WORD@\\ncaf\\xe9 @WORD@\\n";
die "gone\\n" if '@WORD@' eq 'the cause';
my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 4000, Listen => 8, ReuseAddr => 1) or die;
while (my $client = $socket->accept) { <$client>; print $client "HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n" }
"""


def test_evidence_keeps_lines_that_are_no_plain_text(project: Project, bare: OnHost) -> None:
    def deploy(version: str, word: str) -> Done:
        server = ODD_SERVER.replace(b"@WORD@", word.encode())
        return project.run("deploy", "--artifact", str(project.tarball(version, files={"bin/server": server})))

    first = deploy("2.0.0", "all is well")
    assert first.status == 0, first.text
    failed = deploy("2.1.0", "the cause")
    (failure,) = failed.of("failure")
    told = [line.partition("]: ")[2] for line in failure["evidence"]]
    assert "progress 1\rprogress 2: the cause" in told, told
    assert "caf\ufffd the cause" in told
    assert not [line for line in told if "blob data" in line or "bye" in line], told
