"""Keys of ours and agents: what lets us in, and how a refusal is told."""

from __future__ import annotations

import shlex
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from deployer import local
from deployer.errors import NotLetInError
from deployer.model import Secret
from deployer.transport import Connection
from tests.host.transport.box import QUICK, Box, keygen, raised


def authorize(box: Box, public: Path) -> None:
    box.do(f"echo {shlex.quote(public.read_text().strip())} >> /root/.ssh/authorized_keys")


@pytest.mark.parametrize(
    ("kind", "more"),
    [("ed25519", ()), ("ecdsa", ()), ("rsa", ()), ("rsa", ("-m", "PEM")), ("ecdsa", ("-m", "PEM"))],
    ids=lambda value: value if isinstance(value, str) else "".join(value),
)
@pytest.mark.parametrize("passphrase", ["", "öpen sesame"], ids=["plain", "encrypted"])
def test_keys_of_each_kind_let_us_in(
    near: Box, tmp_path: Path, kind: str, more: tuple[str, ...], passphrase: str
) -> None:
    key = keygen(tmp_path / "key", kind=kind, passphrase=passphrase, more=more)
    authorize(near, key.with_suffix(".pub"))
    near.connect(replace(near.host, identity_file=key), environ={"DEPLOYER_KEY_PASSPHRASE": passphrase}).close()


