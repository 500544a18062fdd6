"""Sandbox hosts are real hosts, keep their disk, can be cut off, and leave nothing behind."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import HostError, UsageError
from deployer.sandbox import SUITES, Lab, SandboxHost, overlay_hosts
from deployer.sandbox.commands import as_root, must, run, script
from deployer.sandbox.machine import init_of
from deployer.sandbox.network import drop_link, has_link, raise_bridge
from deployer.sandbox.processes import in_groups
from deployer.sandbox.rootfs import recipe_name

BOOT = "import sys; from pathlib import Path; from deployer.sandbox import Lab; Lab(Path(sys.argv[1])).up()"
GROUP_TREES = tuple(path for name in (".", "unified", "systemd") if (path := Path("/sys/fs/cgroup", name)).is_dir())


def ssh(lab: Lab, host: SandboxHost, command: str, *, user: str = "root", stdin: str = "") -> tuple[int, str]:
    """Status, and standard output and error together."""
    done = subprocess.run(
        lab.ssh_argv(host.name, command, user=user),
        check=False,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout.strip()


def inside(lab: Lab, host: SandboxHost, command: str) -> str:
    done = lab.enter(host.name, command)
    assert done.status == 0, done
    return done.stdout.strip()


def wait_for(what: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def connect_error(host: SandboxHost, *, timeout_s: float) -> int | str:
    """What a connection to sshd ends with: an errno, "timed out", or "" when it is up."""
    try:
        with socket.create_connection((host.address, 22), timeout=timeout_s):
            return ""
    except OSError as error:
        return error.errno or str(error)


def traces(lab: Lab, machine: str) -> list[str]:
    """What there is of a host and its lab on this machine: groups, processes, mounts, links, files."""
    groups = tuple(group for tree in GROUP_TREES if (group := tree / machine).exists())
    found = [f"group {group}" for group in groups]
    found += [f"process {pid}" for pid in in_groups(groups)]
    # Not "[0-9]*/mountinfo": glob trips over a process that ends just then.
    for process in Path("/proc").glob("[0-9]*"):
        mounts = process / "mountinfo"
        with suppress(OSError):
            # proc(5): awkward characters of a path are octal there.
            lines = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), mounts.read_text()).splitlines()
            found += [f"mount {mounts} {line}" for line in lines if str(lab.directory) in line]
    tag = machine.partition("-")[0]
    found += [f"link {link.name}" for link in Path("/sys/class/net").iterdir() if tag in link.name]
    found += [f"file {path}" for path in (lab.directory, *lab.directory.glob("*")) if path.exists()]
    return found


def root_file_systems(cache: Path) -> list[str]:
    """What there is of root file systems in a cache, finished or not. The directory is root's."""
    found = must(as_root("find", str(cache / "rootfs"), "-mindepth", "1", "-maxdepth", "1", "-type", "d"))
    return [Path(line).name for line in found.splitlines()]


@pytest.fixture
def other_lab(can_run_hosts: None, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "other lab, with: odd \\ 100% 'name\"")
    yield lab
    lab.down()


@pytest.mark.parametrize("suite", SUITES, indirect=True)
def test_a_host_of_each_suite_boots_whole_and_lets_in_by_its_pinned_key(
    lab: Lab, host: SandboxHost, suite: str
) -> None:
    status, text = ssh(
        lab, host, ". /etc/os-release && echo $VERSION_CODENAME && systemctl is-system-running; hostname"
    )
    assert (status, text) == (0, f"{suite}\nrunning\n{host.name}")


@pytest.mark.parametrize("suite", SUITES, indirect=True)
def test_a_host_has_only_what_a_small_server_has(lab: Lab, host: SandboxHost, suite: str) -> None:
    present = inside(lab, host, "command -v bash tar sudo systemctl python3 python curl wget rsync || true").split()
    assert [Path(path).name for path in present] == ["bash", "tar", "sudo", "systemctl"]


@pytest.mark.parametrize("suite", SUITES, indirect=True)
def test_sshd_has_its_defaults(lab: Lab, host: SandboxHost, suite: str) -> None:
    settings = inside(lab, host, "sshd -T").splitlines()
    assert "maxstartups 10:30:100" in settings
    assert "passwordauthentication yes" in settings
    assert "permitrootlogin without-password" in settings


