"""What can happen to a deploy: to its client, its link, its host. Each fault is struck in the middle of one, and ends.

A fault is a generator in a `Scene`: it does its harm, yields as long as that is to last, and then takes it away, as a
person would who mends what broke. Nothing of ours is mended by it.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from deployer.sandbox import Lab
from tests.host.project import OnHost
from tests.host.striking import Client


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A client at work on a host. `chance` gives what a fault leaves open."""

    lab: Lab
    on_host: OnHost
    client: Client
    chance: random.Random

    @property
    def name(self) -> str:
        return self.on_host.host.name

    def sh(self, command: str) -> str:
        return self.on_host.sh(command)


Fault = Callable[[Scene], Iterator[None]]


def _client_signal(number: signal.Signals) -> Fault:
    def fault(scene: Scene) -> Iterator[None]:
        with contextlib.suppress(ProcessLookupError):
            scene.client.strike(number)
        yield

    return fault


def _link_cut(seconds: float | None) -> Fault:
    def fault(scene: Scene) -> Iterator[None]:
        scene.lab.cut_link(scene.name)
        _sleep_or_end(scene, seconds)
        yield
        scene.lab.restore_link(scene.name)

    return fault


def _one_way(deaf: Literal["host", "client"]) -> Fault:
    def fault(scene: Scene) -> Iterator[None]:
        with scene.lab.one_way(scene.name, deaf=deaf):
            _sleep_or_end(scene, 6.0)
            yield

    return fault


def _link_reset(scene: Scene) -> Iterator[None]:
    # The processes that serve our logins, and not the one that listens: the kernel resets what they had open.
    scene.sh("pkill -KILL -f '^sshd: .*(@|priv)' || true")
    yield


def _sshd_stopped(scene: Scene) -> Iterator[None]:
    scene.sh("systemctl stop ssh.service; pkill -KILL -f '^sshd: .*(@|priv)' || true")
    time.sleep(scene.chance.uniform(0.5, 3))
    yield
    scene.sh("systemctl start ssh.service")


def _sshd_slow(scene: Scene) -> Iterator[None]:
    # Shorter than what the client takes for a dead link, again and again.
    for _ in range(3):
        scene.sh("pkill -STOP -f '^sshd: ' || true")
        time.sleep(1.5)
        scene.sh("pkill -CONT -f '^sshd: ' || true")
        time.sleep(0.3)
    yield


def _sshd_set(line: str) -> Fault:
    def fault(scene: Scene) -> Iterator[None]:
        # First in the file: of several values sshd takes the first. The connections that are there are cut.
        scene.sh(
            f"cp /etc/ssh/sshd_config /run/sshd_config.kept; sed -i '1i {line}' /etc/ssh/sshd_config; "
            "systemctl reload ssh.service; pkill -KILL -f '^sshd: .*(@|priv)' || true"
        )
        _sleep_or_end(scene, 4.0)
        yield
        scene.sh("cat /run/sshd_config.kept > /etc/ssh/sshd_config; systemctl reload ssh.service")

    return fault


def _power_cut(scene: Scene) -> Iterator[None]:
    scene.lab.powercut(scene.name)
    yield
    scene.lab.boot(scene.name)


def _reboot(scene: Scene) -> Iterator[None]:
    scene.lab.reboot(scene.name)
    yield


def _activation_killed(whom: str) -> Fault:
    def fault(scene: Scene) -> Iterator[None]:
        unit = f"deployer-{scene.on_host.project.name}.service"
        scene.sh(f"systemctl kill --kill-who={whom} --signal=KILL {unit} || true")
        yield

    return fault


def _app_killed(scene: Scene) -> Iterator[None]:
    scene.sh(f"systemctl kill --signal=KILL {scene.on_host.project.name}.service || true")
    yield


def _restarted_by_hand(scene: Scene) -> Iterator[None]:
    scene.sh(f"systemctl restart {scene.on_host.project.name}.service || true")
    yield


