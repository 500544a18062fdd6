"""The disk image and the kernel of a virtual machine: made once for each recipe, kept in the cache of the sandbox."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deployer.sandbox import DEFAULT_SUITE
from deployer.sandbox.commands import KEYRING, script, stream
from deployer.sandbox.rootfs import _proxies, mirror

PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "lz4", "udev", "kmod"),
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "procps", "perl"),
)
_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
}
_RECIPE = Path(__file__).parent / "sh"
_BUILD_TIMEOUT_S = 1200.0


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a machine is booted from. `disk` is never written to; `key` lets in, `host_key` ("TYPE BASE64") is its own."""

    directory: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.img"

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd.img"

    @property
    def key(self) -> Path:
        return self.directory / "key"

    @property
    def host_key(self) -> str:
        return (self.directory / "host_key.pub").read_text().strip()


def missing() -> tuple[str, ...]:
    """What this machine lacks to make and run virtual machines, one sentence each."""
    lacks = [
        f"{name} (package {package})" for name, package in _PROGRAMS.items() if not shutil.which(name, path=_path())
    ]
    if platform.machine() != "x86_64":
        lacks.append(f"x86_64: this is {platform.machine()}, for which there is no recipe")
    if not KEYRING.exists():
        lacks.append(f"{KEYRING} (package debian-archive-keyring)")
    if os.geteuid() != 0:
        lacks.append("root")
    return tuple(lacks)


def recipe_name() -> str:
    """Another recipe has another name, so the cache never holds a stale image."""
    texts = [(_RECIPE / name).read_bytes() for name in ("image.sh", "furnish.sh")]
    digest = hashlib.sha256(b"\0".join([*texts, " ".join(PACKAGES).encode()])).hexdigest()
    return f"{DEFAULT_SUITE}-{platform.machine()}-{digest[:8]}"


def built_image(*, cache: Path, on_line: Callable[[str], None]) -> Image:
    """Give the image, and make it first where it is not in the cache (a minute)."""
    image = Image(directory=cache / "vm" / recipe_name())
    if not image.directory.is_dir():
        program = str(_RECIPE / "image.sh")
        words = (str(cache), image.directory.name, DEFAULT_SUITE, mirror(), ",".join(PACKAGES), *_proxies())
        # The sandbox's own way to run a program as root in a mount namespace; an absolute path stands for itself.
        stream(script(program, *words), timeout_s=_BUILD_TIMEOUT_S, what="making the image", on_line=on_line)
    return image


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
