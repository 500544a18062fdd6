"""Services that take their time: to begin, or to leave, with children that will not go when they are told to."""

from __future__ import annotations

from tests.host.project import SERVER, OnHost, Project, wait_for

QUICK = 'http = "http://127.0.0.1:4000/"\nsettle = "300ms"\ninterval = "200ms"'
START_S = 3


def server(version: str, before: str) -> dict[str, bytes]:
    """The app, with something more that it does before it listens."""
    return {
        "bin/server": SERVER.replace("@VERSION@", version).replace("my $socket =", f"{before}\nmy $socket =").encode()
    }


# As epmd of Erlang: a daemon of its own session, which heeds no signal, and leaves where another one has the port.
CHILD = r"""
unless (fork) {
    require POSIX; POSIX::setsid(); exit if fork;
    $SIG{$_} = 'IGNORE' for qw(TERM HUP INT); $0 = 'minder';
    my $own = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 4369, Listen => 9, ReuseAddr => 1) or exit 0;
    sleep 1 while 1;
}
wait;
"""


def test_a_start_that_takes_long_is_waited_for(project: Project, bare: OnHost) -> None:
    project.health = f'{QUICK}\ntimeout = "60s"'
    done = project.write().deploy("1.0.0", files=server("1.0.0", f"sleep {START_S};"))
    assert (done.status, bare.version) == (0, "1.0.0"), done.text
    assert done.summary["hosts"][0]["took_s"] > START_S
    said = [event["text"] for event in done.of("phase_started") if event["phase"] == "health"]
    assert "http://127.0.0.1:4000/: connection refused" in said, done.text

    # The same with less patience. On the way back the release of before is given its own.
    project.health = f'{QUICK}\ntimeout = "1s"'
    short = project.write().deploy("1.1.0", files=server("1.1.0", f"sleep {START_S};"))
    assert (short.status, short.verdicts) == (1, {bare.host.name: "rolled-back"}), short.text
    assert "not healthy within 1 s: http://127.0.0.1:4000/: connection refused" in short.of("failure")[0]["message"]
    assert (bare.version, bare.is_consistent(), bare.is_settled()) == ("1.0.0", True, True)


def lingering(on_host: OnHost) -> list[tuple[str, str]]:
    """The children that stay: process and release of each."""
    said = on_host.sh("for pid in $(pgrep -u app -f ^minder); do echo $pid $(readlink /proc/$pid/cwd); done")
    return [(pid, path.rpartition("/")[2]) for pid, path in map(str.split, said.splitlines())]


def test_children_that_heed_no_signal_go_with_their_release(project: Project, bare: OnHost) -> None:
    project.health = f'{QUICK}\ntimeout = "20s"'
    project.app = "keep = 9"
    project.write()

    def one_child_of_the_committed() -> str:
        """One there is, of the release that serves: so the one before had left the port."""
        wait_for(lambda: len(lingering(bare)) == 1)
        ((pid, release),) = lingering(bare)
        assert release == bare.current
        assert bare.sh("pgrep -u app -c") == "2"
        assert bare.is_consistent()
        assert bare.is_settled()
        return pid

    assert project.deploy("1.0.0", files=server("1.0.0", CHILD)).status == 0
    children = [one_child_of_the_committed()]
    second = project.deploy("2.0.0", files=server("2.0.0", CHILD))
    assert (second.status, bare.version) == (0, "2.0.0"), second.text
    children.append(one_child_of_the_committed())
    # A crash of its parent takes it along, too.
    bare.sh(f"kill -KILL {bare.unit('MainPID')}")
    wait_for(lambda: bare.version == "2.0.0")
    children.append(one_child_of_the_committed())
    bad = project.deploy("3.0.0", files=server("3.0.0", f"{CHILD} die 'no database';"))
    assert (bad.verdicts, bare.version) == ({bare.host.name: "rolled-back"}, "2.0.0"), bad.text
    children.append(one_child_of_the_committed())
    back = project.run("rollback")
    assert (back.status, bare.version) == (0, "1.0.0"), back.text
    children.append(one_child_of_the_committed())
    assert len(set(children)) == len(children)
    # Nobody runs from the others any more.
    assert project.run("prune", "--keep", "1").status == 0
    assert bare.sh("ls /opt/shop/releases") == bare.current
    one_child_of_the_committed()