def _read_only(directory: str) -> Fault:
    def fault(scene: Scene) -> Iterator[None]:
        scene.sh(
            f"mountpoint -q {directory} || mount --bind {directory} {directory}; mount -o remount,bind,ro {directory}"
        )
        scene.client.ended(deadline_s=150)
        yield
        # The mount stays: what was started meanwhile has its directory there.
        scene.sh(f"mount -o remount,bind,rw {directory}")

    return fault


def _second_client(*words: str) -> Fault:
    def fault(scene: Scene) -> Iterator[None]:
        with Client(scene.on_host.project, *words, "--host", scene.name) as rival:
            rival.ended(deadline_s=120)
            yield

    return fault


def _second_deploy(scene: Scene) -> Iterator[None]:
    tarball = scene.on_host.project.tarball(f"2.{scene.chance.randrange(10**6)}.0")
    yield from _second_client("deploy", "--artifact", str(tarball))(scene)


def _release_removed(scene: Scene) -> Iterator[None]:
    """A person clears up: every release that is neither committed nor running."""
    root = scene.on_host.project.root
    scene.sh(
        f'for each in {root}/releases/*; do [[ $(readlink {root}/current) == "releases/${{each##*/}}" ]] && continue; '
        f'readlink /proc/[0-9]*/cwd | grep -qxF "$each" || rm -rf "$each"; done'
    )
    yield


def _journal_vacuumed(scene: Scene) -> Iterator[None]:
    scene.sh("journalctl --quiet --rotate --vacuum-size=1 --vacuum-files=1 2>/dev/null || true")
    yield


def _journal_gone(scene: Scene) -> Iterator[None]:
    scene.sh(
        "systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service 2>/dev/null || true"
    )
    _sleep_or_end(scene, 4.0)
    yield
    scene.sh("systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service")


def _clock_jumps(scene: Scene) -> Iterator[None]:
    # The clock of a container is this machine's; what the host program knows of it comes from date(1).
    days = scene.chance.choice((-400, -1, 1, 400))
    scene.sh(
        f'printf \'#!/bin/bash\\n[[ " $* " == *" -r "* ]] && exec /usr/bin/date "$@"; exec /usr/bin/date -d "{days} days" "$@"\\n\' '
        "> /usr/local/bin/date; chmod 755 /usr/local/bin/date"
    )
    _sleep_or_end(scene, 4.0)
    yield
    scene.sh("rm -f /usr/local/bin/date")


def _sleep_or_end(scene: Scene, seconds: float | None) -> None:
    """Wait for so long, or until the client has ended; with None for that alone."""
    if seconds is None:
        scene.client.ended(deadline_s=150)
        return
    until = time.monotonic() + seconds
    while time.monotonic() < until and not scene.client.is_over:
        time.sleep(0.05)


FAULTS: dict[str, Fault] = {
    "client killed": _client_signal(signal.SIGKILL),
    "client ended by TERM": _client_signal(signal.SIGTERM),
    "Ctrl-C": _client_signal(signal.SIGINT),
    "terminal closed": _client_signal(signal.SIGHUP),
    "link cut for a second": _link_cut(1.0),
    "link cut for 7 s": _link_cut(7.0),
    "link cut for a minute": _link_cut(60.0),
    "link cut for good": _link_cut(None),
    "link deaf towards the host": _one_way("host"),
    "link deaf towards the client": _one_way("client"),
    "link reset": _link_reset,
    "sshd stopped": _sshd_stopped,
    "sshd slow": _sshd_slow,
    "sshd with one session a connection": _sshd_set("MaxSessions 1"),
    "sshd asks for a password": _sshd_set("PubkeyAuthentication no"),
    "power cut": _power_cut,
    "reboot": _reboot,
    "activation killed": _activation_killed("main"),
    "activation killed, all of it": _activation_killed("all"),
    "app killed": _app_killed,
    "restart by hand": _restarted_by_hand,
    "/opt read-only": _read_only("/opt"),
    "/etc read-only": _read_only("/etc"),
    "a deploy at the same moment": _second_deploy,
    "a rollback at the same moment": _second_client("rollback"),
    "a restart by a second client": _second_client("restart"),
    "other releases removed": _release_removed,
    "journal vacuumed": _journal_vacuumed,
    "journal gone": _journal_gone,
    "clock jumps": _clock_jumps,
}
