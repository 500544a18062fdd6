"""What of the sandbox needs no host: names, networks, records, what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tomllib
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from deployer.errors import HostError, UsageError
from deployer.model import Host
from deployer.sandbox import (
    SandboxHost,
    cache_directory,
    commands,
    host_entry,
    hosts_off,
    missing,
    overlay_hosts,
    state_directory,
)
from deployer.sandbox.network import free_network
from deployer.sandbox.processes import current, recorded
from deployer.sandbox.rootfs import built_rootfs, mirror, mirror_among, recipe_name
from deployer.sandbox.seed import ssh_argv
from deployer.sandbox.state import State, check_name

TEN = IPv4Network("10.0.0.0/8")
ODD = '/home/o\'neil/a "b" \\ 100%h/žluť'


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


@pytest.fixture
def host(state: State) -> SandboxHost:
    add(state, "sandbox1", number=11)
    return state.host("sandbox1")


def add(state: State, name: str, *, number: int) -> None:
    state.host_directory(name).mkdir(parents=True)
    state.record(name, number=number, address=f"10.99.0.{number}", suite="trixie", rootfs=Path("/c/rootfs/x"))


def run_by_us(state: State, name: str, record: str = "") -> None:
    (state.host_directory(name) / "supervisor").write_text(record or current().record)


def test_a_free_network_overlaps_nothing_taken() -> None:
    assert free_network((), start=0) == IPv4Network("10.64.0.0/24")
    assert free_network((), start=300) == IPv4Network("10.65.44.0/24")
    taken = (IPv4Network("10.64.0.0/24"), IPv4Network("10.64.1.128/25"), IPv4Network("192.168.0.0/16"))
    assert free_network(taken, start=0) == IPv4Network("10.64.2.0/24")


def test_the_search_for_a_network_goes_round() -> None:
    last_half = IPv4Network("10.96.0.0/11")
    assert free_network((last_half,), start=16383) == IPv4Network("10.64.0.0/24")


def test_a_vpn_that_claims_10_leaves_the_test_range() -> None:
    assert free_network((TEN,), start=0) == IPv4Network("198.18.0.0/24")
    with pytest.raises(UsageError, match="no private /24 network is free"):
        free_network((TEN, IPv4Network("198.18.0.0/15")), start=0)


def test_directories_follow_our_variable_then_xdg_then_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_directory({}) == Path("/home/me/.cache/deployer")
    assert state_directory({}) == Path("/home/me/.local/state/deployer/sandbox")
    assert cache_directory({"XDG_CACHE_HOME": "/c"}) == Path("/c/deployer")
    assert state_directory({"XDG_STATE_HOME": "/s"}) == Path("/s/deployer/sandbox")
    assert state_directory({"XDG_STATE_HOME": "relative"}) == Path("/home/me/.local/state/deployer/sandbox")
    assert cache_directory({"XDG_CACHE_HOME": "/c", "DEPLOYER_CACHE": "~/mine"}) == Path("/home/me/mine")
    assert state_directory({"DEPLOYER_SANDBOX": "/x"}) == Path("/x")


def test_the_mirror_is_the_chosen_one_or_that_of_a_debian_machine() -> None:
    assert mirror({"DEPLOYER_MIRROR": "http://mirror.example/debian"}) == "http://mirror.example/debian"
    debian = "Debian-Security http://a/debian-security/\nDebian http://ftp.example/debian/\nDebian http://b/debian/\n"
    assert mirror_among(debian) == "http://ftp.example/debian"
    assert mirror_among("Ubuntu http://archive.ubuntu.com/ubuntu/\n") == "http://deb.debian.org/debian"
    assert mirror_among("Debian file:/srv/debian/\n") == "http://deb.debian.org/debian"
    assert mirror_among("") == "http://deb.debian.org/debian"


def test_a_root_file_system_is_named_by_suite_machine_and_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_name("trixie", machine="aarch64")
    assert before.startswith("trixie-aarch64-")
    assert recipe_name("trixie", machine="aarch64") == before
    monkeypatch.setattr("deployer.sandbox.rootfs.PACKAGES", ("systemd",))
    assert recipe_name("trixie", machine="aarch64") != before


def test_an_unknown_suite_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no suite 'noble' for sandbox hosts; there are: bookworm, trixie"):
        built_rootfs("noble", cache=tmp_path, on_line=print)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "../x", "a" * 33, "a b", "a\n"])
def test_a_name_that_cannot_be_a_hostname_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a sandbox host"):
        check_name(name)


def test_names_that_can(state: State) -> None:
    for name in ("a", "sandbox1", "web-2", "a" * 32):
        assert state.host_directory(name).name == name


def test_kernel_names_are_short_and_differ_between_labs(tmp_path: Path) -> None:
    one, other = State(tmp_path / "one"), State(tmp_path / "other")
    assert one.tag != other.tag
    assert one.tag == State(tmp_path / "x" / ".." / "one").tag
    for lab in (one, other):
        assert len(f"vb-{lab.machine(250)}") <= 15
        assert len(lab.bridge) <= 15


def test_a_host_is_known_once_its_record_is_written(state: State) -> None:
    state.host_directory("half").mkdir(parents=True)
    add(state, "whole", number=12)
    assert state.names() == ("half", "whole")
    assert [host.name for host in state.hosts()] == ["whole"]
    assert state.find("half") is None
    with pytest.raises(UsageError, match=r"there is no sandbox host 'half' \(there: whole\)"):
        state.host("half")


def test_the_least_free_number_is_taken(state: State) -> None:
    assert state.free_number() == 11
    for number in (11, 12, 14):
        add(state, f"h{number}", number=number)
    assert state.free_number() == 13


def test_a_full_lab_says_so(state: State) -> None:
    for number in range(11, 251):
        add(state, f"h{number}", number=number)
    with pytest.raises(UsageError, match="is full: 240 hosts"):
        state.free_number()


def test_a_host_runs_while_its_supervisor_does(state: State, host: SandboxHost) -> None:
    assert not host.running
    run_by_us(state, host.name)
    assert state.host(host.name) == replace(host, running=True)


def test_a_process_id_that_is_used_again_is_not_the_supervisor(state: State, host: SandboxHost) -> None:
    me = current()
    run_by_us(state, host.name, replace(me, start=me.start - 1).record)
    assert not state.host(host.name).running
    run_by_us(state, host.name, replace(me, boot="another-boot").record)
    assert not state.host(host.name).running


def test_a_zombie_is_not_alive(tmp_path: Path) -> None:
    with subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE) as child:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        record = tmp_path / "record"
        record.write_text(f"{child.pid} {fields[19]} {current().boot}\n")
        process = recorded(record)
        assert process is not None
        assert process.is_alive
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert not process.is_alive


def test_two_threads_are_kept_off_one_host_but_not_off_two(state: State) -> None:
    entered, waiting = threading.Event(), threading.Event()

    def work(name: str) -> None:
        with state.locked(name, lambda _: waiting.set()):
            entered.set()

    with state.locked("one"):
        other = threading.Thread(target=work, args=("two",))
        other.start()
        assert entered.wait(5)
        other.join()
        assert not waiting.is_set()
        entered.clear()
        same = threading.Thread(target=work, args=("one",))
        same.start()
        assert waiting.wait(5)
        assert not entered.is_set()
    assert entered.wait(5)
    same.join()


def test_a_lock_that_was_removed_while_we_waited_is_taken_anew(state: State) -> None:
    waiting, held, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        with state.locked("", lambda _: waiting.set()):
            held.set()
            done.wait(5)

    with state.locked():
        thread = threading.Thread(target=work)
        thread.start()
        assert waiting.wait(5)
        state.forget()
    assert held.wait(5)
    third = threading.Event()
    with_it = threading.Thread(target=lambda: state.locked("", lambda _: third.set()).__enter__())
    with_it.start()
    assert third.wait(5)  # it finds the same file, and waits
    done.set()
    thread.join()
    with_it.join()


def test_forgetting_removes_all_that_is_ours_and_nothing_else(state: State) -> None:
    state.directory.mkdir()
    with state.locked():
        state.network = IPv4Network("10.99.0.0/24")
        state.key.write_text("key")
        (state.directory / "hosts").mkdir()
        state.forget()
    assert not state.directory.exists()
    state.directory.mkdir()
    (state.directory / "notes.txt").write_text("mine")
    with state.locked():
        state.forget()
    assert [path.name for path in state.directory.iterdir()] == ["notes.txt"]


def test_the_network_is_remembered(state: State) -> None:
    assert state.network is None
    state.directory.mkdir()
    state.network = IPv4Network("10.99.0.0/24")
    assert State(state.directory).network == IPv4Network("10.99.0.0/24")


def test_the_config_entry_of_a_host_says_exactly_what_it_is(host: SandboxHost) -> None:
    odd = replace(host, identity_file=Path(ODD, "key"), known_hosts=Path(ODD, "known_hosts"))
    assert tomllib.loads(host_entry(odd)) == {
        "hosts": {
            "sandbox1": {
                "address": "10.99.0.11",
                "user": "root",
                "identity_file": f"{ODD}/key",
                "known_hosts": f"{ODD}/known_hosts",
            }
        }
    }


def test_only_running_hosts_are_offered_to_a_deploy(state: State, host: SandboxHost) -> None:
    add(state, "off", number=12)
    run_by_us(state, host.name)
    assert overlay_hosts(state.directory) == (
        Host(
            name="sandbox1",
            address="10.99.0.11",
            port=22,
            user="root",
            identity_file=state.key,
            known_hosts=host.known_hosts,
        ),
    )
    assert overlay_hosts(state.directory / "none") == ()
    assert [host.name for host in hosts_off(state.directory)] == ["off"]


def test_offering_hosts_loads_nothing_that_runs_processes() -> None:
    code = "import sys; from deployer.sandbox import overlay_hosts; print('subprocess' in sys.modules)"
    done = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_openssh_reads_the_odd_paths_as_they_are_meant(host: SandboxHost) -> None:
    odd = replace(host, identity_file=Path(ODD, "key"), known_hosts=Path(ODD, "known_hosts"))
    argv = ssh_argv(odd, "true", user="deploy")
    done = subprocess.run((argv[0], "-G", *argv[1:]), check=True, capture_output=True, text=True)
    # `ssh -G` shows paths with their "%%", which it reads as "%" when it opens them.
    settings = dict(line.split(" ", 1) for line in done.stdout.replace("%%", "%").splitlines())
    assert settings["identityfile"] == f"{ODD}/key"
    assert settings["userknownhostsfile"] == f"{ODD}/known_hosts"
    assert (settings["stricthostkeychecking"], settings["user"]) == ("true", "deploy")
    assert settings["hostname"] == "10.99.0.11"


def test_another_system_than_linux_is_told_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert missing() == ("Linux: sandbox hosts are systemd-nspawn containers, and this is darwin",)
    with pytest.raises(UsageError, match="it lacks: Linux"):
        commands.require()


def test_missing_programs_are_named_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "_SEARCH", str(tmp_path))
    monkeypatch.setattr(commands, "_has_apt", lambda: True)
    assert "systemd-nspawn (package systemd-container)" in missing()
    assert "mmdebstrap (package mmdebstrap)" in missing()
    with pytest.raises(UsageError, match="it lacks: ") as caught:
        commands.require()
    packages = "iproute2 mmdebstrap mount openssh-client systemd-container util-linux"
    assert "apt-get install --yes " in caught.value.hint
    for package in packages.split():
        assert f" {package}" in caught.value.hint


def test_a_command_that_takes_too_long_is_ended_and_told() -> None:
    done = commands.run(("sleep", "60"), timeout_s=0.1)
    assert (done.timed_out, done.status) == (True, 124)
    assert not commands.run(("sh", "-c", "exit 124"), timeout_s=5).timed_out
    with pytest.raises(HostError, match=r"sleep 60 took longer than 0\.1 s"):
        commands.must(("sleep", "60"), timeout_s=0.1)


def test_a_command_that_fails_shows_its_last_words() -> None:
    with pytest.raises(HostError, match="counting failed with status 3") as caught:
        commands.stream(("sh", "-c", "seq 30; exit 3"), timeout_s=5, what="counting", on_line=lambda _: None)
    assert caught.value.details == tuple(str(number) for number in range(11, 31))


def test_lines_are_handed_over_as_they_come() -> None:
    heard: list[str] = []
    commands.stream(("sh", "-c", "echo one; echo two >&2"), timeout_s=5, what="talking", on_line=heard.append)
    assert heard == ["one", "two"]
