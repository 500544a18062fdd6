"""Which hosts `--host` means."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from deployer.config import select_hosts
from deployer.errors import UsageError
from deployer.model import App, Config, Host

WEB1 = Host(name="web1", address="10.0.0.1", groups=("web", "eu"))
WEB2 = Host(name="web2", address="10.0.0.2", groups=("web",))
DB1 = Host(name="db1", address="10.0.0.3", groups=("eu",))
SANDBOX = Host(name="sandbox1", address="10.9.0.1")


def config(*hosts: Host, default: str = "") -> Config:
    app = App(name="shop", user="web", description="shop", root=PurePosixPath("/opt/shop"), keep=5)
    return Config(path=Path("config/deploy.toml"), app=app, hosts=hosts, default_hosts=default)


THREE = config(WEB1, WEB2, DB1)


@pytest.mark.parametrize(
    ("wanted", "hosts"),
    [
        (["web1"], (WEB1,)),
        (["db1", "web1"], (WEB1, DB1)),
        (["db1,web1"], (WEB1, DB1)),
        (["db1 , web1", "web1"], (WEB1, DB1)),
        (["web"], (WEB1, WEB2)),
        (["eu"], (WEB1, DB1)),
        (["eu", "web"], (WEB1, WEB2, DB1)),
        (["web*"], (WEB1, WEB2)),
        (["*1"], (WEB1, DB1)),
        (["e?"], (WEB1, DB1)),
        (["[dw]*1"], (WEB1, DB1)),
        (["*"], (WEB1, WEB2, DB1)),
        (["sandbox1"], (SANDBOX,)),
        (["sand*"], (SANDBOX,)),
        (["sandbox1", "db1"], (DB1, SANDBOX)),
    ],
)
def test_names_groups_and_globs_are_in_the_configs_order_and_each_once(
    wanted: list[str], hosts: tuple[Host, ...]
) -> None:
    assert select_hosts(THREE, wanted, extra=(SANDBOX,)) == hosts


def test_a_host_of_the_config_hides_an_extra_one_of_its_name() -> None:
    assert select_hosts(THREE, ["web1"], extra=(Host(name="web1", address="other"),)) == (WEB1,)


@pytest.mark.parametrize(("default", "hosts"), [("web", (WEB1, WEB2)), ("db1", (DB1,))])
def test_without_a_name_the_default_is_meant(default: str, hosts: tuple[Host, ...]) -> None:
    assert select_hosts(config(WEB1, WEB2, DB1, default=default), [], extra=(SANDBOX,)) == hosts


def test_without_a_name_a_single_host_is_meant() -> None:
    assert select_hosts(config(WEB1), (), extra=(SANDBOX,)) == (WEB1,)


def test_without_a_name_it_is_never_silently_all() -> None:
    with pytest.raises(UsageError, match=r"no host was named, and the config has no \[deploy\] default") as caught:
        select_hosts(THREE, [])
    assert caught.value.hint == "name one with --host; known hosts: web1, web2, db1; groups: web, eu"


def test_without_a_name_an_extra_host_is_never_meant() -> None:
    with pytest.raises(UsageError, match="no host was named") as caught:
        select_hosts(config(), [], extra=(SANDBOX,))
    assert "sandbox1" in caught.value.hint


def test_a_config_without_hosts_says_what_to_add() -> None:
    with pytest.raises(UsageError, match="the config has no hosts") as caught:
        select_hosts(config(), [])
    assert "[hosts.NAME]" in caught.value.hint
    with pytest.raises(UsageError, match='there is no host or group "a"'):
        select_hosts(config(), ["a"])


@pytest.mark.parametrize("wanted", [[""], [" "], [","], ["web1,"], ["web1", ""]])
def test_an_empty_name_is_no_default(wanted: list[str]) -> None:
    with pytest.raises(UsageError, match="--host is empty"):
        select_hosts(config(WEB1, default="web1"), wanted)


def test_unknown_names_are_told_all_at_once_with_near_misses() -> None:
    with pytest.raises(UsageError) as caught:
        select_hosts(THREE, ["wbe1", "web2", "zzz", "x*"])
    assert caught.value.message == 'there is no host or group "wbe1" (did you mean "web1"?) and no "zzz" and no "x*"'
    assert caught.value.hint == "known hosts: web1, web2, db1; groups: web, eu"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("wanted", [["off1"], ["web1", "off1"], ["off?"], ["off1", "zzz"]])
def test_a_host_that_is_off_is_told_so_with_what_boots_it(wanted: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        select_hosts(THREE, wanted, extra=(SANDBOX,), off=("off1",))
    assert caught.value.message == "the sandbox host off1 is off"
    assert caught.value.hint == "deployer sandbox boot --name off1"


def test_several_hosts_that_are_off_are_told_at_once() -> None:
    with pytest.raises(UsageError, match="the sandbox hosts off1, off2 are off"):
        select_hosts(THREE, ["off*"], off=("off1", "off2"))


def test_a_host_of_the_config_is_not_taken_for_one_that_is_off() -> None:
    assert select_hosts(THREE, ["web1", "web*"], off=("web1", "web9")) == (WEB1, WEB2)
