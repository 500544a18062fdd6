"""One-off commands and the service's verbs: as the service would, and without harm to it."""

from __future__ import annotations

import base64
import json

import pytest

from tests.host.project import Done, OnHost, Project, wait_for

QUICK = 'tcp = 4000\nsettle = "300ms"\ntimeout = "5s"\ninterval = "100ms"'

AWKWARD = {
    "PLAIN": "hello",
    "EMPTY": "",
    "BLANKS": "  two in front, two behind  ",
    "QUOTES": 'it\'s "so" `id`',
    "DOLLARS": "$HOME ${HOME} $(id) $$ %n %% %h",
    "BACKSLASHES": "\\ \\n \\\\ C:\\dir\\",
    "HASHES": "# a ; b = c & d | e < f > g * ? ! ~ ( ) [ ] { }",
    "LINES": "one\ntwo\n\n# three\nFOUR=5\n",
    "TABS": "\ta\tb\r\x01\x1b[31m\x7f",
    "UTF8": "žluťoučký 日本語 🎉 \u00a0\u200b",
    "URL": "postgres://u:p%40ss@db/shop?x=1&y=2",
    "LONG": "0123456789abcdef" * 2000,
}

# What systemd or a shell adds for a process of its own.
OWN = {"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "PWD", "OLDPWD", "SHLVL", "_"}


@pytest.fixture
def deployed(project: Project, bare: OnHost) -> OnHost:
    """A host on which 1.0.0 serves, with an environment that has every awkward character in it."""
    project.health = QUICK
    values = ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in AWKWARD.items())
    # JSON leaves DEL as it is, TOML wants it written out.
    values = values.replace("\x7f", "\\u007f")
    project.env = f'set = {{ GREETING = "hello", {values} }}'
    done = project.write().deploy("1.0.0")
    assert done.status == 0, done.text
    return bare


def environ(text: str) -> dict[str, str]:
    """The variables of a /proc/PID/environ that came as base64."""
    entries = base64.b64decode(text).decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def output(done: Done) -> list[str]:
    return [line["text"] for line in done.of("command")]


def test_every_awkward_value_arrives_in_the_service(project: Project, deployed: OnHost) -> None:
    found = environ(deployed.sh(f"base64 -w 0 /proc/{deployed.unit('MainPID')}/environ"))
    assert {name: found.get(name) for name in AWKWARD} == AWKWARD
    assert project.run("status").of("status")[0]["drift"] is None
    assert {row["state"] for row in project.run("env").of("env")} == {"same"}


class TestRun:
    @pytest.mark.usefixtures("deployed")
    def test_shows_what_the_command_says_and_how_it_ended(self, project: Project) -> None:
        done = project.run("run", "echo out; echo err >&2; exit 3")
        assert (done.status, output(done)) == (1, ["out", "err"]), done.text
        assert [note["text"] for note in done.of("note")] == ["the command ended with status 3"]
        assert project.run("run", "true").status == 0

    def test_sees_exactly_what_the_service_sees(self, project: Project, deployed: OnHost) -> None:
        service = environ(deployed.sh(f"base64 -w 0 /proc/{deployed.unit('MainPID')}/environ"))
        done = project.run("run", "base64 -w 0 /proc/self/environ")
        one_off = environ("".join(output(done)))
        assert {key: value for key, value in one_off.items() if key not in OWN} == {
            key: value for key, value in service.items() if key not in OWN
        }
        done = project.run("run", "id -un; pwd; touch /etc/x 2>&1; grep NoNewPrivs /proc/self/status")
        assert output(done) == [
            "app",
            f"/opt/shop/releases/{deployed.current}",
            "touch: cannot touch '/etc/x': Read-only file system",
            "NoNewPrivs:\t1",
        ]

    @pytest.mark.usefixtures("deployed")
    def test_leaves_variables_to_the_shell(self, project: Project) -> None:
        done = project.run("run", 'printf "%s" "${DOLLARS}|$QUOTES" | base64 -w 0; echo; echo $((1 + 2)) %n $0')
        first, second = output(done)
        assert base64.b64decode(first).decode() == f"{AWKWARD['DOLLARS']}|{AWKWARD['QUOTES']}"
        assert second == "3 %n /bin/sh"

    def test_leaves_the_runtime_directory_of_the_service(self, project: Project, deployed: OnHost) -> None:
        assert project.run("run", "touch /run/shop/mine").status == 0
        assert project.run("run", "ls /run/shop").of("command")[0]["text"] == "mine"
        assert deployed.sh("ls /run/shop") == "mine"
        assert deployed.version == "1.0.0"

    @pytest.mark.usefixtures("bare")
    def test_before_a_first_deploy_says_so(self, project: Project) -> None:
        done = project.run("run", "true")
        assert done.status == 2
        assert done.of("failure")[0]["message"] == "shop has no committed release on this host", done.text
        assert not done.of("command")


