"""Somebody who is on the host already: another app, another user, an app that is hostile; and texts that travel there."""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.project import SERVER, OnHost, Project
from tests.host.striking import wait_for
from tests.unit.test_injection import CONTROLS

QUICK = 'tcp = 4000\nsettle = "300ms"\ntimeout = "4s"\ninterval = "100ms"'
# What root writes to for an app, and nobody else may.
OURS = "/opt/{name} /run/deployer /etc/default/{name}.env /etc/systemd/system"
STATE = ("/var/lib/shop", "/var/log/shop", "/run/shop")


@dataclass(frozen=True, kw_only=True)
class Apps:
    """Two apps on one host, each with a user of its own: shop of app, rival of rival."""

    on_host: OnHost
    shop: Project
    rival: Project

    def as_user(self, user: str, command: str) -> str:
        return self.on_host.sh(f"runuser -u {user} -- bash -c {shlex.quote(command)} 2>/dev/null || true")


@pytest.fixture(scope="module")
def apps(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Apps:
    shop = Project(directory=tmp_path_factory.mktemp("shop"), hosts=(host,), health=QUICK)
    rival = Project(directory=tmp_path_factory.mktemp("rival"), hosts=(host,), name="rival", health='settle = "300ms"')
    on_host = OnHost(lab=lab, host=host, project=shop)
    on_host.sh("useradd --system rival")
    for project in (shop, rival):
        project.env = f'set = {{ GREETING = "hello", KEY = "secret-of-{project.name}" }}'
        project.write()
    rival.config.write_text(rival.config.read_text().replace('user = "app"', 'user = "rival"'))
    assert shop.deploy("1.0.0").status == 0
    assert shop.deploy("1.1.0").status == 0
    assert shop.deploy("1.2.0", "boot").status == 1  # evidence of it is kept
    assert rival.deploy("1.0.0", "noport").status == 0
    return Apps(on_host=on_host, shop=shop, rival=rival)


# Another app, another user.

# An executable's directory can be walked through by all; a ledger, an environment, a unit on trial by nobody.
PUBLIC = {"/opt/shop", "/opt/shop/releases", "/opt/shop/current"}


def readable(apps: Apps, user: str) -> set[str]:
    """What of the shop's this user can read."""
    places = f"/opt/shop /etc/default/shop.env /run/deployer {' '.join(STATE)}"
    return set(apps.as_user(user, f"find {places} -readable").splitlines())


@pytest.mark.parametrize("user", ["rival", "nobody"])
def test_another_app_sees_nothing_of_the_first(apps: Apps, user: str) -> None:
    assert readable(apps, user) <= PUBLIC
    assert apps.as_user(user, "ls /opt/shop/releases/*/ /opt/shop/current/") == ""


def test_the_app_itself_sees_its_release_and_not_its_environment_file(apps: Apps) -> None:
    """Twin: the look does find what can be read."""
    found = readable(apps, "app")
    release = apps.on_host.sh("readlink -f /opt/shop/current")
    assert {f"{release}/bin/server", "/var/lib/shop", "/run/shop"} <= found
    assert not [path for path in found if path.endswith(("shop.env", "ledger.jsonl")) or ".deployer" in path]


def test_a_release_that_is_open_to_all_would_be_seen(apps: Apps) -> None:
    """Twin."""
    release = apps.on_host.sh("readlink -f /opt/shop/current")
    apps.on_host.sh(f"chmod 0755 {release}")
    try:
        assert f"{release}/bin/server" in readable(apps, "rival")
    finally:
        apps.on_host.sh(f"chmod 0750 {release}")


def of_others(apps: Apps) -> list[str]:
    """What lies where root writes, and belongs to somebody else or can be written to by somebody else."""
    places = OURS.format(name="shop")
    return apps.on_host.sh(f"find {places} ! -type l \\( ! -user root -o -perm /022 \\)").splitlines()


def test_nothing_that_root_writes_to_is_anybody_elses(apps: Apps) -> None:
    """So nobody can put a link where root is about to write."""
    assert of_others(apps) == []
    for user in ("app", "rival", "nobody"):
        assert apps.as_user(user, f"find {OURS.format(name='shop')} ! -type l -writable") == ""


def test_a_place_that_another_may_write_to_would_be_seen(apps: Apps) -> None:
    """Twin."""
    apps.on_host.sh("chmod g+w /opt/shop/releases; chown app /opt/shop/incoming")
    try:
        assert set(of_others(apps)) == {"/opt/shop/releases", "/opt/shop/incoming"}
        assert apps.as_user("app", "find /opt/shop -maxdepth 1 -writable ! -type l") == "/opt/shop/incoming"
    finally:
        apps.on_host.sh("chmod g-w /opt/shop/releases; chown root /opt/shop/incoming")


# Tries, as often as it can, to be quicker than root in the one directory that both may write to: whatever appears there
# is written into, replaced by a link, and moved away.
RACER = r"""
use strict; my ($seen, $won) = (0, 0); my %known; $SIG{TERM} = sub { print "$seen $won\n"; exit }; $| = 1;
opendir(my $first, '/tmp'); $known{$_} = 1 for readdir $first;
while (1) {
    opendir(my $now, '/tmp') or next;
    for my $name (grep { !$known{$_} } readdir $now) {
        my $path = "/tmp/$name"; $known{$name} = 1; $seen++;
        $won++ if symlink('/etc/victim/file', "$path/shop.service");
        $won++ if open(my $file, '>', "$path/shop.service");
        $won++ if rename($path, "$path.away");
        $won++ if rmdir($path) and symlink('/etc/victim', $path);
    }
}
"""


@pytest.fixture
def victim(apps: Apps) -> Iterator[str]:
    """A directory of root's that nobody is to touch; at the end of the test it is as it was."""
    on_host = apps.on_host
    on_host.sh("mkdir -p /etc/victim/sub; echo untouched | tee /etc/victim/file /etc/victim/sub/file >/dev/null")
    look = "find /etc/victim -printf '%p %y %i %m %u:%g %s %C@\\n' | sort; cat /etc/victim/file"
    before = on_host.sh(look)
    yield "/etc/victim"
    after = on_host.sh(look)
    on_host.sh("rm -rf /etc/victim")
    assert after == before


def test_nobody_is_quicker_than_root_in_the_directory_for_temporary_files(apps: Apps, victim: str) -> None:
    on_host = apps.on_host
    on_host.sh(f"cat >/root/racer <<'X'\n{RACER}\nX\nchmod 0644 /root/racer; cp /root/racer /usr/local/lib/racer")
    on_host.sh("nohup setsid runuser -u app -- perl /usr/local/lib/racer >/root/raced 2>&1 </dev/null &")
    wait_for(lambda: on_host.sh("pgrep -u app -f racer || true") != "")
    try:
        assert apps.shop.run("check").status == 0
        assert apps.shop.deploy("1.3.0").status == 0
    finally:
        on_host.sh("pkill -TERM -u app -f /usr/local/lib/racer")
    wait_for(lambda: on_host.sh("cat /root/raced") != "")
    seen, won = map(int, on_host.sh("cat /root/raced").split())
    assert seen > 1, "twin: it did see the directories"
    assert won == 0


PLANTED = (
    "current",
    "releases",
    ".deployer",
    "env",
    "erl_crash.dump",
    "shop.env.deployer-new",
    "tmp",
    "file",
    "evidence",
)


def test_a_service_cannot_make_the_next_deploy_write_or_delete_for_it(apps: Apps, victim: str) -> None:
    """Its user owns its state, and fills it with links to what is root's."""
    on_host = apps.on_host
    for place in STATE:
        for name in PLANTED:
            target = victim if name != "file" else f"{victim}/file"
            assert apps.as_user("app", f"ln -s {target} {place}/{name} && echo done") == "done"
    assert apps.shop.deploy("1.4.0").status == 0
    assert apps.shop.deploy("1.5.0", "boot").status == 1
    assert apps.shop.run("rollback").status == 0
    assert apps.shop.run("prune", "--keep", "2").status == 0
    assert on_host.is_consistent()
    assert on_host.is_settled()
    owned = on_host.sh("find /var/lib/shop /var/log/shop -type l ! -user app").splitlines()
    assert owned == [], "and they are its own still"


def test_what_a_service_owns_and_root_follows_would_be_seen(apps: Apps) -> None:
    """Twin: a careless root, who writes to a name in such a directory."""
    on_host = apps.on_host
    on_host.sh("mkdir -p /etc/victim; echo untouched >/etc/victim/file")
    apps.as_user("app", "ln -sf /etc/victim/file /var/lib/shop/careless")
    on_host.sh("echo written >/var/lib/shop/careless")
    assert on_host.sh("cat /etc/victim/file; rm -rf /etc/victim") == "written"


# A hostile app.

# Says what would set titles, clear screens and forge lines; and answers the health check with more of it.
HOSTILE_LINE = r"\e]0;owned\a\e[2J\e[1A\r77:77:77 host1 commit: ok after 0.1 s \x{9b}2J \x{202e}"
HOSTILE_APP = SERVER.replace(
    "die ", f'binmode(STDOUT, ":utf8"); print "{HOSTILE_LINE}\\nFAILED on host1: forged\\n"; die ', 1
).replace(
    r'print $client "HTTP/1.1 $status\r\nConnection: close\r\n\r\nok $version $ENV{GREETING}\n"',
    rf'print $client "{HOSTILE_LINE.replace(chr(92) + "x{9b}", "").replace(chr(92) + "x{202e}", "")} /dev/tcp/127.0.0.1/4000: \e[2Jforged\n77:77:77 host1 commit: ok\n"',
)


@pytest.mark.parametrize("output", ["plain", "rich", "json"])
def test_a_hostile_app_cannot_move_the_cursor_or_forge_our_lines(apps: Apps, output: str) -> None:
    project = Project(directory=apps.shop.directory, hosts=apps.shop.hosts)
    project.health = 'http = "http://127.0.0.1:4000/"\nsettle = "300ms"\ntimeout = "1500ms"\ninterval = "200ms"'
    project.write()
    server = HOSTILE_APP.replace("@BREAK@", "").replace("@VERSION@", "6.6.6").encode()
    tarball = str(project.tarball("6.6.6", files={"bin/server": server}))
    words = [output if word == "json" else word for word in project.argv("deploy", "--artifact", tarball)]
    done = subprocess.run(
        words,
        cwd=project.directory,
        env=project.environ({"DEPLOYER_VERBOSE": "1", "TERM": "dumb"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert done.returncode == 1
    assert "forged" in shown, "twin: it was heard"
    assert CONTROLS.findall(shown) == []
    if output == "plain":
        # Ours begin with the time, and no line begins with what the app said.
        assert not [line for line in shown.splitlines() if line.startswith(("FAILED on host1: forged", "77:77:77"))]
    assert apps.on_host.is_settled()


def test_evidence_that_is_kept_has_no_value_that_was_delivered(apps: Apps) -> None:
    """The journal of a failed start, of an app that tells all it knows; and what systemd says of it."""
    project = Project(directory=apps.shop.directory, hosts=apps.shop.hosts, health=QUICK)
    mark = f"mark-{secrets.token_hex(8)}"
    values = {
        "GREETING": "hello",
        "KEY": f"{mark}-key",
        "AWKWARD": f'{mark} "quoted" $HOME `id` \\',
        "PEM": f"--\n{mark}\n--",
    }
    project.env = f"set = {{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in values.items())} }}"
    project.service += '\ntype = "notify"'
    project.write()
    tells = "print qq($_=$ENV{$_}\\n) for sort keys %ENV; STATUS; die "
    status = "IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET})->send(qq(STATUS=key $ENV{KEY}))"
    server = SERVER.replace("die ", tells.replace("STATUS", status), 1).replace("@BREAK@", "boot")
    server = server.replace("use IO::Socket::INET;", "use IO::Socket::INET; use IO::Socket::UNIX;")
    assert project.deploy("7.0.0", files={"bin/server": server.encode()}).status == 1
    kept = apps.on_host.sh("tail -n +1 /opt/shop/releases/7.0.0-*/.deployer/evidence/*")
    assert "cannot boot: no database" in kept
    assert "GREETING=hello" in kept
    assert "KEY=***" in kept
    assert "AWKWARD=***" in kept
    assert "StatusText=key ***" in kept
    assert mark not in kept
    assert mark in apps.on_host.sh("journalctl --no-pager -u shop.service"), "twin: all of it was said"


# Texts of ours that travel to the host.

WHO = "o'hara \"the; $(touch /etc/evil) `id` $HOME %n %% \\ \x1b[2J\x07 é <b>"


def test_a_name_and_a_reason_are_texts_wherever_they_come_to(apps: Apps) -> None:
    environ = {"DEPLOYER_WHO": WHO}
    project = apps.rival
    on_host = OnHost(lab=apps.on_host.lab, host=apps.on_host.host, project=project)
    kept = "".join(char if char.isprintable() else "?" for char in WHO)
    assert project.run("deploy", "--artifact", str(project.tarball("2.0.0", "noport")), environ=environ).status == 0
    assert project.run("lock", "--reason", WHO, environ=environ).status == 0
    done = project.run("deploy", "--artifact", str(project.tarball("2.1.0", "noport")), environ=environ)
    assert done.status == 4
    assert f"{kept} has locked rival" in done.of("failure")[0]["message"]
    assert project.run("unlock", "--force", environ=environ).status == 0
    entries = on_host.ledger
    told = {
        entry["event"]: entry["who"]
        for entry in entries
        if entry["event"] in ("staged", "activating", "good", "locked")
    }
    assert told == dict.fromkeys(("staged", "activating", "good", "locked"), kept)
    assert [entry["reason"] for entry in entries if entry["event"] == "locked"] == [kept]
    assert on_host.sh("ls /etc/evil 2>/dev/null || true") == ""
    assert json.dumps(entries)


@pytest.mark.parametrize(
    "release", ["../../../etc", "'; touch /etc/evil; $(touch /etc/evil) `id` %n", "-rf", "\x1b[2J\nx"]
)
def test_a_release_that_is_no_release_is_refused(apps: Apps, release: str) -> None:
    before = apps.on_host.sh("find /opt/shop /etc -printf '%p %C@\\n' | sort")
    for words in (("rollback", f"--to={release}"), ("pin", f"--release={release}"), ("logs", f"--deploy={release}")):
        done = apps.shop.run(*words)
        assert done.status in (1, 2), done.text
        assert "release" in done.of("failure")[0]["message"] or "activation" in done.of("failure")[0]["message"]
        assert CONTROLS.findall(done.text.replace("\n", "")) == []
    assert apps.on_host.sh("find /opt/shop /etc -printf '%p %C@\\n' | sort") == before


@pytest.mark.parametrize("who", ["ci ${PATH} $HOME", "ci\nto ../../evil\nfrom evil\nwhy rollback", "  ci  "])
def test_who_deploys_is_a_text_to_systemd_and_in_our_records(apps: Apps, who: str) -> None:
    project = apps.rival
    on_host = OnHost(lab=apps.on_host.lab, host=apps.on_host.host, project=project)
    project.env = f"set = {{ GREETING = {json.dumps(who)} }}"
    project.write()
    project.config.write_text(project.config.read_text().replace('user = "app"', 'user = "rival"'))
    done = project.run("deploy", "--artifact", str(project.tarball("3.0.0", "noport")), environ={"DEPLOYER_WHO": who})
    try:
        assert done.status == 0, done.text
        assert on_host.is_consistent()
        assert on_host.is_settled()
        token = next(entry["token"] for entry in reversed(on_host.ledger) if entry["event"] == "activating")
        entries = [entry for entry in on_host.ledger if entry.get("token") == token]
        assert [(entry["event"], entry["why"]) for entry in entries] == [("activating", "deploy"), ("good", "deploy")]
        for entry in entries:
            assert entry["who"].replace("?", " ").split() == who.split()
    finally:
        on_host.sh("rm -f /opt/rival/committing /run/deployer/rival/trial")


def test_whoever_locks_can_unlock_whatever_the_name(apps: Apps) -> None:
    environ = {"DEPLOYER_WHO": "a\tname\x1b"}
    assert apps.shop.run("lock", "--reason", "try", environ=environ).status == 0
    done = apps.shop.run("unlock", environ=environ)
    assert apps.shop.run("unlock", "--force", environ=environ).status == 0
    assert done.status == 0, done.text


# Whoever owns a directory above the app's own can put another in its place.


@pytest.mark.parametrize("verb", ["deploy", "setup"])
@pytest.mark.parametrize(
    "made", ["below somebody's home", "root's own, below somebody's home", "below one that all may write to"]
)
def test_a_root_below_a_directory_of_somebody_else_is_refused(apps: Apps, tmp_path: Path, made: str, verb: str) -> None:
    on_host = apps.on_host
    place, owner = ("/srv/open", "root") if "all" in made else ("/home/app", "app")
    on_host.sh(f"install -d -o {owner} -m {'0777' if 'all' in made else '0755'} {place}")
    if made.startswith("root's own"):
        on_host.sh(f"install -d -m 0755 {place}/shop {place}/shop/releases")
    project = Project(directory=tmp_path, hosts=apps.shop.hosts, name="elsewhere", health='settle = "300ms"')
    project.app = f'root = "{place}/shop"'
    project.write()
    look = f"find {place} /etc/systemd /etc/default -printf '%p %i %C@\\n' | sort"
    before = on_host.sh(look)
    words = ("--artifact", str(project.tarball("1.0.0", "noport"))) if verb == "deploy" else ()
    try:
        done = project.run(verb, *words)
        assert done.status == 1, done.text
        (failure,) = done.of("failure")
        assert place in failure["message"]
        assert owner in failure["message"]
        assert failure["hint"]
        assert on_host.sh(look) == before
    finally:
        on_host.sh(
            f"systemctl disable --now elsewhere.service; rm -rf {place} /etc/systemd/system/elsewhere.service "
            "/etc/systemd/system/deployer-recover@elsewhere.service /etc/default/elsewhere.env; systemctl daemon-reload; true"
        )
