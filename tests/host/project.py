"""A made-up project that is deployed to real hosts by the real program, and questions asked of the host itself.

The app is a small HTTP server in perl, which every Debian has; `brk` makes it bad in the ways that apps are bad.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.sandbox import Lab, SandboxHost, host_entry

PORT = 4000

SERVER = r"""#!/usr/bin/perl
use strict; use IO::Socket::INET; $| = 1;
my ($break, $version) = ('@BREAK@', '@VERSION@');
print "shop $version starts, GREETING=$ENV{GREETING}\n";
die "cannot boot: no database\n" if $break eq 'boot';
sleep 1000 if $break eq 'noport';
$SIG{TERM} = $break eq 'stubborn' ? 'IGNORE' : sub { print "bye\n"; exit 0 };
my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ENV{PORT} || 4000, Listen => 64, ReuseAddr => 1) or die "listen: $!";
$SIG{ALRM} = sub { die "crashed after three seconds\n" };
alarm 3 if $break eq 'crash';
while (1) {
    my $client = $socket->accept or next;
    my $line = <$client>;
    while (my $header = <$client>) { last if $header =~ /^\r?\n$/ }
    sleep 1000 if $break eq 'hang';
    my $status = $break eq '500' ? '500 Internal Server Error' : '200 OK';
    print $client "HTTP/1.1 $status\r\nConnection: close\r\n\r\nok $version $ENV{GREETING}\n";
    close $client;
}
"""


def wait_for(what: Callable[[], object], *, timeout_s: float = 20) -> None:
    """Wait until something holds; that it never does fails the test."""
    until = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.05)


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a run of the program ended. `events` are its JSON lines."""

    status: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def summary(self) -> dict[str, Any]:
        return self.of("summary")[-1]

    @property
    def verdicts(self) -> dict[str, str]:
        return {row["host"]: row["verdict"] for row in self.summary["hosts"]}

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


