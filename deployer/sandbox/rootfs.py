"""The root file systems that hosts share: one for each suite and recipe, built once with mmdebstrap, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from deployer.errors import UsageError
from deployer.sandbox.commands import as_root, run, script, stream
from deployer.sandbox.state import chosen_directory

SUITES = ("bookworm", "trixie")
# What a small server has. No Python, curl or rsync: a host must not need them.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "procps")

_DEFAULT_MIRROR = "http://deb.debian.org/debian"
_BUILD_TIMEOUT_S = 1200.0


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """`$DEPLOYER_CACHE`, else `deployer` in the user's cache directory (`$XDG_CACHE_HOME`, `~/.cache`)."""
    return chosen_directory(environ, own="DEPLOYER_CACHE", base="XDG_CACHE_HOME", default=".cache", below="deployer")


def recipe_name(suite: str, *, machine: str = "") -> str:
    """What a root file system is called: another recipe has another name, so a cache never holds a stale one."""
    texts = [(Path(__file__).parent / "sh" / name).read_bytes() for name in ("rootfs.sh", "furnish.sh")]
    digest = hashlib.sha256(b"\0".join([*texts, " ".join(PACKAGES).encode()])).hexdigest()
    return f"{suite}-{machine or platform.machine()}-{digest[:8]}"


def built_rootfs(suite: str, *, cache: Path, on_line: Callable[[str], None]) -> Path:
    """Give the root file system of a suite, and build it first where it is not in the cache (half a minute).

    Two builders at once get one build. The directory is root's alone.

    Raises:
        UsageError: There is no such suite.
        HostError: The build failed.
    """
    if suite not in SUITES:
        raise UsageError(f"there is no suite {suite!r} for sandbox hosts; there are: {', '.join(SUITES)}")
    name = recipe_name(suite)
    path = cache / "rootfs" / name
    if run(as_root("test", "-d", str(path)), timeout_s=10).status != 0:
        stream(
            script("rootfs.sh", str(cache), name, suite, mirror(), ",".join(PACKAGES), *_proxies()),
            timeout_s=_BUILD_TIMEOUT_S,
            what=f"building the {suite} root file system",
            on_line=on_line,
        )
    return path


def mirror(environ: Mapping[str, str] = os.environ) -> str:
    """`$DEPLOYER_MIRROR`, else the mirror that a Debian machine itself uses, else Debian's own."""
    if chosen := environ.get("DEPLOYER_MIRROR"):
        return chosen
    if shutil.which("apt-get"):
        asked = run(
            ("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"), timeout_s=20
        )
        return mirror_among(asked.stdout)
    return _DEFAULT_MIRROR


def mirror_among(targets: str) -> str:
    """The first Debian archive among lines of `LABEL URI` that other programs can fetch from, else Debian's own."""
    for line in targets.splitlines():
        label, _, uri = line.partition(" ")
        if label == "Debian" and uri.startswith(("http://", "https://")):
            return uri.rstrip("/")
    return _DEFAULT_MIRROR


def _proxies() -> tuple[str, ...]:
    # As arguments: sudo keeps no environment.
    names = ("http_proxy", "https_proxy", "no_proxy")
    return tuple(f"{name}={value}" for name in names if (value := os.environ.get(name)))
