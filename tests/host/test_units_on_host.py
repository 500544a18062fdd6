"""Rendered units on real hosts of two systemd versions: accepted without a word, and doing what they promise."""

from __future__ import annotations

import base64
import shlex
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from deployer import local
from deployer.kinds.base import Launch
from deployer.model import App, Config, Service
from deployer.sandbox import SUITES, Lab, SandboxHost
from deployer.unit import one_off_text, unit_text

pytestmark = pytest.mark.parametrize("suite", SUITES, indirect=True)

RELEASE_ID = "1.0-abcdef01"

PROGRAM = r"""#!/bin/sh
case $1 in
    stay) exec sleep infinity ;;
    die) exit 1 ;;
esac
"""

# The well-known unit of a Phoenix application, its paths replaced by placeholders and nothing else.
SOURCE = """\
[Unit]
Description=Runner for My Phoenix App
After=network.target

[Service]
WorkingDirectory={{release}}
EnvironmentFile={{env_file}}
ExecStart={{release}}/bin/server start
ExecStop={{release}}/bin/server stop
User=svc
RemainAfterExit=yes

[Install]
WantedBy=multi-user.target
"""

NAMES = ("shop", "my-shop", "a.b@c", "x@1", "_Z.9")


class Box:
    """A host with a user `svc` and, for each app, a release that can be started."""

    def __init__(self, lab: Lab, host: SandboxHost) -> None:
        self.lab = lab
        self.host = host

    def ssh(self, command: str, *, stdin: str = "", status: int | None = 0) -> str:
        done = local.run(self.lab.ssh_argv(self.host.name, command), timeout_s=120, stdin=stdin.encode())
        if status is not None:
            assert done.status == status, (done.status, done.stdout, done.stderr)
        return done.stdout.decode() + done.stderr.decode()

    def put(self, path: PurePosixPath | str, text: str, mode: str = "644") -> None:
        self.ssh(f"install -D -m {mode} /dev/stdin {shlex.quote(str(path))}", stdin=text)

    def show(self, unit: str, name: str) -> str:
        return self.ssh(f"systemctl show --value -p {name} {unit}").strip()

    def run(self, unit: str, command: str, mode: str = "--pipe") -> str:
        """Run a shell line as a one-off command of that unit's name, from a working directory of no use to it."""
        argv = f"systemd-run --quiet --wait --collect {mode} --unit={unit} -- /bin/sh -c {shlex.quote(command)}"
        return self.ssh(f"cd /usr/share && {argv}")


@pytest.fixture(scope="module")
def box(lab: Lab, host: SandboxHost) -> Iterator[Box]:
    box = Box(lab, host)
    box.ssh("useradd --create-home --user-group svc && useradd --system nginx")
    for name in NAMES:
        app = config(name).app
        box.put(app.release_path(RELEASE_ID) / "bin/server", PROGRAM, "755")
        box.put(app.env_path, 'SECRET="s p \\$x"\nPORT="4000"\n', "600")
    yield box
    units = " ".join(config(name).app.unit for name in NAMES)
    box.ssh(f"systemctl stop {units}", status=None)


def config(name: str = "shop", **service: Any) -> Config:
    app = App(name=name, user="svc", description='100% "shop" %n', root=PurePosixPath("/opt") / name, keep=5)
    return Config(path=Path("config/deploy.toml"), app=app, service=Service(**service))


def rendered(whole: Config, *, jit: bool = False, command: str = "bin/server stay") -> str:
    launch = Launch(
        exec_start=command,
        environment=(("HOME", f"/var/lib/{whole.app.name}"), ("ODD", 'a b%h "q" \\ $Z é\n')),
        jit=jit,
        success_statuses=("143",),
    )
    release = whole.app.release_path(RELEASE_ID)
    return unit_text(whole, launch=launch, release_path=release, env_file=whole.app.env_path)


VERIFY = r"""
while read -r number name unit; do
    mkdir -p "/tmp/verify/$number"
    base64 -d <<<"$unit" >"/tmp/verify/$number/$name.service"
    systemd-analyze --no-pager verify "/tmp/verify/$number/$name.service" || echo "$number ended with status $?"
done 2>&1
"""


def verified(box: Box, *units: tuple[str, str]) -> str:
    """Return what systemd says about units (name and text of each): nothing, when it accepts them without a word."""
    lines = [
        f"{number} {name} {base64.b64encode(text.encode()).decode()}\n" for number, (name, text) in enumerate(units)
    ]
    return box.ssh(f"bash -c {shlex.quote(VERIFY)}", stdin="".join(lines))


def started(box: Box, whole: Config, text: str) -> str:
    """Install and start a unit; return its main process once it runs."""
    unit = whole.app.unit
    reset = f"systemctl daemon-reload && systemctl reset-failed {unit} 2>/dev/null; systemctl restart {unit}"
    said = box.ssh(f"cat >{whole.app.unit_path}; {reset}; systemctl show -p SubState -p MainPID {unit}", stdin=text)
    state = dict(line.split("=", 1) for line in said.splitlines())
    assert state["SubState"] == "running"
    return state["MainPID"]