def test_the_public_password_opens_no_door(lab: Lab, host: SandboxHost) -> None:
    assert "passwordauthentication no" in inside(lab, host, "sshd -T -C user=careful,host=x,addr=10.0.0.1").splitlines()


def test_known_hosts_holds_the_keys_that_the_host_has(lab: Lab, host: SandboxHost) -> None:
    real = [line.split()[:2] for line in inside(lab, host, "cat /etc/ssh/ssh_host_*_key.pub").splitlines()]
    pinned = [line.split() for line in host.known_hosts.read_text().splitlines()]
    assert sorted(pinned) == sorted([host.address, *key] for key in real)
    assert {kind for kind, _ in real} == {"ssh-ed25519", "ecdsa-sha2-nistp256"}


def test_a_host_with_other_keys_is_not_trusted(lab: Lab, fresh_host: SandboxHost) -> None:
    inside(lab, fresh_host, "rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh")
    status, text = ssh(lab, fresh_host, "true")
    assert status == 255
    assert "Host key verification failed." in text


def test_each_way_to_root_works(lab: Lab, host: SandboxHost) -> None:
    assert ssh(lab, host, "id -un", user="root") == (0, "root")
    assert ssh(lab, host, "sudo -n id -un", user="deploy") == (0, "root")
    assert ssh(lab, host, "sudo -S -p '' id -un 2>/dev/null", user="careful", stdin="sandbox-only\n") == (0, "root")


def test_sudo_of_careful_needs_the_password(lab: Lab, host: SandboxHost) -> None:
    assert ssh(lab, host, "sudo -n id -un", user="careful")[0] == 1
    assert ssh(lab, host, "sudo -S -p '' id -un", user="careful", stdin="wrong\n")[0] == 1


def test_there_is_a_service_user_that_nobody_logs_in_as(lab: Lab, host: SandboxHost) -> None:
    assert inside(lab, host, "getent passwd app | cut -d: -f7") == "/usr/sbin/nologin"


def test_two_hosts_are_told_apart(lab: Lab, host: SandboxHost, fresh_host: SandboxHost) -> None:
    ask = "cat /etc/machine-id /etc/hostname /etc/ssh/ssh_host_ed25519_key.pub; hostname -I; cat /sys/class/net/host0/address"
    one, other = inside(lab, host, ask).splitlines(), inside(lab, fresh_host, ask).splitlines()
    assert len(one) == len(other) == 5
    assert not set(one) & set(other)


def test_hosts_have_process_trees_of_their_own(lab: Lab, host: SandboxHost, fresh_host: SandboxHost) -> None:
    inside(lab, host, "systemctl stop ssh")
    assert ssh(lab, fresh_host, "systemctl is-active ssh") == (0, "active")
    inside(lab, host, "systemctl start ssh")


@pytest.mark.parametrize("suite", SUITES, indirect=True)
def test_a_power_cut_keeps_the_disk_and_the_journal(lab: Lab, fresh_host: SandboxHost, suite: str) -> None:
    before = inside(lab, fresh_host, "cat /proc/sys/kernel/random/boot_id; cat /etc/machine-id").splitlines()
    inside(lab, fresh_host, "echo kept >/srv/file; echo said >/run/gone; logger before; journalctl --sync; sync")
    lab.powercut(fresh_host.name)
    assert not lab.host(fresh_host.name).running
    assert init_of(fresh_host.machine) is None
    assert connect_error(fresh_host, timeout_s=0.5) != ""
    back = lab.boot(fresh_host.name)
    assert (back.running, back.address) == (True, fresh_host.address)
    after = inside(lab, back, "cat /proc/sys/kernel/random/boot_id; cat /etc/machine-id").splitlines()
    assert (after[0] != before[0], after[1]) == (True, before[1])
    assert (
        inside(lab, back, "cat /srv/file; ls /run/gone 2>/dev/null || journalctl -b -1 -t root -o cat")
        == "kept\nbefore"
    )
    assert ssh(lab, back, "true")[0] == 0


def test_a_link_that_outlives_its_guest_bars_no_start(lab: Lab, fresh_host: SandboxHost) -> None:
    """The kernel takes a link away when the last one has let go of the guest's network, and that may be later."""
    with Path(f"/proc/{init_of(fresh_host.machine)}/ns/net").open("rb"):
        lab.powercut(fresh_host.name)
        assert not has_link(fresh_host.link)
        assert lab.boot(fresh_host.name).running