@dataclass(kw_only=True)
class Project:
    """A directory with a config for some hosts. Fields are TOML texts, changed by tests before `write`."""

    directory: Path
    hosts: tuple[SandboxHost, ...]
    name: str = "shop"
    service: str = 'exec_start = "bin/server"'
    health: str = f'http = "http://127.0.0.1:{PORT}/"\nsettle = "1s"\ntimeout = "8s"'
    env: str = 'set = { GREETING = "hello" }'
    app: str = ""
    more: str = ""
    host_lines: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.directory / "config/deploy.toml"

    @property
    def root(self) -> str:
        return f"/opt/{self.name}"

    def write(self) -> Project:
        entries = "\n".join(f"{host_entry(each)}\n{self.host_lines.get(each.name, '')}" for each in self.hosts)
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            f'[app]\nname = "{self.name}"\nuser = "app"\n{self.app}\n[service]\nkind = "exec"\n{self.service}\n'
            f"[env]\n{self.env}\n[health]\n{self.health}\n{self.more}\n"
            f'[ssh]\nconnect_timeout = "3s"\nkeepalive = "1s"\ndead_after = "4s"\n{entries}\n'
        )
        return self

    def tarball(self, version: str, brk: str = "", *, files: Mapping[str, bytes] | None = None) -> Path:
        """Return a release of the app; the same arguments give the same bytes."""
        path = self.directory / f"{self.name.replace('@', '-')}-{version}.tar.gz"
        server = SERVER.replace("@BREAK@", brk).replace("@VERSION@", version).encode()
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, content in {"bin/server": server, **(files or {})}.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o755
                tar.addfile(member, io.BytesIO(content))
        path.write_bytes(gzip.compress(out.getvalue(), mtime=0))
        return path

    def run(self, *words: str, timeout_s: float = 120, environ: Mapping[str, str] | None = None) -> Done:
        """Run the program with JSON output."""
        done = subprocess.run(
            self.argv(*words),
            cwd=self.directory,
            env=self.environ(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Done(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def start(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the program, for tests that strike while it runs. Its own process group; JSON on stdout."""
        return subprocess.Popen(
            self.argv(*words),
            cwd=self.directory,
            env=self.environ(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def argv(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "deployer", *words, "--output", "json", "--config", str(self.config))

    def typed(self, task: str, host: str) -> str:
        """Return the command that the program says is next: it names the config, as we do."""
        return f"deployer {task} --config {shlex.quote(str(self.config))} --host {host}"

    def environ(self, more: Mapping[str, str] | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEPLOYER_", "SSH_AUTH"))}
        return {**kept, "DEPLOYER_WHO": "tester", "HOME": str(self.directory), **(more or {})}

    def deploy(self, version: str, brk: str = "", *words: str, files: Mapping[str, bytes] | None = None) -> Done:
        """Deploy a release of the app to every host of the project."""
        hosts = [word for each in self.hosts for word in ("--host", each.name)]
        return self.run("deploy", "--artifact", str(self.tarball(version, brk, files=files)), *hosts, *words)


@dataclass(frozen=True, kw_only=True)
class OnHost:
    """Looks at a host from inside, without our own tool and without ssh."""

    lab: Lab
    host: SandboxHost
    project: Project

    def sh(self, command: str, *, timeout_s: float = 30) -> str:
        """Return what a shell command prints, run as root on the host; its failure fails the test."""
        done = self.lab.enter(self.host.name, command, timeout_s=timeout_s)
        assert done.status == 0, f"{command}: {done}"
        return _text(done.stdout).strip()

    @property
    def current(self) -> str:
        return self.sh(f"readlink {self.project.root}/current || true").removeprefix("releases/")

    @property
    def version(self) -> str:
        """The version that answers on the app's port, "" where none does."""
        command = f"timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{PORT}; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3' || true"
        found = re.search(r"ok (\S+)", self.sh(command))
        return found[1] if found else ""

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.sh(f"cat {self.project.root}/ledger.jsonl").splitlines()]

    def unit(self, key: str) -> str:
        return self.sh(f"systemctl show -P {key} {self.project.name}.service")

    def is_over(self) -> bool:
        """Is nothing under way any more: no unit of ours, no trial, no write-ahead record?"""
        name, root = self.project.name, self.project.root
        ours = f"deployer-{name.replace('@', '::')}"
        return not self.sh(
            f"ls -d /run/systemd/system.control/{name}.service /run/deployer/{name}/trial {root}/committing 2>/dev/null; "
            f"systemctl list-units --all --plain --no-legend '{ours}.service' '{ours}:*'; true"
        )

    def is_settled(self) -> bool:
        """Is nothing of an activation left: nothing under way, and no temporary file?"""
        root = self.project.root
        return self.is_over() and not self.sh(
            f"ls -d {root}/releases/.staging-* {root}/releases/.pruned-* {root}/*.deployer-new "
            "/etc/systemd/system/*.deployer-new /etc/default/*.deployer-new 2>/dev/null || true"
        )

    def is_consistent(self) -> bool:
        """Do unit, environment, `current` and the running process all belong to the same release?"""
        name, root = self.project.name, self.project.root
        release = f"{root}/releases/{self.current}"
        return (
            self.sh(
                f"cmp /etc/systemd/system/{name}.service {release}/.deployer/committed.service && "
                f"cmp /etc/default/{name}.env {release}/.deployer/env && "
                f'test "$(readlink /proc/$(systemctl show -P MainPID {name}.service)/cwd)" = {release} && echo yes || true'
            )
            == "yes"
        )

    def clear(self) -> None:
        """Take every app off the host, with all that was ever written for it."""
        self.sh(
            "shopt -s nullglob; cd /opt; for app in *; do "
            'systemctl disable --quiet --now "$app.service" "deployer-recover@$app.service" 2>/dev/null; '
            "rm -rf /opt/$app /run/deployer/$app /run/systemd/system.control/$app.service "
            "/etc/systemd/system/{,deployer-recover@}$app.service /etc/default/$app.env "
            "/run/$app /var/{lib,log}/$app; done; "
            "rm -rf /run/systemd/system/deployer-*.d; systemctl daemon-reload; systemctl reset-failed"
        )


def _text(output: str | bytes) -> str:
    return output if isinstance(output, str) else output.decode("utf-8", "replace")