def test_every_level_type_and_restart_is_accepted_without_a_word(box: Box) -> None:
    levels = [
        config(hardening=level, type=kind)
        for level in ("strict", "basic", "off")
        for kind in ("exec", "simple", "notify", "forking", "oneshot")
    ]
    restarts = [
        config(restart=restart, restart_delay_s=0.3)
        for restart in ("no", "always", "on-success", "on-abnormal", "on-watchdog", "on-abort")
    ]
    units = [("shop", rendered(whole, jit=jit)) for whole in (*levels, *restarts) for jit in (True, False)]
    assert verified(box, *units) == ""


def test_every_form_of_name_is_accepted_without_a_word(box: Box) -> None:
    assert verified(box, *((name, rendered(config(name))) for name in NAMES)) == ""


def test_every_form_of_command_is_accepted_without_a_word(box: Box) -> None:
    box.ssh("install -m 755 /bin/true /tmp/x")
    commands = (
        "-bin/server stay",
        "@bin/server argv0",
        '"bin/server" --port ${PORT} $ARGS \'a "b"\' %%n',
        "/usr/bin/env true",
        "%T/x",
    )
    assert verified(box, *(("shop", rendered(config(), command=command)) for command in commands)) == ""


def test_directives_of_the_config_are_accepted_without_a_word(box: Box) -> None:
    given = (
        ("Service.AmbientCapabilities", ("CAP_NET_BIND_SERVICE",)),
        ("Service.ExecStartPre", ("{{release}}/bin/server prepare",)),
        ("Service.PrivateTmp", ()),
        ("Service.LimitNOFILE", ("1024",)),
        ("Unit.RequiresMountsFor", ("/opt",)),
    )
    assert verified(box, ("shop", rendered(config(directives=given)))) == ""


def test_a_wrong_directive_would_be_seen(box: Box) -> None:
    nonsense, missing = config(directives=(("Service.Nonsense", ("1",)),)), "bin/not-there"
    assert "Nonsense" in verified(box, ("shop", rendered(nonsense)))
    assert "0 ended with status 1" in verified(box, ("shop", rendered(config(), command=missing)))


def test_the_unit_of_the_source_is_accepted_and_runs(box: Box, tmp_path: Path) -> None:
    template = tmp_path / "my.service"
    template.write_text(SOURCE.replace("server start", "server stay"))
    whole = config(template=template)
    text = rendered(whole)
    assert verified(box, ("shop", text)) == ""
    pid = started(box, whole, text)
    assert box.ssh(f"readlink /proc/{pid}/cwd") == f"/opt/shop/releases/{RELEASE_ID}\n"
    assert "SECRET=s p $x" in box.ssh(f"tr '\\0' '\\n' </proc/{pid}/environ").splitlines()


def test_the_strict_level_is_tight_in_systemds_own_measure(box: Box) -> None:
    for level, most in (("strict", 15), ("basic", 75)):
        box.put("/tmp/verify/shop.service", rendered(config(hardening=level)))
        box.ssh(f"systemd-analyze --no-pager security --offline=true --threshold={most} /tmp/verify/shop.service")
    box.put("/tmp/verify/shop.service", rendered(config(hardening="off")))
    box.ssh("systemd-analyze --no-pager security --offline=true --threshold=75 /tmp/verify/shop.service", status=1)


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_service_runs_as_its_user_with_its_values_and_closed_directories(box: Box, name: str) -> None:
    whole = config(name)
    pid = started(box, whole, rendered(whole))
    assert box.ssh(f"stat -c %U /proc/{pid}") == "svc\n"
    assert box.ssh(f"readlink /proc/{pid}/cwd") == f"/opt/{name}/releases/{RELEASE_ID}\n"
    environ = box.ssh(f"cat /proc/{pid}/environ").split("\0")
    assert {f"HOME=/var/lib/{name}", 'ODD=a b%h "q" \\ $Z é\n', "SECRET=s p $x", "PORT=4000"} <= set(environ)
    directories = f"/run/{name} /var/lib/{name} /var/log/{name}"
    assert box.ssh(f"stat -c '%U:%G %a' {directories}") == "svc:svc 750\n" * 3
    assert box.show(whole.app.unit, "Description") == '100% "shop" %n'


def test_a_port_below_1024_is_refused_and_granted_on_request(box: Box) -> None:
    bind = (
        "/usr/bin/perl -MIO::Socket::INET -e "
        "'my $$bound = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1:81\") or die; sleep 1000'"
    )
    refused = config(restart="no")
    box.put(refused.app.unit_path, rendered(refused, command=bind))
    box.ssh("systemctl daemon-reload && systemctl restart shop.service", status=None)
    _wait_for(box, "shop.service", "ActiveState", "failed")
    granted = config(restart="no", directives=(("Service.AmbientCapabilities", ("CAP_NET_BIND_SERVICE",)),))
    started(box, granted, rendered(granted, command=bind))
    _wait_for_port(box, 81)


