"""What goes wrong around a deploy: nobody let in, nothing usable, no room, somebody else at work.

Each case ends with its exit status, says what happened on which host and what to do next, and leaves what serves alone.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.project import Done, OnHost, Project
from tests.host.striking import Client, wait_for
from tests.terminals import Terminal

CAREFUL_PASSWORD = "sandbox-only"
CONNECT_S = 3.0
MANY_BYTES = 40_000_000


@pytest.fixture
def untouched(serving: OnHost) -> Iterator[OnHost]:
    """The same host; at the end of the test it must serve what it served before, by the same process."""

    def state() -> tuple[str, ...]:
        return serving.version, serving.current, serving.unit("InvocationID"), serving.sh("cat /etc/default/shop.env")

    before = state()
    yield serving
    assert state() == before
    assert serving.is_settled()


def edit(project: Project, old: str, new: str) -> None:
    """Change the config's text."""
    text = project.config.read_text()
    assert old in text, f"{old!r} is not in the config"
    project.config.write_text(text.replace(old, new))


def failure(done: Done) -> tuple[str, str]:
    """The message and the hint of a run that failed once."""
    (event,) = done.of("failure")
    assert event["exit_code"] == done.status
    assert event["hint"], f"nothing to type next: {event}"
    return event["message"], event["hint"]


def failed_on(done: Done, host: SandboxHost) -> tuple[str, str]:
    """The same, of a host on which nothing was switched."""
    (event,) = done.of("failure")
    assert event["host"] == host.name
    assert done.verdicts == {host.name: "failed"}
    return failure(done)


def touched_nothing(done: Done) -> bool:
    """Was no host even connected to?"""
    return not any(event["host"] for event in done.of("phase_started"))


def plain(project: Project, *words: str) -> Done:
    """Run the program as in a log without colours."""
    argv = [word if word != "json" else "plain" for word in project.argv(*words)]
    done = subprocess.run(
        argv,
        cwd=project.directory,
        env=project.environ(None),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


# -- not let in: exit 5 ---------------------------------------------------------------------------------------------


def test_a_changed_host_key_is_refused(project: Project, untouched: OnHost) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", project.directory / "other"], check=True)
    kind, blob, *_ = (project.directory / "other.pub").read_text().split()
    known = project.directory / "known_hosts"
    known.write_text(f"{untouched.host.address} {kind} {blob}\n")
    edit(project, str(untouched.host.known_hosts), str(known))
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, untouched.host)
    assert done.status == 5
    assert "has changed" in message
    assert message.count("SHA256:") == 2
    assert f"ssh-keygen -R {untouched.host.address}" in hint


def test_an_unknown_host_key_is_refused(project: Project, untouched: OnHost) -> None:
    known = project.directory / "known_hosts"
    known.write_text("")
    edit(project, str(untouched.host.known_hosts), str(known))
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, untouched.host)
    assert done.status == 5
    assert "is not known" in message
    assert "compare the fingerprint" in hint
    assert known.read_text() == ""


def test_an_address_without_a_host_is_unreachable_in_time(project: Project, untouched: OnHost) -> None:
    dead = re.sub(r"\d+$", "250", untouched.host.address)
    edit(project, f'"{untouched.host.address}"', f'"{dead}"')
    begun = time.monotonic()
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, untouched.host)
    assert done.status == 5
    assert dead in message
    files = (
        f"-o UserKnownHostsFile={untouched.host.known_hosts} -i {untouched.host.identity_file} -o IdentitiesOnly=yes"
    )
    assert f"ssh -v {files} -p 22 root@{dead} true" in hint
    assert time.monotonic() - begun < CONNECT_S + 5


def test_a_host_that_answers_nothing_any_more_is_unreachable_in_time(
    lab: Lab, project: Project, untouched: OnHost
) -> None:
    lab.cut_link(untouched.host.name)
    try:
        begun = time.monotonic()
        done = project.deploy("1.1.0")
        took_s = time.monotonic() - begun
    finally:
        lab.restore_link(untouched.host.name)
    message, _ = failed_on(done, untouched.host)
    assert (done.status, message) == (5, f"no answer from {untouched.host.address} port 22 within 3 s")
    assert took_s < CONNECT_S + 5


