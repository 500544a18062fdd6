"""Identity files, as far as they can be read without a passphrase."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from deployer import local
from deployer.transport.keys import KeyFile, KeyRing, read_key_file
from deployer.transport.ssh_config import Target
from tests.closed import closed


def keygen(path: Path, *more: str, passphrase: str = "") -> bytes:
    done = local.run(("ssh-keygen", "-q", "-N", passphrase, "-f", str(path), *more), timeout_s=20)
    assert done.status == 0, done
    return base64.b64decode(path.with_name(path.name + ".pub").read_text().split()[1])


@pytest.mark.parametrize("passphrase", ["", "sesame"])
@pytest.mark.parametrize(("kind", "name"), [("ed25519", "ssh-ed25519"), ("ecdsa", "ecdsa-sha2-nistp256")])
def test_an_openssh_key_shows_its_public_half(tmp_path: Path, kind: str, name: str, passphrase: str) -> None:
    path = tmp_path / "key"
    public = keygen(path, "-t", kind, passphrase=passphrase)
    (tmp_path / "key.pub").unlink()
    assert read_key_file(path) == KeyFile(path=path, type=name, public=public, encrypted=bool(passphrase))


@pytest.mark.parametrize("passphrase", ["", "sesame"])
def test_a_pem_key_takes_it_from_beside(tmp_path: Path, passphrase: str) -> None:
    path = tmp_path / "key"
    public = keygen(path, "-t", "ecdsa", "-m", "PEM", passphrase=passphrase)
    expected = KeyFile(path=path, type="ecdsa-sha2-nistp256", public=public, encrypted=bool(passphrase))
    assert read_key_file(path) == expected


def test_a_public_key_selects_one_of_the_agent(tmp_path: Path) -> None:
    public = keygen(tmp_path / "key", "-t", "ed25519")
    path = tmp_path / "key.pub"
    assert read_key_file(path) == KeyFile(path=path, type="ssh-ed25519", public=public, encrypted=False, private=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "not a key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "PuTTY-User-Key-File-3: ssh-ed25519\n",
    ],
)
def test_what_cannot_be_read_has_no_type(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    assert read_key_file(path).type == ""


@pytest.mark.parametrize("is_given", [False, True], ids=["beside its key", "given"])
def test_a_certificate_that_we_may_not_read_is_left_out_and_named(tmp_path: Path, *, is_given: bool) -> None:
    path, notes = tmp_path / "key", list[str]()
    keygen(path, "-t", "ed25519")
    certificate = tmp_path / ("given.pub" if is_given else "key-cert.pub")
    certificate.write_text("")
    target = Target(
        name="web",
        hostname="web",
        port=22,
        user="me",
        identity_files=(path,),
        certificate_files=(certificate,) if is_given else (),
    )
    ring = KeyRing(target=target, environ={}, prompt=lambda _: None, note=notes.append)
    with closed(certificate):
        assert [offer.label for offer in ring.offers()] == [f"{path} (ssh-ed25519)"]
    assert notes == [f"the certificate {certificate} was left out: Permission denied"]
