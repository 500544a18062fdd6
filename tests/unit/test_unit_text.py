from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from deployer.errors import UsageError
from deployer.kinds.base import Launch
from deployer.model import App, Config, Service
from deployer.unit import remarks, removed_in_vain, unit_text
from deployer.unit.hardening import hardening
from deployer.unit.syntax import directives
from deployer.unit.text import start_limit

LAUNCH = Launch(
    exec_start="bin/shop start",
    environment=(("LANG", "C.UTF-8"), ("RELEASE_TMP", "/run/shop")),
    jit=False,
    success_statuses=("143",),
)


def config(name: str = "shop", root: str = "/opt/shop", description: str = "The shop", **service: Any) -> Config:
    app = App(name=name, user="app", description=description, root=PurePosixPath(root), keep=5)
    return Config(path=Path("config/deploy.toml"), app=app, service=Service(**service))


def rendered(whole: Config, launch: Launch = LAUNCH, release: str = "/opt/shop/releases/1.0-abcdef01") -> str:
    env_file = PurePosixPath("/etc/default/shop.env")
    return unit_text(whole, launch=launch, release_path=PurePosixPath(release), env_file=env_file)


def values(text: str, name: str) -> list[str]:
    return [each.value for each in directives(text) if f"{each.section}.{each.key}" == name]


def test_a_removal_of_what_is_not_there_is_told_of() -> None:
    given = (("Service.PrivateTmp", ()), ("Service.PrivateTmpp", ()), ("Unit.After", ()), ("Service.Nice", ("5",)))
    (found,) = removed_in_vain(config(directives=given), launch=LAUNCH)
    assert found.startswith("[service] directives: Service.PrivateTmpp = false removes nothing")


def test_whole_unit_of_a_mix_release_without_hardening() -> None:
    assert (
        rendered(config(hardening="off"))
        == """\
# Written by deployer. What is changed here is drift: status tells of it, and the next deploy replaces it.
[Unit]
Description=The shop
Wants=network-online.target
After=network-online.target nss-lookup.target
StartLimitIntervalSec=3600s
StartLimitBurst=300

[Service]
Type=exec
User=app
WorkingDirectory=/opt/shop/releases/1.0-abcdef01
Environment=LANG=C.UTF-8
Environment=RELEASE_TMP=/run/shop
EnvironmentFile=/etc/default/shop.env
ExecStart=/opt/shop/releases/1.0-abcdef01/bin/shop start
Restart=on-failure
RestartSec=2s
TimeoutStartSec=90s
TimeoutStopSec=30s
KillMode=mixed
SuccessExitStatus=143
SyslogIdentifier=shop
LimitNOFILE=65536
UMask=0027
RuntimeDirectory=shop
RuntimeDirectoryMode=0750
StateDirectory=shop
StateDirectoryMode=0750
LogsDirectory=shop
LogsDirectoryMode=0750

[Install]
WantedBy=multi-user.target
"""
    )


def test_trial_and_committed_unit_differ_in_the_environment_file_alone() -> None:
    whole, release = config(), PurePosixPath("/opt/shop/releases/1.0-abcdef01")
    committed = unit_text(whole, launch=LAUNCH, release_path=release, env_file=whole.app.env_path)
    trial = unit_text(whole, launch=LAUNCH, release_path=release, env_file=release / ".deployer/env")
    before, after = committed.splitlines(), trial.splitlines()
    assert len(before) == len(after)
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [
        ("EnvironmentFile=/etc/default/shop.env", "EnvironmentFile=/opt/shop/releases/1.0-abcdef01/.deployer/env")
    ]


def test_rendered_units_leave_nothing_to_remark() -> None:
    assert remarks(rendered(config())) == ()


def test_command_of_the_config_wins_over_the_one_of_the_kind() -> None:
    text = rendered(config(exec_start="bin/other --port ${PORT} %n"))
    assert values(text, "Service.ExecStart") == ["/opt/shop/releases/1.0-abcdef01/bin/other --port ${PORT} %n"]


