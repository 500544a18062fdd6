"""known_hosts: what is read, what follows, how it is said, what is added."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from deployer import local
from deployer.errors import HostKeyError
from deployer.transport import hostkeys
from deployer.transport.hostkeys import HostKey, KnownLine, Verdict
from deployer.transport.ssh_config import Target


def a_key(letter: str, kind: str = "ssh-ed25519") -> HostKey:
    return HostKey(type=kind, blob=f"{kind} {letter}".encode())


ONE, OTHER, RSA = a_key("1"), a_key("2"), a_key("r", "ssh-rsa")


def a_target(*files: Path, port: int = 22, alias: str = "", hashing: bool = False) -> Target:
    return Target(
        name="web",
        hostname="web.example.com",
        port=port,
        user="deploy",
        known_hosts=files,
        host_key_alias=alias,
        hash_known_hosts=hashing,
    )


def verdict(text: str, key: HostKey, target: Target | None = None) -> Verdict:
    names = hostkeys.names_of(target or a_target())
    return hostkeys.judge(tuple(hostkeys.matching_lines(text, names, path=Path("known_hosts"))), key)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"web.example.com {ONE.text}", "known"),
        (f"web.example.com {ONE.text} a comment", "known"),
        (f"other,WEB.example.com,10.0.0.1 {ONE.text}", "known"),
        (f"*.example.com {ONE.text}", "known"),
        (f"web.example.c?m {ONE.text}", "known"),
        (f"*.example.com,!web.example.com {ONE.text}", "unknown"),
        (f"!web.example.com,* {ONE.text}", "unknown"),
        # Hashed names have a salt; a fixed id keeps the names of tests the same in every process.
        pytest.param(f"{hostkeys.hashed('web.example.com')} {ONE.text}", "known", id="hashed"),
        pytest.param(f"{hostkeys.hashed('other.example.com')} {ONE.text}", "unknown", id="hashed, another"),
        (f"web.example.com {OTHER.text}", "changed"),
        (f"web.example.com {RSA.text}", "changed"),
        (f"web.example.com {OTHER.text}\nweb.example.com {ONE.text}", "known"),
        (f"@revoked * {ONE.text}\nweb.example.com {ONE.text}", "revoked"),
        (f"@revoked * {OTHER.text}\nweb.example.com {ONE.text}", "known"),
        (f"@revoked other {ONE.text}\nweb.example.com {ONE.text}", "known"),
        (f"@cert-authority *.example.com {RSA.text}", "authority"),
        (f"@cert-authority *.example.com {RSA.text}\nweb.example.com {ONE.text}", "known"),
        (f"@unheard-of web.example.com {ONE.text}", "unknown"),
        (f"#web.example.com {ONE.text}", "unknown"),
        ("web.example.com ssh-ed25519 not*base64", "unknown"),
        ("web.example.com\n\n   \n|1|x ssh-ed25519 AAAA\n|1|a|b|c ssh-ed25519 AAAA\n@revoked\n@\n", "unknown"),
        (f"[web.example.com]:22 {ONE.text}", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_line_means_what_it_means_to_openssh(line: str, expected: str) -> None:
    assert verdict(line, ONE) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"[web.example.com]:2222 {ONE.text}", "known"),
        (f"[*.example.com]:2222 {ONE.text}", "known"),
        pytest.param(f"{hostkeys.hashed('[web.example.com]:2222')} {ONE.text}", "known", id="hashed"),
        (f"[web.example.com]:2222 {OTHER.text}", "changed"),
        (f"web.example.com {ONE.text}", "known"),
        (f"web.example.com {OTHER.text}", "unknown"),
        (f"@revoked web.example.com {ONE.text}\n[web.example.com]:2222 {ONE.text}", "revoked"),
    ],
)
def test_another_port_is_another_name(line: str, expected: str) -> None:
    assert verdict(line, ONE, a_target(port=2222)) == expected


def test_an_alias_is_the_only_name() -> None:
    target = a_target(alias="pinned", port=2222)
    assert hostkeys.names_of(target) == ("pinned",)
    assert verdict(f"pinned {ONE.text}", ONE, target) == "known"
    assert verdict(f"web.example.com {OTHER.text}", ONE, target) == "unknown"


def test_the_reading_agrees_with_ssh_keygen(tmp_path: Path) -> None:
    lines = [f"{hostkeys.hashed(f'host{number}')} {ONE.text}" for number in range(20)]
    lines += [f"*.wild,!no.wild {ONE.text}", f"[port.example]:2222 {ONE.text}"]
    file = tmp_path / "known_hosts"
    # ssh-keygen reads real keys alone.
    made = local.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")), timeout_s=10)
    assert made.status == 0
    words = (tmp_path / "key.pub").read_text().split()
    real = HostKey(type=words[0], blob=base64.b64decode(words[1]))
    file.write_text("\n".join(lines).replace(ONE.text, real.text) + "\n")
    for name in ("host7", "host70", "a.wild", "no.wild", "[port.example]:2222", "port.example"):
        found = local.run(("ssh-keygen", "-F", name, "-f", str(file)), timeout_s=10).status == 0
        ours = bool(tuple(hostkeys.matching_lines(file.read_text(), (name,), path=file)))
        assert ours == found, name


def test_the_fingerprint_is_the_one_of_ssh_keygen(tmp_path: Path) -> None:
    local.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")), timeout_s=10)
    words = (tmp_path / "key.pub").read_text().split()
    shown = local.run(("ssh-keygen", "-l", "-f", str(tmp_path / "key")), timeout_s=10).stdout.decode()
    assert HostKey(type=words[0], blob=base64.b64decode(words[1])).fingerprint in shown


def test_algorithms_of_known_types_come_first() -> None:
    offered = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]

    def known(*keys: HostKey, marker: str = "") -> tuple[KnownLine, ...]:
        return tuple(KnownLine(path=Path("f"), number=1, marker=marker, key=key) for key in keys)

    assert hostkeys.algorithms_first(known(RSA), offered) == [*offered[2:], *offered[:2]]
    assert hostkeys.algorithms_first(known(RSA, marker="@cert-authority"), offered) == offered
    assert hostkeys.algorithms_first((), offered) == offered


def refuse(target: Target, key: HostKey, *, accept_new: bool = False) -> HostKeyError:
    notes: list[str] = []
    lines = hostkeys.known_lines(target)
    with pytest.raises(HostKeyError) as caught:
        hostkeys.check(target, lines, key, host="prod1", accept_new=accept_new, note=notes.append)
    assert not notes
    return caught.value


def test_an_unknown_key_is_refused_with_all_that_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    error = refuse(a_target(file, port=2222), ONE)
    assert error.exit_code == 5
    assert error.host == "prod1"
    for part in ("web.example.com port 2222", "ssh-ed25519", ONE.fingerprint, str(file)):
        assert part in error.message
    assert f"ssh-keyscan -p 2222 -t ed25519 web.example.com >> {file}" in error.hint
    assert "accept_new" in error.hint
    assert f"[web.example.com]:2222 {ONE.text}" in error.details[-1]
    assert not file.exists()


@pytest.mark.parametrize("accept_new", [False, True])
def test_a_changed_key_is_never_accepted(tmp_path: Path, accept_new: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    file = tmp_path / "known hosts"
    file.write_text(f"# pinned\nweb.example.com {OTHER.text}\n")
    error = refuse(a_target(file), ONE, accept_new=accept_new)
    assert f"{file}:2" in error.message
    assert OTHER.fingerprint in error.message
    assert ONE.fingerprint in error.message
    assert f"ssh-keygen -R web.example.com -f '{file}'" in error.hint
    assert file.read_text() == f"# pinned\nweb.example.com {OTHER.text}\n"


@pytest.mark.parametrize("accept_new", [False, True])
def test_a_revoked_key_is_never_accepted(tmp_path: Path, accept_new: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    file = tmp_path / "known_hosts"
    file.write_text(f"web.example.com {ONE.text}\n@revoked * {ONE.text}\n")
    error = refuse(a_target(file), ONE, accept_new=accept_new)
    assert f"revoked: ssh-ed25519 {ONE.fingerprint}, by {file}:2" in error.message


@pytest.mark.parametrize("accept_new", [False, True])
def test_an_authority_alone_does_not_vouch(tmp_path: Path, accept_new: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    file = tmp_path / "known_hosts"
    file.write_text(f"@cert-authority * {RSA.text}\n")
    error = refuse(a_target(file), ONE, accept_new=accept_new)
    assert "host certificates are not supported yet" in error.message
    assert "ssh-keyscan" in error.hint


def test_a_new_key_is_added_where_that_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "ssh" / "known_hosts"
    notes: list[str] = []
    hostkeys.check(a_target(file), (), ONE, host="prod1", accept_new=True, note=notes.append)
    assert file.read_text() == f"web.example.com {ONE.text}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(notes) == 1
    assert ONE.fingerprint in notes[0]
    assert str(file) in notes[0]
    # A second host behind the same name, connected at the same time: nothing is added twice.
    hostkeys.check(a_target(file), (), ONE, host="prod2", accept_new=True, note=notes.append)
    assert len(file.read_text().splitlines()) == 1
    # And one that shows another key by then is refused.
    with pytest.raises(HostKeyError, match="has changed"):
        hostkeys.check(a_target(file), (), OTHER, host="prod3", accept_new=True, note=notes.append)


def test_a_line_is_added_after_one_that_was_not_ended(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("other ssh-ed25519 AAAA")
    hostkeys.check(a_target(file, hashing=True), (), ONE, host="prod1", accept_new=True, note=lambda _: None)
    first, second = file.read_text().splitlines()
    assert first == "other ssh-ed25519 AAAA"
    assert second.startswith("|1|")
    assert verdict(second, ONE) == "known"


def test_a_key_that_cannot_be_added_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostKeyError, match="could not be added"):
        hostkeys.check(
            a_target(tmp_path / "file" / "known_hosts"), (), ONE, host="prod1", accept_new=True, note=lambda _: None
        )


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostKeyError, match="cannot be read"):
        hostkeys.known_lines(a_target(tmp_path))