def test_a_stopped_sshd_is_refused(project: Project, untouched: OnHost) -> None:
    untouched.sh("systemctl stop ssh")
    try:
        done = project.deploy("1.1.0")
    finally:
        untouched.sh("systemctl start ssh")
    message, _ = failed_on(done, untouched.host)
    assert (done.status, message) == (5, f"{untouched.host.address} port 22 refused the connection")


def test_a_name_that_does_not_exist_is_told_as_such(project: Project, untouched: OnHost) -> None:
    edit(project, f'"{untouched.host.address}"', '"no-such-host.invalid"')
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, untouched.host)
    assert done.status == 5
    assert "no-such-host.invalid does not resolve" in message
    assert "getent ahosts no-such-host.invalid" in hint


def test_a_refused_key_is_named(project: Project, untouched: OnHost) -> None:
    key = project.directory / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    edit(project, str(untouched.host.identity_file), str(key))
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, untouched.host)
    assert done.status == 5
    assert "took none of our keys" in message
    assert done.of("failure")[0]["details"] == [f"tried {key} (ssh-ed25519)"]
    assert f"-i {key}" in hint
    pasted = subprocess.run(
        ["bash", "-c", hint.removeprefix("try: ")], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Permission denied" in pasted.stderr.splitlines()[-1]


def test_a_login_that_may_not_become_root_is_not_let_in(project: Project, untouched: OnHost) -> None:
    untouched.sh(
        "id guest 2>/dev/null || useradd --create-home --shell /bin/bash guest; "
        "install -D -o guest -m 0600 /root/.ssh/authorized_keys ~guest/.ssh/authorized_keys; chown guest: ~guest/.ssh"
    )
    edit(project, 'user = "root"', 'user = "guest"')
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, untouched.host)
    assert done.status == 5
    assert "does not let guest become root" in message
    assert "DEPLOYER_SUDO_PASSWORD" in hint


def test_a_failure_is_told_once_in_a_plain_log(project: Project, untouched: OnHost) -> None:
    edit(project, f'"{untouched.host.address}"', '"no-such-host.invalid"')
    done = plain(project, "deploy", "--artifact", str(project.tarball("1.1.0")))
    assert done.status == 5
    assert done.text.count("does not resolve") == 1
    assert done.text.count("next:") == 1
    assert f"FAILED on {untouched.host.name}: the name no-such-host.invalid does not resolve" in done.text
    assert "now: nothing was switched" in done.text
    assert "exit status 5" in done.text


# -- ways to root ---------------------------------------------------------------------------------------------------


def test_a_login_with_sudo_deploys(project: Project, serving: OnHost) -> None:
    edit(project, 'user = "root"', 'user = "deploy"')
    done = project.deploy("1.2.0")
    assert (done.status, serving.version) == (0, "1.2.0"), done.text
    assert project.run("rollback").status == 0
    assert serving.is_consistent()


def test_a_login_with_a_sudo_password_deploys(project: Project, serving: OnHost) -> None:
    edit(project, 'user = "root"', 'user = "careful"')
    tarball = str(project.tarball("1.3.0"))
    done = project.run("deploy", "--artifact", tarball, environ={"DEPLOYER_SUDO_PASSWORD": CAREFUL_PASSWORD})
    assert (done.status, serving.version) == (0, "1.3.0"), done.text
    assert CAREFUL_PASSWORD not in done.text
    assert serving.is_consistent()