def test_a_passphrase_is_asked_for_once_for_all_hosts(near: Box, tmp_path: Path) -> None:
    key = keygen(tmp_path / "key", passphrase="sesame")
    authorize(near, key.with_suffix(".pub"))
    questions: list[str] = []

    def prompt(question: str) -> Secret:
        questions.append(question)
        return Secret("wrong" if len(questions) == 1 else "sesame")

    host = replace(near.host, identity_file=key)
    connections: list[Connection] = []
    threads = [threading.Thread(target=lambda: connections.append(near.connect(host, prompt=prompt))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for connection in connections:
        connection.close()
    assert len(connections) == 4
    assert len(questions) == 2


def test_an_encrypted_key_without_a_passphrase_is_said(near: Box, tmp_path: Path) -> None:
    key = keygen(tmp_path / "key", passphrase="sesame")
    near.notes.clear()
    error = raised(NotLetInError, lambda: near.connect(replace(near.host, identity_file=key)), within_s=5)
    assert "have none to offer" in error.message
    assert any("needs a passphrase; set $DEPLOYER_KEY_PASSPHRASE" in note for note in near.notes)


def test_a_key_that_is_refused_is_named(near: Box, tmp_path: Path) -> None:
    key = keygen(tmp_path / "key")
    error = raised(NotLetInError, lambda: near.connect(replace(near.host, identity_file=key)), within_s=5)
    assert f"root@{near.sandbox.address} port 22 took none of our keys" in error.message
    assert error.details == (f"tried {key} (ssh-ed25519)",)
    assert f"-i {key} -o IdentitiesOnly=yes -p 22 root@{near.sandbox.address}" in error.hint


def test_keys_that_cannot_be_used_are_left_out_and_named(near: Box, tmp_path: Path) -> None:
    near.notes.clear()
    open_key = keygen(tmp_path / "open")
    open_key.chmod(0o644)
    broken = tmp_path / "broken"
    broken.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    broken.chmod(0o600)
    config = tmp_path / "ssh_config"
    config.write_text(
        f"IdentityFile {open_key}\nIdentityFile {broken}\nIdentityFile {tmp_path}/none\n"
        f"IdentityFile {near.sandbox.identity_file}\n"
    )
    near.connect(replace(near.host, identity_file=None), replace(QUICK, config=config)).close()
    assert len(near.notes) == 2
    assert "chmod 600" in near.notes[0]
    assert str(broken) in near.notes[1]


def test_a_user_certificate_lets_us_in(near: Box, tmp_path: Path) -> None:
    authority, key = keygen(tmp_path / "authority"), keygen(tmp_path / "key")
    signed = local.run(
        ("ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", "root", str(key.with_suffix(".pub"))), timeout_s=10
    )
    assert signed.status == 0
    line = f"cert-authority {authority.with_suffix('.pub').read_text().strip()}"
    near.do(f"echo {shlex.quote(line)} >> /root/.ssh/authorized_keys")
    near.connect(replace(near.host, identity_file=key)).close()
    (tmp_path / "key-cert.pub").unlink()
    raised(NotLetInError, lambda: near.connect(replace(near.host, identity_file=key)), within_s=5)


def add(agent: str, *files: Path) -> None:
    names = " ".join(shlex.quote(str(file)) for file in files)
    done = local.run_shell(f"SSH_AUTH_SOCK={shlex.quote(agent)} ssh-add -q {names}", timeout_s=20, cwd=Path("/"))
    assert done.status == 0, done


def test_an_agent_lets_us_in(near: Box, agent: str, tmp_path: Path) -> None:
    add(agent, near.sandbox.identity_file)
    config = tmp_path / "ssh_config"
    config.write_text(f"IdentityFile {tmp_path}/none\n")
    host = replace(near.host, identity_file=None)
    near.connect(host, replace(QUICK, config=config), environ={"SSH_AUTH_SOCK": agent}).close()
    config.write_text(f"IdentityFile {tmp_path}/none\nIdentityAgent {agent}\n")
    near.connect(host, replace(QUICK, config=config)).close()
    raised(
        NotLetInError, lambda: near.connect(host, QUICK, environ={"SSH_AUTH_SOCK": str(tmp_path / "gone")}), within_s=5
    )


def test_of_many_keys_of_an_agent_the_configured_one_comes_first(near: Box, agent: str, tmp_path: Path) -> None:
    junk = [keygen(tmp_path / f"junk{number}") for number in range(8)]
    encrypted = keygen(tmp_path / "encrypted", passphrase="")
    authorize(near, encrypted.with_suffix(".pub"))
    add(agent, *junk, encrypted)
    # From here on only the agent can use it: no passphrase may be needed.
    local.run(("ssh-keygen", "-q", "-p", "-P", "", "-N", "sesame", "-f", str(encrypted)), timeout_s=10)
    near.connect(replace(near.host, identity_file=encrypted), environ={"SSH_AUTH_SOCK": agent}).close()
    # A public key selects, too.
    public = tmp_path / "encrypted.pub"
    near.connect(replace(near.host, identity_file=public), environ={"SSH_AUTH_SOCK": agent}).close()
    config = tmp_path / "ssh_config"
    host = replace(near.host, identity_file=None)
    config.write_text(f"IdentityFile {near.sandbox.identity_file}\nIdentitiesOnly yes\n")
    near.connect(host, replace(QUICK, config=config), environ={"SSH_AUTH_SOCK": agent}).close()
    config.write_text(f"IdentityFile {near.sandbox.identity_file}\n")
    error = raised(
        NotLetInError,
        lambda: near.connect(host, replace(QUICK, config=config), environ={"SSH_AUTH_SOCK": agent}),
        within_s=10,
    )
    assert "ended the connection at key 6" in error.message
    assert "set identity_file" in error.hint
    assert [line.split()[3] for line in error.details] == [f"junk{number}" for number in range(6)]


def test_an_agent_that_will_not_sign_is_passed_over(near: Box, agent: str, tmp_path: Path) -> None:
    add(agent, near.sandbox.identity_file)
    good = keygen(tmp_path / "good")
    authorize(near, good.with_suffix(".pub"))
    done = local.run_shell(
        f"SSH_AUTH_SOCK={agent} SSH_ASKPASS=/bin/false SSH_ASKPASS_REQUIRE=force ssh-add -q -D;"
        f"SSH_AUTH_SOCK={agent} ssh-add -q -c {near.sandbox.identity_file}",
        timeout_s=10,
        cwd=tmp_path,
    )
    assert done.status == 0, done
    config = tmp_path / "ssh_config"
    config.write_text(f"IdentityFile {good}\n")
    # -c asks for a confirmation, which nobody can give here.
    near.connect(
        replace(near.host, identity_file=None), replace(QUICK, config=config), environ={"SSH_AUTH_SOCK": agent}
    ).close()


def test_a_host_that_wants_more_than_a_key_is_said(near: Box) -> None:
    near.sshd(2212, "AuthenticationMethods=publickey,password")
    host = replace(near.host, port=2212)
    error = raised(NotLetInError, lambda: near.connect(host), within_s=5)
    assert "took our key, but wants password as well" in error.message


def test_a_host_that_takes_no_keys_is_said(near: Box) -> None:
    near.sshd(2213, "PubkeyAuthentication=no", "AuthenticationMethods=password")
    error = raised(NotLetInError, lambda: near.connect(replace(near.host, port=2213)), within_s=5)
    assert "takes no keys, but password" in error.message