def test_a_crash_loop_reaches_the_start_limit(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    # The real one is worth ten minutes.
    monkeypatch.setattr("deployer.unit.text._PATIENCE_S", 60.0)
    whole = config(restart="always", restart_delay_s=0.0, hardening="off")
    box.put(whole.app.unit_path, rendered(whole, command="bin/server die"))
    box.ssh(
        "systemctl daemon-reload && systemctl reset-failed shop.service; systemctl restart shop.service", status=None
    )
    _wait_for(box, "shop.service", "ActiveState", "failed")
    assert int(box.show("shop.service", "NRestarts")) in range(55, 61)
    box.ssh("systemctl reset-failed shop.service")


PROBE = """
id -un; id -gn; pwd; echo "$SECRET"; echo "$HOME"; umask
sed -n 's/^NoNewPrivs:\t//p' /proc/self/status
touch /etc/zz 2>/dev/null || echo /etc closed
touch /home/svc/zz 2>/dev/null || echo /home closed
touch "$HOME/by-one-off" && echo state open
touch "$RUNTIME_DIRECTORY/by-one-off" && echo runtime open
"""


def one_off_unit(name: str) -> str:
    # ":" is in no app's name, so no other app's unit begins with this; and an "@" would make an instance, whose
    # drop-ins systemd does not look for by the dashes in it.
    return f"deployer-{name.replace('@', '::')}:run-"


def dropped_in(box: Box, whole: Config) -> str:
    """Put the drop-in for an app's one-off commands; return what their units' names begin with. No reload follows."""
    prefix = one_off_unit(whole.app.name)
    text = one_off_text(rendered(whole), unit_name=whole.app.unit)
    box.put(f"/run/systemd/system/{prefix}.service.d/50-unit.conf", text)
    return prefix


@pytest.mark.parametrize(("name", "mode"), [("shop", "--pty"), ("my-shop", "--pipe"), ("a.b@c", "--pipe")])
def test_a_one_off_command_sees_what_the_service_sees(box: Box, name: str, mode: str) -> None:
    whole = config(name)
    pid = started(box, whole, rendered(whole))
    prefix = dropped_in(box, whole)
    if mode == "--pty":
        # A terminal on our side, as ssh -t gives one.
        inner = (
            f"systemd-run --quiet --wait --collect --pty --unit={prefix}pty.service -- /bin/sh -c {shlex.quote(PROBE)}"
        )
        seen = box.ssh(f"cd /usr/share && script -qec {shlex.quote(inner)} /dev/null </dev/null").replace("\r", "")
    else:
        seen = box.run(f"{prefix}pipe.service", PROBE)
    assert seen.lstrip("^@\x00\b").splitlines() == [
        "svc",
        "svc",
        f"/opt/{name}/releases/{RELEASE_ID}",
        "s p $x",
        f"/var/lib/{name}",
        "0027",
        "1",
        "/etc closed",
        "/home closed",
        "state open",
        "runtime open",
    ]
    assert box.show(whole.app.unit, "MainPID") == pid
    assert box.ssh(f"ls /run/{name}") == "by-one-off\n", "the end of the one-off took the service's runtime directory"


def test_a_new_drop_in_counts_without_a_reload(box: Box) -> None:
    whole = config()
    prefix = dropped_in(box, whole)
    assert box.run(f"{prefix}a.service", "echo $PORT") == "4000\n"
    box.put(f"/run/systemd/system/{prefix}.service.d/50-unit.conf", "[Service]\nUser=svc\nEnvironment=PORT=1\n")
    assert box.run(f"{prefix}b.service", "echo $PORT") == "1\n"


def test_a_one_off_command_ends_with_its_own_status(box: Box) -> None:
    prefix = dropped_in(box, config())
    box.ssh(f"systemd-run --quiet --wait --collect --pipe --unit={prefix}s.service -- /bin/sh -c 'exit 7'", status=7)


def test_limits_of_the_caller_win_where_the_drop_in_says_nothing(box: Box) -> None:
    prefix = dropped_in(box, config())
    argv = f"systemd-run --quiet --wait --collect --pipe -p RuntimeMaxSec=1 --unit={prefix}t.service -- sleep 30"
    begun = time.monotonic()
    box.ssh(argv, status=1)
    assert time.monotonic() - begun < 20


def _wait_for(box: Box, unit: str, name: str, value: str) -> None:
    deadline = time.monotonic() + 60
    while (found := box.show(unit, name)) != value:
        assert time.monotonic() < deadline, f"{name} of {unit} is {found}, not {value}"
        time.sleep(0.2)


def _wait_for_port(box: Box, port: int) -> None:
    deadline = time.monotonic() + 30
    while f":{port:04X} 00000000:0000 0A" not in box.ssh("cat /proc/net/tcp"):
        assert time.monotonic() < deadline, f"nobody listens on port {port}"
        time.sleep(0.2)
