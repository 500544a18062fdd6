"""No secret of the service's environment is seen by anybody but root and the service: looked for in all that is written.

Each search has a twin that shows that it would have found one.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.project import SERVER, Done, OnHost, Project
from tests.host.striking import wait_for

SOURCES = ("FROM_FILE", "FROM_SET", "FROM_HOST", "FROM_COMMAND", "FROM_HERE")
# Says all it knows when it starts, and once more when it ends, as careless apps do.
TALKATIVE = SERVER.replace("die ", 'print "$_=$ENV{$_}\\n" for sort keys %ENV; die ', 1).replace(
    'print "bye', 'print "bye, FROM_FILE=$ENV{FROM_FILE}'
)
# Every process of the host, again and again: which of them has a secret in its arguments or its environment?
# Its group is read before and after: one that ends meanwhile is known by the first, one that systemd has just forked (it
# is moved to its group before it gets its environment) by the second.
SAMPLER = r"""
perl -e '
    open my $marks, "<", "/root/marks"; chomp(my @marks = <$marks>); my $any = join "|", map quotemeta, @marks;
    until (-e "/root/stop") {
        for my $process (glob "/proc/[0-9]*") {
            my %text;
            for my $name (qw(cgroup environ cmdline cgroup)) {
                local $/; open my $file, "<", "$process/$name" or next; my $read = <$file> // "";
                $text{$name} = $read if length $read or !exists $text{$name};
            }
            for my $name (grep { ($text{$_} // "") =~ /$any/ } qw(environ cmdline)) {
                print join(" ", "$process/$name", $text{cgroup} =~ tr/\n/ /r, ($text{cmdline} // "") =~ tr/\0/ /r), "\n";
            }
        }
    }' >/root/samples
"""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A deploy with secrets from everywhere, and all that was seen of it meanwhile."""

    on_host: OnHost
    project: Project
    marks: dict[str, str]
    environ: dict[str, str]
    tarball: str
    done: Done
    here: frozenset[str]

    def leaks(self, text: str) -> list[str]:
        """The sources of which a secret is in the text."""
        return [source for source, mark in self.marks.items() if mark in text]

    @property
    def samples(self) -> list[str]:
        return self.on_host.sh("sort -u /root/samples").splitlines()


@pytest.fixture(scope="module")
def deployed(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    marks = {source: f"mark-{source.lower()}-{secrets.token_hex(8)}" for source in SOURCES}
    project = Project(directory=tmp_path_factory.mktemp("secrets"), hosts=(host,))
    project.env = (
        f'file = "prod.env"\ncommand = "cat command.env"\ninherit = ["FROM_HERE"]\nrequired = {json.dumps(SOURCES)}\n'
        f'set = {{ GREETING = "hello", FROM_SET = "{marks["FROM_SET"]}" }}'
    )
    project.service = 'exec_start = "bin/server"\nmigrate = ["true"]'
    project.health += '\ncommand = "true"'
    project.host_lines = {host.name: f'env = {{ FROM_HOST = "{marks["FROM_HOST"]}" }}'}
    project.write()
    for name, source in (("prod.env", "FROM_FILE"), ("command.env", "FROM_COMMAND")):
        (project.config.parent / name).touch(mode=0o600)
        (project.config.parent / name).write_text(f"{source}={marks[source]}\n")
    server = TALKATIVE.replace("@BREAK@", "").replace("@VERSION@", "1.0.0")
    tarball = str(project.tarball("1.0.0", files={"bin/server": server.encode()}))
    environ = {"FROM_HERE": marks["FROM_HERE"], "DEPLOYER_VERBOSE": "1"}
    on_host = OnHost(lab=lab, host=host, project=project)

    on_host.sh("umask 077; cat >/root/marks <<'X'\n" + "\n".join(marks.values()) + "\nX")
    on_host.sh(f"cat >/root/sampler <<'X'\n{SAMPLER}\nX\nnohup setsid bash /root/sampler >/dev/null 2>&1 </dev/null &")
    with Arguments(tuple(marks.values())) as here:
        done = project.run("deploy", "--artifact", tarball, environ=environ)
    on_host.sh("touch /root/stop")
    wait_for(lambda: on_host.sh("pgrep -f [/]root/sampler || true") == "")
    assert done.status == 0, done.text
    return Deployed(
        on_host=on_host,
        project=project,
        marks=marks,
        environ=environ,
        tarball=tarball,
        done=done,
        here=frozenset(here.found),
    )


class Arguments:
    """Looks through the arguments of all processes of this machine, as long as it is entered."""

    def __init__(self, marks: tuple[str, ...]) -> None:
        self.found: set[str] = set()
        self.looks = 0
        self._marks = marks
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.looks += 1
            # Not "[0-9]*/cmdline": glob trips over a process that ends just then.
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    text = (process / "cmdline").read_bytes().decode("utf-8", "replace")
                    self.found.update(text for mark in self._marks if mark in text)


def is_the_apps_own(sample: str) -> bool:
    """Is it the service, or a one-off command that runs as the service would?"""
    return "/shop.service" in sample or "/deployer-shop:" in sample


def test_the_service_has_all_of_them(deployed: Deployed) -> None:
    pid = deployed.on_host.unit("MainPID")
    assert deployed.leaks(deployed.on_host.sh(f"tr '\\0' '\\n' </proc/{pid}/environ")) == list(SOURCES)


def test_no_process_of_the_host_but_the_service_had_one(deployed: Deployed) -> None:
    assert [sample for sample in deployed.samples if not is_the_apps_own(sample)] == []


def test_the_look_at_processes_would_have_found_one(deployed: Deployed) -> None:
    """Twin: it did find the service's own environment."""
    assert any("environ" in sample and "/shop.service" in sample for sample in deployed.samples)


def test_no_arguments_on_this_machine_had_one(deployed: Deployed) -> None:
    assert deployed.here == frozenset()
    mark = secrets.token_hex(8)
    with Arguments((mark,)) as twin, subprocess.Popen(["sleep", "60", mark.replace(mark[0], "0")]) as process:
        wait_for(lambda: twin.looks > 3)
        process.kill()
    assert twin.found == set()
    with (
        Arguments((mark,)) as twin,
        subprocess.Popen(["sh", "-c", "read -r _", mark], stdin=subprocess.PIPE) as process,
    ):
        wait_for(lambda: twin.found)
        process.kill()


def test_the_journal_has_none_but_what_the_service_prints_itself(deployed: Deployed) -> None:
    entries = [json.loads(line) for line in deployed.on_host.sh("journalctl --no-pager -o json").splitlines()]
    own = [entry for entry in entries if entry.get("_SYSTEMD_UNIT") == "shop.service"]
    others = [entry for entry in entries if entry.get("_SYSTEMD_UNIT") != "shop.service"]
    assert deployed.leaks(json.dumps(others)) == []
    assert deployed.leaks(json.dumps(own)) == list(SOURCES), "twin: the service's own words have them all"


def world_readable_with_marks(on_host: OnHost) -> list[str]:
    return on_host.sh(
        "find /opt /etc /run /tmp /var/tmp /var/lib /home -xdev -type f -perm /o+r -print0 | "
        "xargs -0 grep -lsF -f /root/marks -- || true"
    ).splitlines()


def test_no_file_that_all_can_read_has_one(deployed: Deployed) -> None:
    assert world_readable_with_marks(deployed.on_host) == []
    deployed.on_host.sh("install -m 0644 /root/marks /etc/twin")
    try:
        assert world_readable_with_marks(deployed.on_host) == ["/etc/twin"]
    finally:
        deployed.on_host.sh("rm /etc/twin")


def test_the_files_that_have_them_are_roots_alone(deployed: Deployed) -> None:
    having = deployed.on_host.sh("grep -rlsF -f /root/marks /opt /etc /run /tmp --exclude-dir=log || true").splitlines()
    release = f"/opt/shop/releases/{deployed.on_host.current}/.deployer"
    assert sorted(having) == ["/etc/default/shop.env", f"{release}/env"]
    modes = deployed.on_host.sh(f"stat -c '%a %U:%G' {' '.join(having)} {release}").splitlines()
    assert modes == ["600 root:root", "600 root:root", "700 root:root"]


def test_ledger_and_manifest_have_none(deployed: Deployed) -> None:
    text = deployed.on_host.sh(
        f"cat /opt/shop/ledger.jsonl /opt/shop/releases/{deployed.on_host.current}/.deployer/manifest.json"
    )
    assert '"event":"good"' in text
    assert deployed.leaks(text) == []


def test_what_the_service_prints_of_them_is_masked_on_the_screen(deployed: Deployed) -> None:
    assert deployed.leaks(deployed.done.text) == []
    lines = [line["message"] for line in deployed.done.of("journal")]
    for source in SOURCES:
        assert f"{source}=***" in lines
    assert "GREETING=hello" in lines, "twin: what is no secret is shown"


@pytest.fixture
def broken(deployed: Deployed) -> Iterator[str]:
    """A release that tells everything and then fails."""
    server = TALKATIVE.replace("@BREAK@", "boot").replace("@VERSION@", "1.1.0")
    yield str(deployed.project.tarball("1.1.0", files={"bin/server": server.encode()}))
    deployed.on_host.sh("systemctl is-active shop.service")


def test_a_failed_start_shows_none_in_its_evidence(deployed: Deployed, broken: str) -> None:
    for output in ("plain", "json"):
        words = deployed.project.argv("deploy", "--artifact", broken)
        done = subprocess.run(
            [output if word == "json" else word for word in words],
            cwd=deployed.project.directory,
            env=deployed.project.environ(deployed.environ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1
        assert "cannot boot: no database" in done.stdout + done.stderr
        assert "FROM_FILE=***" in done.stdout + done.stderr
        assert deployed.leaks(done.stdout + done.stderr) == []


@pytest.mark.parametrize(
    "words",
    [("status",), ("plan",), ("check",), ("env",), ("unit",), ("releases",), ("deploy", "--plan")],
    ids=" ".join,
)
def test_no_look_at_a_host_shows_one(deployed: Deployed, words: tuple[str, ...]) -> None:
    if words[0] in ("plan", "unit", "deploy"):
        words = (*words, "--artifact", deployed.tarball)
    done = deployed.project.run(*words, environ=deployed.environ)
    assert done.status == 0, done.text
    assert deployed.leaks(done.text) == []


def test_env_shows_values_when_it_is_asked_to(deployed: Deployed) -> None:
    """Twin: these outputs can show them."""
    done = deployed.project.run("env", "--reveal", environ=deployed.environ)
    assert deployed.leaks(done.text) == list(SOURCES)


@pytest.mark.parametrize("words", [("restart",), ("logs", "--lines", "1000"), ("rollback",)], ids=" ".join)
def test_the_journal_is_masked_wherever_it_is_shown(deployed: Deployed, words: tuple[str, ...]) -> None:
    if words[0] == "rollback":
        server = TALKATIVE.replace("@BREAK@", "").replace("@VERSION@", "1.2.0")
        tarball = str(deployed.project.tarball("1.2.0", files={"bin/server": server.encode()}))
        assert deployed.project.run("deploy", "--artifact", tarball, environ=deployed.environ).status == 0
    done = deployed.project.run(*words, environ=deployed.environ)
    assert done.status == 0, done.text
    assert any("FROM_FILE=***" in line["message"] for line in done.of("journal"))
    assert deployed.leaks(done.text) == []


def test_a_value_that_cannot_be_carried_is_refused_by_name(deployed: Deployed) -> None:
    environ = {**deployed.environ, "FROM_HERE": f"{deployed.marks['FROM_HERE']}\ufffe"}
    done = deployed.project.run("deploy", "--artifact", deployed.tarball, environ=environ)
    assert done.status == 2
    assert "FROM_HERE" in done.text
    assert deployed.leaks(done.text) == []


def test_a_traceback_of_ours_has_none(deployed: Deployed, tmp_path: Path) -> None:
    """A bug that prints everything it has in its hands: config, plan, environment."""
    (tmp_path / "sitecustomize.py").write_text(
        "import deployer.plan as p\n"
        "real = p.deploy\n"
        "def deploy(candidate, **values):\n"
        "    raise RuntimeError(f'a bug: {candidate!r} {values!r} {real(candidate, **values)!r}')\n"
        "p.deploy = deploy\n"
    )
    environ = {**deployed.environ, "PYTHONPATH": str(tmp_path)}
    done = deployed.project.run("deploy", "--artifact", deployed.tarball, environ=environ)
    assert done.status == 1
    assert "Traceback" in done.stderr
    assert "a bug: Candidate(" in done.stderr
    assert "FROM_FILE" in done.stderr
    assert deployed.leaks(done.text) == []
