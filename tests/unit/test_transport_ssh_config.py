"""Hosts of the config, completed by `ssh -G` on this machine, or without it."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pytest

from deployer import local
from deployer.errors import UsageError
from deployer.model import Host, Ssh
from deployer.transport import openssh
from deployer.transport.ssh_config import Target, resolve
from tests.closed import closed


def resolved(
    host: Host, text: str, tmp_path: Path, *, environ: dict[str, str] | None = None, notes: list[str] | None = None
) -> Target:
    config = tmp_path / "ssh_config"
    config.write_text(text)
    told = [] if notes is None else notes
    return resolve(host, Ssh(config=config), environ=environ or {}, note=told.append)


def a_host(**given: object) -> Host:
    return Host(name="prod1", address="web", **given)  # type: ignore[arg-type] # fields by name


@pytest.fixture(params=["openssh", "paramiko"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "paramiko":

        def missing(argv: tuple[str, ...], **_: object) -> local.Completed:
            raise FileNotFoundError(argv[0])

        monkeypatch.setattr(local, "run", missing)
    return str(request.param)


def test_ssh_config_completes_what_the_config_leaves_out(tmp_path: Path, either_parser: str) -> None:
    key = tmp_path / "deploy_key"
    key.write_text("")
    text = f"""
Host web
  HostName web.example.com
  Port 2222
  User deploy
  IdentityFile {tmp_path}/%r_key
  IdentityFile {tmp_path}/not-there
  IdentitiesOnly yes
  UserKnownHostsFile {tmp_path}/one {tmp_path}/two
  GlobalKnownHostsFile none
  HostKeyAlias pinned
  HashKnownHosts yes
"""
    assert resolved(a_host(), text, tmp_path, environ={"SSH_AUTH_SOCK": "/run/agent"}) == Target(
        name="web",
        hostname="web.example.com",
        port=2222,
        user="deploy",
        identity_files=(key,),
        identities_given=True,
        identities_only=True,
        agent="/run/agent",
        known_hosts=(tmp_path / "one", tmp_path / "two"),
        host_key_alias="pinned",
        hash_known_hosts=True,
    )


def test_the_config_wins_over_ssh_config(tmp_path: Path, either_parser: str) -> None:
    key = tmp_path / "ours"
    key.write_text("")
    text = "Host *\n  Port 2222\n  User other\n  IdentityFile /dev/null\n  UserKnownHostsFile /theirs\n  ProxyJump nowhere\n"
    target = resolved(
        a_host(port=22, user="me", identity_file=key, known_hosts=tmp_path / "kh", proxy_jump="none"), text, tmp_path
    )
    assert (target.port, target.user, target.identity_files) == (22, "me", (key,))
    assert target.known_hosts == (tmp_path / "kh",)
    assert target.identities_only
    assert target.jump is None


def test_nothing_given_means_openssh_defaults(tmp_path: Path, either_parser: str) -> None:
    target = resolved(a_host(), "", tmp_path)
    assert (target.hostname, target.port, target.user) == ("web", 22, getpass.getuser())
    assert target.known_hosts[0] == openssh.home() / ".ssh" / "known_hosts"
    assert Path("/etc/ssh/ssh_known_hosts") in target.known_hosts
    assert not target.identities_given
    assert target.agent == ""


def test_jump_hosts_are_resolved_each_by_its_own_settings(tmp_path: Path, either_parser: str) -> None:
    text = """
Host inner
  HostName inner.example.com
  Port 2200
  User in
Host outer
  HostName outer.example.com
Host web
  ProxyJump me@outer:2022,inner