@pytest.mark.parametrize("suite", SUITES, indirect=True)
def test_a_reboot_brings_another_boot_of_the_same_host(lab: Lab, fresh_host: SandboxHost, suite: str) -> None:
    boots = [inside(lab, fresh_host, "cat /proc/sys/kernel/random/boot_id")]
    for _ in range(2):
        lab.reboot(fresh_host.name)
        boots.append(inside(lab, fresh_host, "cat /proc/sys/kernel/random/boot_id"))
    assert len(set(boots)) == 3
    assert ssh(lab, fresh_host, "systemctl is-system-running") == (0, "running")


def test_a_host_that_powers_itself_off_is_off_and_boots_again(lab: Lab, fresh_host: SandboxHost) -> None:
    lab.enter(fresh_host.name, "systemctl poweroff")
    wait_for(lambda: not lab.host(fresh_host.name).running)
    with pytest.raises(HostError, match="is off"):
        lab.enter(fresh_host.name, "true")
    assert lab.boot(fresh_host.name).running


def test_a_cut_link_is_a_black_hole_until_it_is_restored(lab: Lab, fresh_host: SandboxHost) -> None:
    with subprocess.Popen(
        lab.ssh_argv(fresh_host.name, "echo open; read -r line; echo got $line"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        assert session.stdout.readline() == "open\n"
        lab.cut_link(fresh_host.name)
        # Longer than ARP would take to say "no route to host": nobody says anything.
        assert connect_error(fresh_host, timeout_s=4) == "timed out"
        assert inside(lab, fresh_host, "cat /sys/class/net/host0/carrier") == "1"
        session.stdin.write("hello\n")
        session.stdin.flush()
        assert session.poll() is None
        lab.restore_link(fresh_host.name)
        assert session.stdout.readline() == "got hello\n"
    assert ssh(lab, fresh_host, "true")[0] == 0


def test_without_a_cut_the_same_connection_is_refused_aloud(lab: Lab, fresh_host: SandboxHost) -> None:
    assert connect_error(fresh_host, timeout_s=4) == ""
    inside(lab, fresh_host, "systemctl stop ssh.service ssh.socket")
    assert connect_error(fresh_host, timeout_s=4) == errno.ECONNREFUSED


def test_entering_needs_no_sshd_and_ends_in_time(lab: Lab, fresh_host: SandboxHost) -> None:
    inside(lab, fresh_host, "systemctl stop ssh.service ssh.socket")
    done = lab.enter(fresh_host.name, "hostname; echo oh >&2; exit 7")
    assert (done.status, done.stdout, done.stderr) == (7, f"{fresh_host.name}\n", "oh\n")
    with pytest.raises(HostError, match=r"took longer than 0\.5 s"):
        lab.enter(fresh_host.name, "sleep 1000 & sleep 1000", timeout_s=0.5)
    wait_for(lambda: lab.enter(fresh_host.name, "pgrep sleep").status == 1)


def test_up_again_changes_nothing_and_another_suite_is_refused(lab: Lab, host: SandboxHost) -> None:
    before = inside(lab, host, "cat /proc/sys/kernel/random/boot_id")
    assert lab.up(host.name) == host
    assert inside(lab, host, "cat /proc/sys/kernel/random/boot_id") == before
    with pytest.raises(UsageError, match="is there with bookworm, not trixie"):
        lab.up(host.name, suite="trixie")


def test_a_host_outlives_the_process_that_booted_it(other_lab: Lab) -> None:
    subprocess.run((sys.executable, "-c", BOOT, str(other_lab.directory)), check=True, timeout=120)
    (found,) = other_lab.hosts()
    assert (found.name, found.running) == ("sandbox1", True)
    assert ssh(other_lab, found, "hostname") == (0, "sandbox1")


def test_down_leaves_nothing_behind(other_lab: Lab) -> None:
    host = other_lab.up()
    kinds = {trace.split()[0] for trace in traces(other_lab, host.machine)}
    assert kinds == {"group", "process", "mount", "link", "file"}
    in_our_namespace = Path("/proc/self/mountinfo").read_text()
    assert "other lab" not in in_our_namespace
    assert other_lab.down() == ("sandbox1",)
    assert traces(other_lab, host.machine) == []
    assert other_lab.down() == ()


@pytest.mark.parametrize(
    "moment", ["hosts/sandbox1", "hosts/sandbox1/host.json", "hosts/sandbox1/disk", "hosts/sandbox1/supervisor"]
)
def test_an_interrupted_up_is_cleared_away(other_lab: Lab, moment: str) -> None:
    with subprocess.Popen((sys.executable, "-c", BOOT, str(other_lab.directory)), stderr=subprocess.PIPE) as process:
        wait_for((other_lab.directory / moment).exists)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in stderr
    other_lab.down()
    assert traces(other_lab, other_lab._state.machine(11)) == []


def test_an_interrupted_up_is_made_good_by_the_next(other_lab: Lab) -> None:
    with subprocess.Popen((sys.executable, "-c", BOOT, str(other_lab.directory)), stderr=subprocess.PIPE) as process:
        wait_for((other_lab.directory / "hosts/sandbox1/seed").exists)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert ssh(other_lab, other_lab.up(), "systemctl is-system-running") == (0, "running")


def test_two_labs_side_by_side_share_nothing(lab: Lab, host: SandboxHost, other_lab: Lab) -> None:
    twin = other_lab.up(host.name)
    assert twin.address.rpartition(".")[0] != host.address.rpartition(".")[0]
    assert (twin.machine, twin.link) != (host.machine, host.link)
    assert ssh(other_lab, twin, "hostname") == ssh(lab, host, "hostname") == (0, host.name)
    assert inside(lab, host, "cat /etc/machine-id") != inside(other_lab, twin, "cat /etc/machine-id")
    other_lab.down()
    assert ssh(lab, host, "systemctl is-system-running") == (0, "running")


def test_hosts_of_one_lab_come_up_side_by_side(other_lab: Lab) -> None:
    with ThreadPoolExecutor(max_workers=3) as pool:
        hosts = list(pool.map(other_lab.up, ("one", "two", "three")))
    assert len({host.address for host in hosts}) == 3
    assert [ssh(other_lab, host, "hostname")[1] for host in hosts] == ["one", "two", "three"]


def test_labs_that_look_for_a_network_at_once_get_different_ones(can_run_hosts: None) -> None:
    names = ("dtest-one", "dtest-two", "dtest-three")
    try:
        with ThreadPoolExecutor(max_workers=3) as pool:
            networks = list(pool.map(lambda name: raise_bridge(name, None, start=4711), names))
        assert len(set(networks)) == 3
    finally:
        for name in names:
            drop_link(name)


def test_a_network_that_something_else_took_meanwhile_is_not_shared(other_lab: Lab) -> None:
    host = other_lab.up()
    other_lab.powercut(host.name)
    drop_link(other_lab._state.bridge)
    must(as_root("ip", "link", "add", "dtest-vpn", "type", "bridge"))
    try:
        must(as_root("ip", "address", "add", f"{host.address}/32", "dev", "dtest-vpn"))
        with pytest.raises(HostError, match="is now used by something else on this machine"):
            other_lab.boot(host.name)
    finally:
        drop_link("dtest-vpn")
    assert other_lab.boot(host.name).address == host.address


def test_a_host_boots_where_inotify_instances_run_out(lab: Lab, make_host: Callable[[], SandboxHost]) -> None:
    limit_file = Path("/proc/sys/fs/inotify/max_user_instances")
    limit = int(limit_file.read_text())
    libc = ctypes.CDLL(None, use_errno=True)
    instances = []
    try:
        # Enough are left for others on this machine, too few for what a guest is to have in reserve.
        for _ in range(limit - 40 - inotify_instances()):
            instances.append(libc.inotify_init1(os.O_CLOEXEC))
            assert instances[-1] >= 0
        made = make_host()
        assert int(limit_file.read_text()) > limit
        assert ssh(lab, made, "systemctl is-system-running") == (0, "running")
        lab.down(made.name)
    finally:
        for instance in instances:
            os.close(instance)
        must(as_root("sh", "-c", f"echo {limit} >{limit_file}"))


def inotify_instances() -> int:
    # A process that ends while we look is no fault.
    done = run(as_root("sh", "-c", "find /proc/[0-9]*/fd -lname anon_inode:inotify | wc -l"), timeout_s=10)
    return int(done.stdout)


def test_running_hosts_are_hosts_to_deploy_to(other_lab: Lab) -> None:
    made = other_lab.up("web")
    (found,) = overlay_hosts(other_lab.directory)
    assert (found.name, found.address, found.port, found.user) == ("web", made.address, 22, "root")
    assert (found.identity_file, found.known_hosts) == (made.identity_file, made.known_hosts)
    other_lab.powercut("web")
    assert overlay_hosts(other_lab.directory) == ()


def test_a_boot_that_cannot_succeed_says_what_the_console_said(other_lab: Lab) -> None:
    host = other_lab.up()
    inside(other_lab, host, "rm /usr/lib/systemd/systemd /usr/sbin/init")
    other_lab.powercut(host.name)
    with pytest.raises(HostError, match="sandbox1 went off while it booted") as caught:
        other_lab.boot(host.name)
    assert any("execv" in line for line in caught.value.details), caught.value.details


def test_a_host_that_does_not_get_up_in_time_is_an_error(other_lab: Lab) -> None:
    host = other_lab.up()
    inside(other_lab, host, "systemctl disable ssh; systemctl mask ssh.service ssh.socket")
    other_lab.powercut(host.name)
    with pytest.raises(HostError, match="was not up within 3 s") as caught:
        Lab(other_lab.directory, boot_timeout_s=3).boot(host.name)
    assert any("Connection refused" in line for line in caught.value.details), caught.value.details


def test_a_second_builder_waits_for_the_first_and_takes_its_work(can_run_hosts: None, tmp_path: Path) -> None:
    built = tmp_path / "rootfs" / "some-name"
    built.parent.mkdir()
    with built.with_name("some-name.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        argv = script("rootfs.sh", str(tmp_path), "some-name", "bookworm", "http://192.0.2.1/nowhere", "systemd")
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            assert "waiting" in second.stdout.readline()
            built.mkdir()
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert second.wait(timeout=30) == 0


def test_a_build_that_fails_leaves_no_root_file_system(
    can_run_hosts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYER_MIRROR", "file:///nowhere/debian")
    with pytest.raises(HostError, match="building the bookworm root file system failed") as caught:
        Lab(tmp_path / "state", cache=tmp_path).up()
    assert any("nowhere" in line for line in caught.value.details), caught.value.details
    assert root_file_systems(tmp_path) == []


def test_a_build_that_is_interrupted_leaves_no_root_file_system(can_run_hosts: None, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}/debian"
        with (
            subprocess.Popen(
                (sys.executable, "-c", BOOT, str(tmp_path / "state")),
                stderr=subprocess.PIPE,
                env={**os.environ, "DEPLOYER_MIRROR": mirror, "DEPLOYER_CACHE": str(tmp_path)},
            ) as process,
            silent.accept()[0],
        ):  # apt asks for the archive: the tree is half made
            assert root_file_systems(tmp_path) == [f"{recipe_name('bookworm')}.building"]
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in stderr
    assert root_file_systems(tmp_path) == []


def test_the_commands_take_the_host_that_is_named(other_lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "deploy.toml").write_text(
        '[app]\nname = "shop"\nuser = "app"\n[service]\nkind = "exec"\nexec_start = "bin/x"\n'
    )

    def deployer(*words: str) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            (sys.executable, "-m", "deployer", *words, "--output", "json"),
            cwd=tmp_path,
            env={**os.environ, "DEPLOYER_SANDBOX": str(other_lab.directory)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    assert deployer("sandbox", "up", "--host", "web1")[0] == 0
    assert [host.name for host in other_lab.hosts()] == ["web1"]
    status, events = deployer("sandbox", "ssh", "--host", "web1", "--command", "hostname; echo oh >&2; exit 3")
    assert status == 3
    assert sorted((event["type"], event["host"], event["text"]) for event in events) == [
        ("command", "web1", "oh"),
        ("command", "web1", "web1"),
    ]
    assert deployer("sandbox", "down", "--host", "web2")[0] == 2
    assert deployer("sandbox", "powercut", "--host", "web1")[0] == 0
    assert not other_lab.host("web1").running
    status, (event,) = deployer("ping", "--host", "web1", "--config", "deploy.toml")
    assert (status, event["message"]) == (2, "the sandbox host web1 is off")
    assert event["hint"] == "deployer sandbox boot --name web1"
    assert deployer("sandbox", "down", "--host", "web1")[0] == 0
    assert other_lab.hosts() == ()