def test_a_sudo_password_is_asked_for_once_however_often_the_link_breaks(project: Project, serving: OnHost) -> None:
    edit(project, 'user = "root"', 'user = "careful"')
    edit(project, 'settle = "1s"', 'settle = "5s"')
    words = (
        "deploy",
        "--output",
        "plain",
        "--config",
        str(project.config),
        "--artifact",
        str(project.tarball("1.4.0")),
    )
    argv = (sys.executable, "-m", "deployer", *words)
    with Terminal(argv, cwd=project.directory, environ=project.environ(None)) as terminal:
        terminal.expect(b"sudo password for careful")
        terminal.type(f"{CAREFUL_PASSWORD}\n".encode())
        begun = terminal.expect(b"health: started")
        serving.sh("pkill -KILL -u careful sshd")
        terminal.expect(b"connecting again", after=begun)
        terminal.expect(b"commit: ok", after=begun)
        assert terminal.ended() == 0
    assert terminal.seen.count(b"sudo password for") == 1
    assert CAREFUL_PASSWORD.encode() not in terminal.seen
    assert serving.version == "1.4.0"


@pytest.mark.parametrize(("password", "says"), [("", "without a password"), ("not-the-one", "did not let careful")])
def test_a_missing_or_wrong_sudo_password_is_not_let_in(
    project: Project, untouched: OnHost, password: str, says: str
) -> None:
    edit(project, 'user = "root"', 'user = "careful"')
    tarball = str(project.tarball("1.1.0"))
    done = project.run("deploy", "--artifact", tarball, environ={"DEPLOYER_SUDO_PASSWORD": password})
    message, hint = failed_on(done, untouched.host)
    assert done.status == 5
    assert says in message
    assert ("is not the password there" in hint) == bool(password)
    assert hint.endswith("> /etc/sudoers.d/careful")
    assert "not-the-one" not in done.text


# -- cannot be used: exit 2, nothing touched ------------------------------------------------------------------------


def archive(path: Path, name: str, *, kind: bytes = tarfile.REGTYPE, target: str = "") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        server = tarfile.TarInfo("bin/server")
        server.size, server.mode = 2, 0o755
        tar.addfile(server, io.BytesIO(b"#!"))
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        tar.addfile(member)
    return path


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (("../x", tarfile.REGTYPE, ""), "'../x' has \"..\" in its path"),
        (("bin/x", tarfile.SYMTYPE, "/etc/passwd"), "the link 'bin/x' to '/etc/passwd' is absolute"),
        (("bin/x", tarfile.CHRTYPE, ""), "'bin/x' is a character device"),
    ],
    ids=["dots", "absolute link", "device"],
)
def test_a_tarball_that_must_not_be_unpacked_is_not_even_sent(
    project: Project, untouched: OnHost, member: tuple[str, bytes, str], says: str
) -> None:
    name, kind, target = member
    path = archive(project.directory / "evil-1.0.0.tar.gz", name, kind=kind, target=target)
    done = project.run("deploy", "--artifact", str(path))
    assert done.status == 2
    assert says in failure(done)[0]
    assert touched_nothing(done)


def test_a_cut_tarball_is_told_as_such(project: Project, untouched: OnHost) -> None:
    path = project.tarball("1.1.0")
    path.write_bytes(path.read_bytes()[:-100])
    done = project.run("deploy", "--artifact", str(path))
    assert done.status == 2
    assert "ends in the middle" in failure(done)[0]
    assert touched_nothing(done)


def test_a_web_page_is_not_taken_for_a_tarball(project: Project, untouched: OnHost) -> None:
    path = project.directory / "shop-1.1.0.tar.gz"
    path.write_bytes(b"<html>404</html>" * 100)
    done = project.run("deploy", "--artifact", str(path))
    assert done.status == 2
    assert "looks like a web page" in failure(done)[0]
    assert touched_nothing(done)


def test_a_missing_tarball_names_what_is_there(project: Project, untouched: OnHost) -> None:
    there = project.tarball("1.1.0")
    done = project.run("deploy", "--artifact", "shop-9.9.9.tar.gz")
    assert done.status == 2
    message, hint = failure(done)
    assert "shop-9.9.9.tar.gz" in message
    assert there.name in hint
    assert touched_nothing(done)