class TestVerbs:
    def test_stop_start_and_restart_do_so(self, project: Project, deployed: OnHost) -> None:
        first = deployed.unit("MainPID")
        stopped = project.run("stop")
        assert (stopped.status, stopped.of("stop")[0]["state"]) == (0, "inactive (dead)"), stopped.text
        assert any(line["message"] == "bye" for line in stopped.of("journal"))
        assert project.run("stop").status == 0
        started = project.run("start")
        assert (started.status, started.of("start")[0]["state"]) == (0, "active (running)")
        second = deployed.unit("MainPID")
        restarted = project.run("restart")
        third = deployed.unit("MainPID")
        assert (restarted.status, restarted.of("restart")[0]["main_pid"]) == (0, int(third))
        assert len({"0", first, second, third}) == 4
        assert any("shop 1.0.0 starts" in line["message"] for line in restarted.of("journal"))

    def test_restarts_by_hand_do_not_run_into_the_start_limit(self, project: Project, deployed: OnHost) -> None:
        deployed.sh(
            "mkdir /etc/systemd/system/shop.service.d; printf '[Unit]\\nStartLimitBurst=2\\n' "
            ">/etc/systemd/system/shop.service.d/limit.conf; systemctl daemon-reload"
        )
        try:
            assert [project.run("restart").status for _ in range(4)] == [0, 0, 0, 0]
            assert deployed.unit("ActiveState") == "active"
        finally:
            deployed.sh("rm -r /etc/systemd/system/shop.service.d; systemctl daemon-reload")

    def test_a_start_that_fails_is_told(self, project: Project, deployed: OnHost) -> None:
        assert project.run("stop").status == 0
        deployed.sh("mv /etc/default/shop.env /etc/default/other.env")
        done = project.run("start")
        assert done.status == 1
        assert "systemctl start shop.service ended with status 1" in done.of("failure")[0]["message"], done.text
        assert any("environment" in line["message"] for line in done.of("journal"))

    @pytest.mark.usefixtures("bare")
    def test_before_a_first_deploy_say_so(self, project: Project) -> None:
        done = project.run("restart")
        assert (done.status, done.of("restart")) == (2, [])
        assert done.of("failure")[0]["message"] == "there is no shop.service on this host", done.text


def test_logs_show_the_words_of_a_process_that_was_gone_at_once(project: Project, deployed: OnHost) -> None:
    # journald looks at a process when its words are read, and by then this one is no more.
    deployed.sh(
        "mkdir /etc/systemd/system/shop.service.d; printf '[Service]\\nReadWritePaths=/nowhere/at/all\\n' "
        ">/etc/systemd/system/shop.service.d/sandbox.conf; systemctl daemon-reload"
    )
    journald = deployed.sh("systemctl show -P MainPID systemd-journald.service")
    try:
        deployed.sh(f"kill -STOP {journald}; systemctl --no-block restart shop.service")
        wait_for(lambda: deployed.unit("ExecMainStatus") == "226")
    finally:
        deployed.sh(f"kill -CONT {journald}; rm -r /etc/systemd/system/shop.service.d; systemctl daemon-reload")
    deployed.sh("journalctl --sync")
    logs = project.run("logs")
    assert any("/nowhere/at/all: No such file" in line["message"] for line in logs.of("journal")), logs.text