"""
    target = resolved(a_host(), text, tmp_path)
    assert target.jump is not None
    assert (target.jump.name, target.jump.hostname, target.jump.port, target.jump.user) == (
        "inner",
        "inner.example.com",
        2200,
        "in",
    )
    assert target.jump.jump is not None
    assert (target.jump.jump.hostname, target.jump.jump.port, target.jump.jump.user) == (
        "outer.example.com",
        2022,
        "me",
    )
    assert target.jump.jump.jump is None


def test_tokens_of_a_jump_host_stand_for_the_host_behind_it(tmp_path: Path, either_parser: str) -> None:
    text = "Host web\n  HostName web.example.com\n  Port 2222\n  User me\n  ProxyJump %r@far-%h,gw-%h-%p:2200\n"
    target = resolved(a_host(), text, tmp_path)
    assert target.jump is not None
    assert (target.jump.hostname, target.jump.port) == ("gw-web.example.com-2222", 2200)
    assert target.jump.jump is not None
    assert (target.jump.jump.hostname, target.jump.jump.user) == ("far-web.example.com", "me")


def test_the_name_that_was_asked_for_is_a_token_too(tmp_path: Path, either_parser: str) -> None:
    target = resolved(a_host(), "Host web\n  HostName 10.0.0.1\n  ProxyJump gw-%n\n", tmp_path)
    assert target.jump is not None
    assert target.jump.hostname == "gw-web"


def test_a_jump_host_of_the_config_is_meant_as_it_stands(tmp_path: Path, either_parser: str) -> None:
    target = resolved(a_host(proxy_jump="far-%h,gw-%h"), "", tmp_path)
    assert target.jump is not None
    assert target.jump.name == "gw-%h"
    assert target.jump.jump is not None
    assert target.jump.jump.name == "far-%h"


def test_the_hash_of_a_connection_is_that_of_openssh(tmp_path: Path) -> None:
    text = "Host web\n  HostName 10.0.0.1\n  Port 2222\n  User me\n"
    (tmp_path / "asked").write_text(f"{text}  ControlPath {tmp_path}/%C\n")
    asked = local.run(("ssh", "-G", "-T", "-F", str(tmp_path / "asked"), "web"), timeout_s=20)
    key = Path(openssh.first(openssh.parse_settings(asked.stdout.decode()), "controlpath"))
    key.write_text("")
    assert resolved(a_host(), f"{text}  IdentityFile {tmp_path}/%C\n", tmp_path).identity_files == (key,)


@pytest.mark.parametrize(
    ("jump", "name"), [("none", "key-"), ("me@gw:2200", "key-gw"), ("far,me@[fe80::1]:22", "key-fe80::1")]
)
def test_the_jump_host_is_a_token(tmp_path: Path, jump: str, name: str) -> None:
    (tmp_path / name).write_text("")
    text = f"Host web\n  ProxyJump {jump}\n  IdentityFile {tmp_path}/key-%j\n"
    assert resolved(a_host(), text, tmp_path).identity_files == (tmp_path / name,)


def test_a_jump_host_may_have_a_jump_host_of_its_own(tmp_path: Path, either_parser: str) -> None:
    text = "Host inner\n  ProxyJump outer\nHost outer\n  HostName outer.example.com\n"
    target = resolved(a_host(proxy_jump="inner"), text, tmp_path)
    assert target.jump is not None
    assert target.jump.jump is not None
    assert target.jump.jump.hostname == "outer.example.com"


def test_jumps_that_never_end_are_a_fault(tmp_path: Path, either_parser: str) -> None:
    text = "Host web\n  ProxyJump a\nHost a\n  ProxyJump b\nHost b\n  ProxyJump a\n"
    with pytest.raises(UsageError, match="jump hosts on the way"):
        resolved(a_host(), text, tmp_path)


def test_our_key_and_known_hosts_serve_the_jump_host_too(tmp_path: Path, either_parser: str) -> None:
    key, theirs = tmp_path / "ours", tmp_path / "theirs"
    key.write_text("")
    theirs.write_text("")
    text = f"Host bastion\n  IdentityFile {theirs}\n  UserKnownHostsFile /theirs\n  GlobalKnownHostsFile none\n"
    target = resolved(a_host(proxy_jump="bastion", identity_file=key, known_hosts=tmp_path / "kh"), text, tmp_path)
    assert target.jump is not None
    assert target.jump.identity_files == (theirs, key)
    assert target.jump.known_hosts == (tmp_path / "kh", Path("/theirs"))
    assert not target.jump.identities_only


@pytest.mark.parametrize("spec", ["a b", "me@", "host:port", "-oProxyCommand=x", "[::1", "a,,b"])
def test_a_jump_host_that_is_none_is_a_fault(tmp_path: Path, spec: str) -> None:
    with pytest.raises(UsageError):
        resolved(a_host(proxy_jump=spec), "", tmp_path)


def test_an_ipv6_jump_host_is_written_in_brackets(tmp_path: Path) -> None:
    target = resolved(a_host(proxy_jump="me@[fe80::1]:2222"), "", tmp_path)
    assert target.jump is not None
    assert (target.jump.hostname, target.jump.port, target.jump.user) == ("fe80::1", 2222, "me")


def test_a_proxy_command_has_its_tokens_filled_in(tmp_path: Path, either_parser: str) -> None:
    text = "Host web\n  HostName 10.0.0.1\n  Port 2222\n  User me\n  ProxyCommand via %h %p %r\n"
    assert resolved(a_host(), text, tmp_path).proxy_command == "via 10.0.0.1 2222 me"


def test_include_and_match_mean_what_they_mean_to_openssh(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host web\n  User included\n")
    text = f"Include {tmp_path}/more\nMatch host web exec true\n  Port 2222\nMatch host web exec false\n  Port 1\n"
    target = resolved(a_host(), text, tmp_path)
    assert (target.user, target.port) == ("included", 2222)


def test_without_openssh_what_cannot_be_read_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(argv: tuple[str, ...], **_: object) -> local.Completed:
        raise FileNotFoundError(argv[0])

    monkeypatch.setattr(local, "run", missing)
    notes: list[str] = []
    text = (
        "Include more\nMatch tagged x\n  User leaked\nMatch localnetwork 10.0.0.0/8\n  Port 1\n"
        "Match host web user *\n  Port 2222\nHost web\n  User me\n  ConnectTimeout 1m\n  ForwardAgent $SOCK\n"
    )
    target = resolved(a_host(), text, tmp_path, notes=notes)
    assert (target.user, target.port) == ("me", 2222)
    assert [note.partition("'")[2].partition("'")[0] for note in notes] == [
        "Include more",
        "Match tagged x",
        "Match localnetwork 10.0.0.0/8",
    ]


def test_a_fault_of_ssh_config_is_said_with_openssh_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolved(a_host(), "Host *\n  Bogus yes\n", tmp_path)
    assert any("Bad configuration option: bogus" in line for line in caught.value.details)
    assert "ssh -G" in caught.value.hint


def test_an_identity_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        resolved(a_host(identity_file=tmp_path / "none"), "", tmp_path)


def test_an_identity_file_that_we_may_not_look_for_is_a_fault(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    with closed(away), pytest.raises(UsageError) as caught:
        resolved(a_host(identity_file=away / "key"), "", tmp_path)
    assert caught.value.message == f"the identity file {away}/key cannot be looked at: Permission denied"
    assert caught.value.hint == f"try: ls -l {away}/key, and correct identity_file of [hosts.prod1]"


@pytest.mark.parametrize("keyword", ["IdentityFile", "CertificateFile"])
def test_a_key_of_ssh_config_that_we_may_not_look_for_is_left_out_and_named(tmp_path: Path, keyword: str) -> None:
    away, key, notes = tmp_path / "away", tmp_path / "key", list[str]()
    away.mkdir()
    (away / "key").write_text("")
    key.write_text("")
    with closed(away):
        target = resolved(a_host(), f"{keyword} {away}/key\n{keyword} {key}\n", tmp_path, notes=notes)
    assert (target.identity_files or target.certificate_files) == (key,)
    assert notes == [f"{away}/key was left out: Permission denied"]


def test_a_key_of_a_user_who_is_not_there_is_none(tmp_path: Path) -> None:
    assert resolved(a_host(), "IdentityFile ~no-such-user/key\n", tmp_path).identity_files == ()


@pytest.mark.parametrize(
    ("written", "expected"),
    [("none", ""), ("SSH_AUTH_SOCK", "/run/agent"), ("/run/%r", "/run/me"), ("$MY_AGENT", "/run/mine")],
)
def test_the_agent_is_the_one_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, expected: str
) -> None:
    monkeypatch.setenv("MY_AGENT", "/run/mine")
    environ = {"SSH_AUTH_SOCK": "/run/agent", "MY_AGENT": "/run/mine"}
    assert resolved(a_host(user="me"), f"IdentityAgent {written}\n", tmp_path, environ=environ).agent == expected


def test_the_address_family_is_kept(tmp_path: Path) -> None:
    assert resolved(a_host(), "AddressFamily inet\n", tmp_path).family == socket.AF_INET


def test_an_address_cannot_be_an_option(tmp_path: Path) -> None:
    target = resolved(Host(name="x", address="localhost", user="a"), "", tmp_path)
    assert target.hostname == "localhost"
    with pytest.raises(UsageError):
        resolved(Host(name="x", address="-oProxyCommand=touch /tmp/x"), "", tmp_path)


def test_the_address_that_we_go_out_from_is_kept(tmp_path: Path, either_parser: str) -> None:
    text = "Host bastion\n  BindAddress 127.0.0.9\nHost web\n  ProxyJump bastion\n"
    target = resolved(a_host(), text, tmp_path)
    assert target.jump is not None
    assert (target.bind_address, target.jump.bind_address) == ("", "127.0.0.9")


@pytest.mark.parametrize(
    "line",
    [
        "RevokedHostKeys /etc/revoked",
        "KnownHostsCommand /usr/bin/lookup %H",
        "PKCS11Provider /usr/lib/card.so",
        "BindInterface lo",
        "ProxyUseFdpass yes",
    ],
)
def test_what_is_not_honoured_is_named(tmp_path: Path, either_parser: str, line: str) -> None:
    notes: list[str] = []
    resolved(a_host(), f"{line}\n", tmp_path, notes=notes)
    assert len(notes) == 1
    assert notes[0].startswith(f"{line.split(maxsplit=1)[0]} of web is not ")


def test_nothing_is_named_where_nothing_is_left_out(tmp_path: Path) -> None:
    notes: list[str] = []
    text = "RevokedHostKeys none\nKnownHostsCommand none\nPKCS11Provider none\nProxyUseFdpass no\n"
    resolved(a_host(), text, tmp_path, notes=notes)
    resolved(a_host(), "", tmp_path, notes=notes)
    assert notes == []


def test_paths_with_a_blank_in_them_stay_whole() -> None:
    assert openssh.split_paths("/a b/known_hosts ~/.ssh/x none") == ["/a b/known_hosts", "~/.ssh/x", "none"]