def test_five_faults_of_a_config_are_told_at_once(project: Project, untouched: OnHost) -> None:
    edit(project, 'user = "app"', 'usr = "app"\nkeep = "many"')
    edit(project, 'settle = "1s"', 'settle = "1 fortnight"')
    edit(project, 'connect_timeout = "3s"', "connect_timeout = []")
    edit(project, "http = ", "http_url = ")
    done = project.deploy("1.1.0")
    assert done.status == 2
    failure(done)
    details = " ".join(done.of("failure")[0]["details"])
    for key in ("app.usr", "app.keep", "health.settle", "ssh.connect_timeout", "health.http_url"):
        assert key in details
    assert 'did you mean "user"?' in details
    assert touched_nothing(done)


def test_a_required_variable_that_is_missing_or_empty_is_told_by_name(project: Project, untouched: OnHost) -> None:
    project.env = 'required = ["DB_HOST", "EMPTY"]\nset = { EMPTY = "", GREETING = "hello" }'
    done = project.write().deploy("1.1.0")
    assert done.status == 2
    assert "2 faults" in failure(done)[0]
    first, second = done.of("failure")[0]["details"]
    assert first.startswith("DB_HOST is required and missing")
    assert second.startswith("EMPTY is required and empty")
    assert touched_nothing(done)


def test_an_unknown_host_is_told_with_those_that_are_known(project: Project, untouched: OnHost) -> None:
    done = project.run("deploy", "--artifact", str(project.tarball("1.1.0")), "--host", "prod-99")
    assert done.status == 2
    message, hint = failure(done)
    assert '"prod-99"' in message
    assert untouched.host.name in hint
    assert touched_nothing(done)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("depoly",), 'there is no task "depoly" (did you mean "deploy"?)'),
        (("deploy", "--artefact", "x"), "deploy has no option --artefact (did you mean --artifact?)"),
        (("deploy", "--parallel", "many"), "--parallel many is not a whole number"),
        (("deploy", "--parallel=-1"), "--parallel -1 is not possible"),
        (("run",), "run needs a command"),
        (("status", "--output", "xml"), "--output xml is not known"),
    ],
)
def test_a_faulty_command_line_is_usage(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    project = Project(directory=tmp_path, hosts=()).write()
    argv = [sys.executable, "-m", "deployer", *words]
    done = subprocess.run(
        argv,
        cwd=tmp_path,
        env=project.environ(None),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "next:" in done.stderr
    assert "Traceback" not in done.stderr


# -- the host cannot take it: exit 1, the old release untouched -----------------------------------------------------


@pytest.fixture
def small_disk(untouched: OnHost) -> Iterator[OnHost]:
    """The app's directory on a file system of its own, 160 MB in size."""
    untouched.sh(
        "rm -rf /root/shop; cp -a /opt/shop /root/shop; "
        "mount -t tmpfs -o size=160m,mode=0755 none /opt/shop && cp -a /root/shop/. /opt/shop/"
    )
    yield untouched
    untouched.sh("umount /opt/shop")


def test_a_disk_without_room_is_met_before_the_upload(project: Project, small_disk: OnHost) -> None:
    small_disk.sh("head -c 150M /dev/zero >/opt/shop/filler")
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, small_disk.host)
    assert done.status == 1
    assert re.search(r"/opt/shop on \S+ has [\d.]+ MB free, and this release needs [\d.]+ MB", message)
    assert project.typed("prune", small_disk.host.name) in hint
    assert done.of("progress") == []
    assert small_disk.sh("ls -A /opt/shop/incoming") == ""


def test_a_disk_without_inodes_is_met_before_the_upload(project: Project, small_disk: OnHost) -> None:
    used = int(small_disk.sh("df --output=iused /opt/shop | tail -n 1"))
    small_disk.sh(f"mount -o remount,nr_inodes={used + 30} /opt/shop")
    done = project.deploy("1.1.0")
    message, _ = failed_on(done, small_disk.host)
    assert done.status == 1
    assert "inodes free" in message
    assert small_disk.sh("ls -A /opt/shop/releases | grep staging || true") == ""


def test_a_disk_that_fills_up_during_the_upload_is_told_as_such(project: Project, small_disk: OnHost) -> None:
    tarball = project.tarball("1.1.0", files={"data": os.urandom(MANY_BYTES)})
    with Client(project, "deploy", "--artifact", str(tarball)) as client:
        client.reaches("progress")
        client.strike(signal.SIGSTOP)
        small_disk.sh("cat /dev/zero >/opt/shop/filler 2>/dev/null || true")
        client.strike(signal.SIGCONT)
        done = client.ended()
    message, hint = failed_on(done, small_disk.host)
    assert done.status == 1
    assert "the upload to" in message
    assert "0 free on /opt/shop" in message
    assert "make room" in hint
    small_disk.sh("rm /opt/shop/filler")
    wait_for(small_disk.is_settled)


def test_a_read_only_disk_is_told_as_such(project: Project, small_disk: OnHost) -> None:
    small_disk.sh("mount -o remount,ro /opt/shop")
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, small_disk.host)
    assert (done.status, message) == (1, f"the file system of /opt/shop on {small_disk.host.name} is read-only")
    assert "remount,rw" in hint
    for words in (("lock", "--reason", "a disk is changed"), ("pin", "1.0.0")):
        done = project.run(*words)
        (failure,) = done.of("failure")
        told = f"a file system is read-only (the step 'mark' ended with status 1) on {small_disk.host.name}"
        assert (done.status, failure["message"]) == (1, told)
        assert "remount,rw" in failure["hint"]


