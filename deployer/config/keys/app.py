"""Keys that say what is deployed: `[app]`, `[artifact]` and `[release]`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from deployer.config import patterns
from deployer.config.definition import Key, Rule, Table, Values, needs, not_beside
from deployer.config.values import Duration, Integer, ListOf, LocalPath, Size, Text

_TOP: Final = (
    "bin boot dev etc home lib lib32 lib64 libx32 lost\\+found media mnt opt proc root run sbin srv sys tmp usr var"
)
_PASSING: Final = "dev proc run sys tmp"

APP_NAME: Final = Text(
    accepts='a unit\'s name: letters, digits and "_.@-", beginning with a letter, a digit or "_", up to 180 characters, '
    'without ".service" or "@" at its end, and without "deployer-" at its beginning',
    pattern=patterns.APP,
    longest=180,
    refused=(r".*\.service", r"deployer-.*"),
    hints=(
        (r".+\.service$", 'leave ".service" out: the name is the unit\'s without it'),
        (r"deployer-", "units whose name begins with deployer- are deployer's own on a host; call it something else"),
    ),
)
UNIX_USER: Final = Text(
    accepts='a user\'s name: letters, digits and "_-", beginning with a letter or "_", up to 32 characters',
    pattern=patterns.UNIX_USER,
    longest=32,
)

APP: Final = Table(
    name="app",
    doc="What the service is called and where it lives on a host.",
    keys=(
        Key(
            name="name",
            value=APP_NAME,
            doc="The service's name: its unit is `NAME.service`, its environment `/etc/default/NAME.env`.",
            example='name = "my_phoenix_app"',
            required=True,
        ),
        Key(
            name="user",
            value=UNIX_USER,
            doc="The user that the service runs as. `deployer setup` makes it where it is missing.",
            example='user = "ubuntu"',
            required=True,
        ),
        Key(
            name="description",
            value=Text(
                accepts="one line of text that does not end in a backslash", pattern=patterns.UNIT_LINE, longest=200
            ),
            doc="What `systemctl status` calls the service.",
            example='description = "Shop front end"',
            default_text="the name",
        ),
        Key(
            name="root",
            value=Text(
                accepts='an absolute path without "." or "..", of letters, digits and "_.@+-", below a directory of the '
                "system that outlives a reboot (such as /opt/NAME or /srv/NAME), and not such a directory itself",
                pattern=patterns.ROOT,
                longest=200,
                refused=(rf"/(?:{_TOP.replace(' ', '|')})", rf"/(?:{_PASSING.replace(' ', '|')})/.*"),
                convert=PurePosixPath,
            ),
            doc="The directory on a host that holds the releases. It must be on a file system that outlives a reboot.",
            example='root = "/srv/my_phoenix_app"',
            default_text="`/opt/NAME`",
        ),
        Key(
            name="keep",
            value=Integer(low=2, high=1000),
            doc="How many releases stay on a host: so many of the newest, and so many of those that a rollback could go to, "
            "whatever failed after them. The committed one, the good one before it, pinned ones and ones that a process "
            "still runs from stay anyway.",
            example="keep = 5",
            default=5,
        ),
    ),
)


def _one_digest(values: Values, given: frozenset[str]) -> Iterator[tuple[str, str]]:
    named = re.fullmatch(rf"sha256=({patterns.SHA256})", str(values.get("url", "")).partition("#")[2])
    if named and "sha256" in given and values.get("sha256", "") not in ("", named[1].lower()):
        yield "sha256", "another digest than the #sha256= of url"


ARTIFACT: Final = Table(
    name="artifact",
    doc="Where the release tarball comes from. May be left out: then the command line names one with `--artifact`.",
    keys=(
        Key(
            name="path",
            value=LocalPath(glob=True),
            doc="The tarball on this machine. Of several that a glob finds, the one whose name tells the newest version is taken: "
            "1.9 comes before 1.10, `1.4.2-rc.1` before `1.4.2`, and after it what git describe makes of later commits, "
            "`1.4.2-5-g3f2a9c1`. Platforms at the end (`-linux-amd64`) do not count; where not all names tell a version, it "
            "is the youngest file. You are told which was taken.",
            example='path = "../_build/prod/my_phoenix_app-*.tar.gz"',
        ),
        Key(
            name="url",
            value=Text(
                accepts="an https:// or a file:/// URL; in a user or password %2F stands for /, %3F for ?, %23 for #, %40 for @",
                pattern=patterns.HTTPS_OR_FILE,
                hints=((r"http://", "http:// is refused: anybody on the way could change the tarball; use https://"),),
            ),
            doc="Where to fetch the tarball from: `https://` or `file:///`.",
            example='url = "https://releases.example.com/my_phoenix_app-1.4.2.tar.gz"',
            private=True,
        ),
        Key(
            name="sha256",
            value=Text(accepts="a SHA-256: 64 hexadecimal digits", pattern=patterns.SHA256, convert=str.lower),
            doc="The digest that the tarball must have. Without it, a `.sha256` file beside a URL is looked for; an `https://` URL "
            "needs one of both, a `file:///` URL without either is taken as it is, and you are told.",
            example='sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
        ),
        Key(
            name="build",
            value=Text(accepts="a shell command", pattern=patterns.SHELL),
            doc="A command for this machine's shell that makes the tarball. It is run in the config file's directory, before "
            "`path` is looked at.",
            example='build = "cd .. && MIX_ENV=prod mix release --overwrite"',
        ),
        Key(
            name="build_timeout",
            value=Duration(),
            doc="How long `build` may take before it is ended.",
            example='build_timeout = "30m"',
            default="30m",
        ),
        Key(
            name="allow_links",
            value=ListOf(
                item=Text(accepts="a glob of members of the tarball", pattern=patterns.LOCAL_PATH),
                accepts='a list of globs, such as ["venv/bin/python*"]',
            ),
            doc="Globs of the members whose symbolic link may point out of the release, as a virtual environment's "
            "`bin/python` does. Every other such link is refused.",
            example='allow_links = ["venv/bin/python*"]',
            default=[],
        ),
        Key(
            name="max_unpacked",
            value=Size(),
            doc="How much the tarball may unpack to. More is refused before anything is sent, as a few bytes of gzip can be "
            "terabytes.",
            example='max_unpacked = "8GiB"',
            default="4GiB",
        ),
        Key(
            name="max_members",
            value=Integer(low=1, high=10_000_000),
            doc="How many files, links and directories may be in the tarball.",
            example="max_members = 500_000",
            default=200_000,
        ),
    ),
    rules=(
        not_beside("path", ("url",), "the tarball comes from one place"),
        needs("build", "path", "where the built tarball is found"),
        Rule(text="`sha256` and a `#sha256=` of `url` must be the same digest.", check=_one_digest),
    ),
)

RELEASE: Final = Table(
    name="release",
    doc="What the tarball cannot say of itself.",
    keys=(
        Key(
            name="version",
            value=Text(
                accepts='a version: letters, digits and "._+~-", beginning with a letter or a digit, up to 100 characters',
                pattern=patterns.VERSION,
                longest=100,
            ),
            doc="The release's version, where the tarball does not tell it. Without it, the version is looked for in the "
            "release, then in the file's name: `NAME-1.4.2.tar.gz` is 1.4.2.",
            example='version = "1.4.2"',
        ),
    ),
)