def test_texts_of_the_config_are_not_expanded_by_systemd() -> None:
    text = rendered(
        config(description="100% %n"),
        replace(LAUNCH, environment=(("A", 'x "y" \\ %n $Z é\n\t'), ("B", ""))),
        release="/opt/shop/releases/100%-abcdef01",
    )
    assert values(text, "Unit.Description") == ["100%% %%n"]
    assert values(text, "Service.Environment") == ['"A=x \\"y\\" \\\\ %%n $Z é\\x0a\\x09"', "B="]
    assert values(text, "Service.WorkingDirectory") == ["/opt/shop/releases/100%%-abcdef01"]


@pytest.mark.parametrize(
    "root", ["/opt/my shop", '/opt/a"b', "/opt/a*", "/opt/a\\b", "/opt/a\nExecStart=/bin/sh", "opt"]
)
def test_a_path_that_would_need_quotes_is_refused(root: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a unit file"):
        rendered(config(), release=root)


def test_a_service_that_is_not_restarted_has_no_start_limit() -> None:
    text = rendered(config(restart="no"))
    assert values(text, "Service.Restart") == ["no"]
    assert values(text, "Service.RestartSec") == values(text, "Unit.StartLimitBurst") == []


def test_a_oneshot_stays_active_when_it_is_done() -> None:
    assert values(rendered(config(type="oneshot")), "Service.RemainAfterExit") == ["yes"]
    assert values(rendered(config()), "Service.RemainAfterExit") == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(90.0, "90s"), (0.3, "0.3s"), (0.0, "0s"), (1e6, "1000000s"), (1.5, "1.5s")]
)
def test_time_spans_are_written_as_systemd_reads_them(seconds: float, text: str) -> None:
    assert values(rendered(config(stop_timeout_s=seconds)), "Service.TimeoutStopSec") == [text]


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 1.0, 2.0, 5.0, 30.0, 300.0, 3600.0])
@pytest.mark.parametrize("life_s", [0.0, 0.1, 3.5, 9.0])
def test_a_crash_loop_reaches_the_start_limit(delay_s: float, life_s: float) -> None:
    interval_s, burst = start_limit(Service(restart_delay_s=delay_s))
    assert burst * (delay_s + life_s) < interval_s


@pytest.mark.parametrize(
    ("delay_s", "life_s"), [(0.0, 3.5), (1.0, 0.0), (2.0, 0.0), (2.0, 3.5), (30.0, 0.0), (3600.0, 0.0)]
)
def test_a_database_that_is_back_after_nine_minutes_finds_the_app_still_trying(delay_s: float, life_s: float) -> None:
    _, burst = start_limit(Service(restart_delay_s=delay_s))
    assert burst * (delay_s + life_s) > 9 * 60


def test_a_directive_is_replaced_in_its_place() -> None:
    text = rendered(config(directives=(("Service.LimitNOFILE", ("1024",)), ("Unit.After", ("a.service", "b.service")))))
    assert "SyslogIdentifier=shop\nLimitNOFILE=1024\nUMask" in text
    assert "Wants=network-online.target\nAfter=a.service\nAfter=b.service\nStart" in text


def test_several_lines_of_a_directive_are_replaced_by_one() -> None:
    text = rendered(config(directives=(("Service.SystemCallFilter", ("@system-service @chown",)),)))
    assert values(text, "Service.SystemCallFilter") == ["@system-service @chown"]


def test_a_directive_without_lines_is_removed() -> None:
    text = rendered(
        config(directives=(("Service.PrivateTmp", ()), ("Service.Nothing", ()), ("Service.Environment", ())))
    )
    assert values(text, "Service.PrivateTmp") == values(text, "Service.Nothing") == []
    assert values(text, "Service.Environment") == []