def test_a_read_only_place_for_units_is_met_before_the_service_is_stopped(project: Project, untouched: OnHost) -> None:
    place = "/etc/systemd/system"
    process = untouched.unit("MainPID")
    untouched.sh(f"mount --bind {place} {place} && mount -o remount,ro,bind {place}")
    try:
        checked, done = project.run("check"), project.deploy("1.1.0")
    finally:
        untouched.sh(f"umount {place}")
    message, hint = failed_on(done, untouched.host)
    told = f"the file system of {place}/shop.service on {untouched.host.name} is read-only"
    assert (done.status, message) == (1, told)
    assert f"findmnt -T {place}/shop.service" in hint
    assert told in checked.text
    assert untouched.unit("MainPID") == process


def test_a_directory_that_is_not_roots_is_refused(project: Project, untouched: OnHost) -> None:
    untouched.sh("chown deploy /opt/shop")
    try:
        done = project.deploy("1.1.0")
    finally:
        untouched.sh("chown root /opt/shop")
    message, hint = failed_on(done, untouched.host)
    assert done.status == 1
    assert message.startswith("/opt/shop belongs to deploy, not to root")
    assert "chown root:root /opt/shop" in hint


def test_a_missing_service_user_is_made_by_setup(project: Project, serving: OnHost) -> None:
    edit(project, 'user = "app"', 'user = "shopkeeper"')
    done = project.deploy("1.4.0")
    message, hint = failed_on(done, serving.host)
    assert (done.status, message) == (1, f"there is no user 'shopkeeper' on {serving.host.name}")
    assert hint == project.typed("setup", serving.host.name)

    before = serving.sh("cat /etc/passwd /etc/group")
    planned = project.run("setup", "--plan")
    assert [row["would"] for row in planned.of("setup")] == ["add the system user shopkeeper"]
    assert serving.sh("cat /etc/passwd /etc/group") == before

    made = project.run("setup")
    assert [row["did"] for row in made.of("setup")] == ["add the system user shopkeeper"]
    again = project.run("setup")
    assert (again.status, again.of("setup")) == (0, [])
    deployed = project.deploy("1.4.0")
    assert (deployed.status, serving.version) == (0, "1.4.0"), deployed.text
    assert serving.sh("ps -o user:32= -p $(systemctl show -P MainPID shop.service)") == "shopkeeper"


