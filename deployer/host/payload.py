"""The `.deployer` directory of a release: its unit, environment, settings, manifest and program, as one small archive."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.host.scripts import program
from deployer.model import Secret

ID_PLACEHOLDER = "0.deployer-release-id.0"
"""Stands for the release's id in texts of which the identity is taken: the id follows from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """The texts of a release that are not in its tarball."""

    trial_unit: str
    committed_unit: str
    one_off: str
    settings: str
    env: Secret
    manifest: Mapping[str, Any]
    files: Iterable[str]
    identity: str
    digest: str


def identity(*, version: str, digest: str, unit: str, one_off: str, settings: str, env: Secret) -> str:
    """Return what tells two releases apart: a sha256 over version, tarball, unit, settings and environment.

    `unit` and `one_off` are rendered with `ID_PLACEHOLDER` as the id. It lies beside the environment, for root alone.
    """
    total = hashlib.sha256()
    for text in (version, digest, unit, one_off, settings, env.reveal()):
        raw = text.encode("utf-8", "surrogateescape")
        total.update(b"%d:" % len(raw) + raw)
    return total.hexdigest()


def archive(payload: Payload) -> Secret:
    """Return the directory as base64 of a gzipped tar. It holds the environment, so it goes on standard input only."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "activate", program().encode(), 0o700)
        _add(tar, "trial.service", payload.trial_unit.encode(), 0o600)
        _add(tar, "committed.service", payload.committed_unit.encode(), 0o600)
        _add(tar, "one-off.conf", payload.one_off.encode(), 0o600)
        _add(tar, "settings", payload.settings.encode(), 0o600)
        _add(tar, "env", payload.env.reveal().encode(), 0o600)
        _add(tar, "manifest.json", (json.dumps(payload.manifest, indent=2) + "\n").encode(), 0o600)
        _add(tar, "files.gz", gzip.compress("".join(f"{line}\n" for line in payload.files).encode(), mtime=0), 0o600)
        _add(tar, "digest", f"{payload.digest}\n".encode(), 0o600)
        _add(tar, "identity", f"{payload.identity}\n".encode(), 0o600)
    return Secret(base64.b64encode(out.getvalue()).decode("ascii"))


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = mode
    tar.addfile(member, io.BytesIO(content))
