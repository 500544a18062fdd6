"""Versions: which of two is newer, and what a file's name says. Pure."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Final, TypeAlias

Token: TypeAlias = tuple[int, int, str]
Key: TypeAlias = tuple[tuple[Token, ...], tuple[Token, ...], int, tuple[Token, ...]]

_TOKEN: Final = re.compile(r"[0-9]+|[A-Za-z]+")
_EARLY: Final = frozenset(
    {"a", "alpha", "b", "beta", "c", "rc", "pre", "preview", "dev", "snapshot", "canary", "nightly"}
)
_DESCRIBED: Final = re.compile(r"-([0-9]{1,9})-g[0-9a-f]{4,40}(?:-dirty)?$", re.ASCII)
_SUFFIX: Final = re.compile(r"\.(?:tar\.gz|tgz|tar)$", re.IGNORECASE)
_PLATFORM: Final = re.compile(
    r"(?:[-_.](?:linux|darwin|macos|osx|apple|windows|win32|win64|(?:free|net|open)bsd|pc|unknown"
    r"|amd64|x86_64|x86-64|x64|i[3-6]86|arm64|aarch64|armhf|armv[5-8][a-z]*|riscv64|ppc64(?:le|el)?|s390x|universal|noarch"
    r"|gnu|gnueabi(?:hf)?|musl|musleabi(?:hf)?|msvc|static))+$",
    re.IGNORECASE,
)
_DOTTED: Final = re.compile(r"(?:^|[-_])v?([0-9]+(?:\.[0-9]+)+[0-9A-Za-z.+~_-]*)$")
_NUMBER: Final = re.compile(r"(?:^|[-_])v?([0-9]+(?:[-+~][0-9A-Za-z.+~_-]*)?)$")
_COMMIT: Final = re.compile(r"(?:^|[-_])([0-9a-f]{7,40})$")


def sort_key(version: str) -> Key:
    """Return a key that sorts versions from old to new: 1.9.0, 1.10.0-rc.1, 1.10.0-rc.2, 1.10.0.

    Numbers count as numbers. A part behind "-" or "~", or a word such as "rc1" at the end, makes a version older than
    the plain one; what follows "+" decides only where all else is alike. Source: semver.org, item 11.

    What git describe makes of five commits after a tag, 1.4.2-5-g3f2a9c1, is newer than the tag and older than the next.
    """
    text, _, build = version.removeprefix("v").partition("+")
    since = _DESCRIBED.search(text)
    if since:
        text = text[: since.start()]
    core, dash, early = text.replace("~", "-", 1).partition("-")
    nothing_early = ((9, 0, ""),)
    return _core(core), _tokens(early) if dash else nothing_early, int(since[1]) if since else 0, _tokens(build)


def is_ordered(version: str) -> bool:
    """Tell whether a version can say what is newer; a commit's hash cannot."""
    return re.match(r"v?[0-9]", version) is not None and re.fullmatch(r"[0-9a-f]*[a-f][0-9a-f]*", version) is None


def of_file_name(name: str) -> str:
    """Return the version that a tarball's file name holds, such as 1.4.2 of `NAME-1.4.2.tar.gz`, or nothing.

    Names of platforms behind it (`-linux-amd64`) are not part of it. A number alone (`NAME-42`) and a commit's hash
    (`NAME-3f2a9c1`) are taken where there is nothing better.
    """
    stem = _PLATFORM.sub("", _SUFFIX.sub("", PurePath(name).name))
    for pattern in (_DOTTED, _NUMBER, _COMMIT):
        found = pattern.search(stem)
        if found:
            return found[1]
    return ""


def _core(text: str) -> tuple[Token, ...]:
    # Of "1.0.0rc1" and "1.0.0" the plain one is newer; of "1.0.2a" and "1.0.2" the one with the letter, were it not
    # that "a" is for alpha: so other letters alone.
    end: Token = (1, 0, "")
    ranked = ((0 if word in _EARLY else 2 if word else 3, number, word) for _, number, word in _tokens(text))
    return (*ranked, end)


def _tokens(text: str) -> tuple[Token, ...]:
    # In what stands behind the dash a number is older than a word in the same place.
    return tuple((0, int(each), "") if each.isdigit() else (1, 0, each.lower()) for each in _TOKEN.findall(text))