# -- uploads that break off -----------------------------------------------------------------------------------------


@pytest.fixture
def big(project: Project) -> Path:
    """A tarball that takes a moment to upload."""
    return project.tarball("2.0.0", files={"data": os.urandom(MANY_BYTES)})


@pytest.fixture
def without_uploads(serving: OnHost) -> OnHost:
    """The host, with no rest of an upload and no release 2."""
    serving.sh("rm -rf /opt/shop/incoming/* /opt/shop/releases/2.0.0-*")
    return serving


def resumed_bytes(done: Done) -> int:
    return max((int(event["resumed_bytes"]) for event in done.of("progress")), default=0)


def test_an_upload_whose_client_is_killed_is_resumed(project: Project, big: Path, without_uploads: OnHost) -> None:
    with Client(project, "deploy", "--artifact", str(big), "--no-activate") as client:
        client.reaches("progress")
        client.strike(signal.SIGKILL)
        client.ended()
    wait_for(lambda: without_uploads.sh("pgrep -f [d]eployer-stage || true") == "")
    there = int(without_uploads.sh("stat -c %s /opt/shop/incoming/*.part"))
    assert 0 < there < big.stat().st_size
    assert without_uploads.is_settled()
    done = project.run("deploy", "--artifact", str(big), "--no-activate")
    assert done.status == 0, done.text
    assert resumed_bytes(done) == there


def test_an_upload_over_a_link_that_died_is_resumed_and_locks_nobody_out(
    lab: Lab, project: Project, big: Path, without_uploads: OnHost
) -> None:
    with Client(project, "deploy", "--artifact", str(big), "--no-activate") as client:
        client.reaches("progress")
        lab.cut_link(without_uploads.host.name)
        try:
            done = client.ended()
            # As on a network that forgets us: the host's side of the connection never learns that it is over.
            without_uploads.sh("pkill -STOP -f '^sshd: root'")
        finally:
            lab.restore_link(without_uploads.host.name)
    message, _ = failed_on(done, without_uploads.host)
    assert done.status == 5
    assert "was lost" in message
    assert without_uploads.sh("pgrep -f [d]eployer-stage || true") != ""
    done = project.run("deploy", "--artifact", str(big), "--no-activate")
    without_uploads.sh("pkill -KILL -f '^sshd: root' || true")
    assert done.status == 0, done.text
    assert resumed_bytes(done) > 0


def test_a_damaged_rest_of_an_upload_is_noticed_and_started_anew(
    project: Project, big: Path, without_uploads: OnHost
) -> None:
    digest = subprocess.run(["sha256sum", big], capture_output=True, text=True, check=True).stdout.split()[0]
    without_uploads.sh(f"head -c 1000000 /dev/urandom >/opt/shop/incoming/{digest}.part")
    done = project.run("deploy", "--artifact", str(big), "--no-activate")
    assert done.status == 0, done.text
    assert any("damaged; the upload starts anew" in note["text"] for note in done.of("note"))
    starts = [event["resumed_bytes"] for event in done.of("progress")]
    assert (starts[0], starts[-1]) == (1_000_000, 0)
    release = without_uploads.sh("ls -d /opt/shop/releases/2.0.0-*")
    assert without_uploads.sh(f"sha256sum <{release}/data").split()[0] == _sha256_of_data(big)


def _sha256_of_data(path: Path) -> str:
    import hashlib

    with tarfile.open(path) as tar:
        member = tar.extractfile("data")
        assert member is not None
        return hashlib.sha256(member.read()).hexdigest()