def test_a_new_directive_is_added_to_its_section() -> None:
    text = rendered(
        config(
            hardening="off",
            directives=(
                ("Service.ExecStartPre", ("{{release}}/bin/prepare %n {{{{x}}",)),
                ("Unit.RequiresMountsFor", ("/srv",)),
                ("Install.Alias", ("www.service",)),
            ),
        )
    )
    assert "StartLimitBurst=300\nRequiresMountsFor=/srv\n\n[Service]" in text
    assert (
        "LogsDirectoryMode=0750\nExecStartPre=/opt/shop/releases/1.0-abcdef01/bin/prepare %n {{x}}\n\n[Install]" in text
    )
    assert text.endswith("WantedBy=multi-user.target\nAlias=www.service\n")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("Service.EnvironmentFile", ("/etc/other",)),
        ("Service.EnvironmentFile", ()),
        ("Service.Environment", ("A=1",)),
    ],
)
def test_the_environment_is_not_set_by_directives(name: str, lines: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"cannot set {name.partition('.')[2]}") as caught:
        rendered(config(directives=((name, lines),)))
    assert "[env]" in caught.value.hint


def test_an_unknown_placeholder_in_a_directive_names_the_directive() -> None:
    with pytest.raises(UsageError, match=r"Service\.ExecStop: unknown placeholder \{\{relase\}\}, did you mean"):
        rendered(config(directives=(("Service.ExecStop", ("{{relase}}/bin/stop",)),)))


def test_memory_is_protected_where_nothing_writes_machine_code() -> None:
    assert ("MemoryDenyWriteExecute", "yes") in hardening(config(), jit=False)
    assert ("MemoryDenyWriteExecute", "yes") not in hardening(config(), jit=True)
    assert ("MemoryDenyWriteExecute", "yes") not in hardening(config(hardening="basic"), jit=False)


def test_hardening_can_be_turned_off() -> None:
    assert hardening(config(hardening="off"), jit=False) == ()


@pytest.mark.parametrize(
    ("root", "value"), [("/opt/shop", "yes"), ("/home/app/shop", "read-only"), ("/root/x", "read-only")]
)
@pytest.mark.parametrize("level", ["strict", "basic"])
def test_a_release_below_home_stays_readable(root: str, value: str, level: str) -> None:
    assert ("ProtectHome", value) in hardening(config(root=root, hardening=level), jit=True)


def test_a_capability_that_is_asked_for_can_be_had() -> None:
    wanted = config(directives=(("Service.AmbientCapabilities", ("CAP_NET_BIND_SERVICE",)),))
    text = rendered(wanted)
    assert values(text, "Service.CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
    assert values(text, "Service.PrivateUsers") == []
    assert values(text, "Service.AmbientCapabilities") == ["CAP_NET_BIND_SERVICE"]


def test_continued_lines_comments_and_blanks_are_read_as_systemd_reads_them() -> None:
    text = "# c\n[Unit]\n; c\n After = a \\\n  # inside\n b\n\n[Service]\r\nType=exec\r\nnonsense\nExecStart=x \\"
    assert [(each.section, each.key, each.value.split(), each.line) for each in directives(text)] == [
        ("Unit", "After", ["a", "b"], 4),
        ("Service", "Type", ["exec"], 9),
        ("Service", "ExecStart", ["x"], 11),
    ]


@pytest.mark.parametrize(
    ("given", "delay_s"),
    [(("30s",), 30), (("45",), 45), (("1min 30s",), 90), (("500ms",), 0.5), ((), 0.1), (("x",), 2)],
)
def test_the_start_limit_follows_a_restart_delay_of_the_directives(given: tuple[str, ...], delay_s: float) -> None:
    found = start_limit(Service(directives=(("Service.RestartSec", given),)))
    assert found == start_limit(Service(restart_delay_s=delay_s))


def test_a_restart_of_the_directives_gets_a_start_limit() -> None:
    text = rendered(config(restart="no", directives=(("Service.Restart", ("always",)),)))
    assert values(text, "Service.Restart") == ["always"]
    assert values(text, "Unit.StartLimitBurst") == ["300"]
    assert values(text, "Service.RestartSec") == ["2s"]


def test_directives_are_remarked_like_a_unit_of_the_users_own() -> None:
    given = (("Service.RemainAfterExit", ("yes",)), ("Service.Restart", ()))
    assert [sentence.split(" ")[0] for sentence in remarks(rendered(config(directives=given)))] == [
        "RemainAfterExit=yes",
        "without",
    ]