def test_an_upload_waits_for_another_one_that_fails(project: Project, big: Path, without_uploads: OnHost) -> None:
    digest = subprocess.run(["sha256sum", big], capture_output=True, text=True, check=True).stdout.split()[0]
    part = f"/opt/shop/incoming/{digest}.part"
    # What an upload of other bytes does: it holds the lock, then removes the file.
    without_uploads.sh(
        f"rm -f /root/go; nohup setsid bash -c 'exec 8>>{part}; flock 8; touch /root/locked; "
        f"until [[ -e /root/go ]]; do sleep .1; done; rm {part}' >/dev/null 2>&1 </dev/null & "
        "until [[ -e /root/locked ]]; do sleep .1; done"
    )
    with Client(project, "deploy", "--artifact", str(big), "--no-activate") as client:
        client.reaches("phase_started", phase="wait")
        without_uploads.sh("touch /root/go")
        done = client.ended()
    assert done.status == 0, done.text
    assert resumed_bytes(done) == 0


def test_two_clients_upload_the_same_tarball_at_once(project: Project, big: Path, without_uploads: OnHost) -> None:
    words = ("deploy", "--artifact", str(big), "--no-activate")
    with Client(project, *words) as first:
        first.reaches("progress")
        first.strike(signal.SIGSTOP)
        with Client(project, *words, environ={"DEPLOYER_WHO": "second"}) as second:
            second.reaches("phase_started", phase="wait")
            first.strike(signal.SIGCONT)
            statuses = (first.ended(), second.ended())
    assert statuses[0].status == 0, statuses[0].text
    assert statuses[1].status == 4, statuses[1].text
    message, _ = failed_on(statuses[1], without_uploads.host)
    assert "has just been staged by tester" in message
    again = project.run(*words)
    assert again.status == 0, again.text
    assert again.of("progress") == []
    assert len(without_uploads.sh("ls -d /opt/shop/releases/2.0.0-*").splitlines()) == 1


# -- somebody else at work: exit 4 ----------------------------------------------------------------------------------


def test_of_two_deploys_at_once_one_wins_and_the_other_learns_who(project: Project, serving: OnHost) -> None:
    project.health = project.health.replace('settle = "1s"', 'settle = "4s"')
    project.write()
    one, other = project.tarball("3.0.0"), project.tarball("3.1.0")
    with Client(project, "deploy", "--artifact", str(one), environ={"DEPLOYER_WHO": "alice"}) as first:
        first.reaches("phase_started", phase="health")
        second = project.run("deploy", "--artifact", str(other))
        message, hint = failed_on(second, serving.host)
        assert second.status == 4
        assert message.startswith(f"another activation of shop is under way on {serving.host.name}: 3.0.0-")
        assert ", started by alice at " in message
        assert project.typed("attach", serving.host.name) in hint
        assert "--wait" in hint
        assert first.ended().status == 0
    assert serving.version == "3.0.0"
    assert serving.is_consistent()


def test_a_deploy_that_was_planned_before_another_one_committed_is_stale(project: Project, serving: OnHost) -> None:
    slow = project.tarball("3.2.0", files={"data": os.urandom(MANY_BYTES)})
    with Client(project, "deploy", "--artifact", str(slow)) as late:
        late.reaches("progress")
        late.strike(signal.SIGSTOP)
        assert project.deploy("3.3.0").status == 0
        late.strike(signal.SIGCONT)
        done = late.ended()
    message, hint = failed_on(done, serving.host)
    assert done.status == 4
    assert "3.3.0" in message
    assert "as it was when this was planned" in message
    assert "deployer status" in hint
    assert serving.version == "3.3.0"
    assert serving.is_settled()


def test_a_locked_app_is_left_alone(project: Project, untouched: OnHost) -> None:
    assert project.run("lock", "--reason", "the sale is on").status == 0
    done = project.deploy("1.1.0")
    message, hint = failed_on(done, untouched.host)
    assert done.status == 4
    assert "tester has locked shop" in message
    assert "the sale is on" in message
    assert project.typed("unlock", untouched.host.name) in hint
    looked = project.run("plan", "--artifact", str(project.tarball("1.1.0")))
    assert looked.status == 0
    assert "warning      tester has locked shop since " in looked.of("text")[0]["text"]
    assert project.run("unlock").status == 0
