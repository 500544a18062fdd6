"""The judge of archives: each rule by itself, then everything it accepts against the real tar."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deployer import local
from deployer.artifact.judge import Judged, judge
from deployer.artifact.stream import TarBytes
from deployer.artifact.tar import TarReader
from deployer.artifact.values import FileMember, LinkMember, RefusedError
from deployer.model import MAX_UNPACKED_BYTES
from tests.unit import archives
from tests.unit.archives import Entry, directory, file, hardlink, pax, symlink


def judged(
    *entries: Entry,
    raw: bytes | None = None,
    allow_links: tuple[str, ...] = (),
    texts: tuple[str, ...] = (),
    most_members: int = 1000,
    limit_bytes: int = MAX_UNPACKED_BYTES,
) -> Judged:
    source = TarBytes(io.BytesIO(archives.tar(*entries) if raw is None else raw), limit_bytes=limit_bytes)
    return judge(TarReader(source), allow_links=allow_links, texts=texts, most_members=most_members)


def refusal(*entries: Entry, raw: bytes | None = None, allow_links: tuple[str, ...] = ()) -> str:
    with pytest.raises(RefusedError) as caught:
        judged(*entries, raw=raw, allow_links=allow_links)
    assert caught.value.hint
    return caught.value.sentence


def paths(result: Judged) -> list[str]:
    return [each.path for each in result.files]


def test_a_plain_tree_is_told_file_by_file() -> None:
    found = judged(
        directory("bin/"), file("bin/app", b"#!", mode=0o755), file("VERSION", b"1\n"), symlink("bin/again", "app")
    )
    assert found == Judged(
        strip=0,
        top="",
        files=(
            FileMember(path="VERSION", size_bytes=2, mode=0o644, sha256=hashlib.sha256(b"1\n").hexdigest()),
            FileMember(path="bin/app", size_bytes=2, mode=0o755, sha256=hashlib.sha256(b"#!").hexdigest()),
        ),
        links=(LinkMember(path="bin/again", target="app"),),
        executables=frozenset({"bin/app", "bin/again"}),
        texts={},
        members=4,
        unpacked_bytes=3 * 4096,
        warnings=(),
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "is an absolute path"),
        ("../x", '".." in its path'),
        ("a/../../x", '".." in its path'),
        ("..", '".." in its path'),
        ("a//b", "an empty part or a dot"),
        ("a/./b", "an empty part or a dot"),
        ("././a", "an empty part or a dot"),
        ("a/", "an empty part or a dot"),
        ("", "an empty part or a dot"),
        ("a\nb", r"control character (U+000A)"),
        ("a\x1b[2Jb", "control character (U+001B)"),
        ("a\u202eb", "control character (U+202E)"),
        (b"a\xffb", "is not UTF-8"),
        (".deployer/env", "takes the place of .deployer"),
        ("x" * 256, "is too long a name"),
    ],
)
def test_hostile_names_are_refused(name: str | bytes, why: str) -> None:
    raw = name if isinstance(name, bytes) else name.encode()
    entry = file(raw) if len(raw) <= 100 else file(b"short")
    long = [Entry(name=b"././@LongLink", type=b"L", content=raw + b"\0")] if len(raw) > 100 else []
    message = refusal(file("a-file-before"), *long, entry)
    assert why in message
    assert message.isprintable()


@pytest.mark.parametrize(
    "name", ["ü/ñ", "a b", "-rf", "a\\nb", "\U0001f469\u200d\U0001f4bb", "a:b", "*", "...", "..a", "$x"]
)
def test_odd_but_harmless_names_are_carried(name: str) -> None:
    assert name in paths(judged(file("other"), file(name)))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (b"3", "character device"),
        (b"4", "block device"),
        (b"6", "FIFO"),
        (b"S", "sparse"),
        (b"7", "contiguous"),
        (b"D", "incremental"),
        (b"M", "volume"),
        (b"Z", "unknown type"),
    ],
)
def test_members_that_are_no_files_are_refused(kind: bytes, why: str) -> None:
    message = refusal(file("a"), Entry(name=b"dev/null", type=kind))
    assert why in message
    assert "'dev/null'" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mtime", "99999999999999999999"),
        ("mtime", "soon"),
        ("atime", ""),
        ("ctime", "1e9"),
        ("uid", "4294967295"),
        ("gid", "-1"),
    ],
)
def test_numbers_of_pax_headers_that_tar_refuses_are_refused(key: str, value: str) -> None:
    message = refusal(file("a"), archives.pax(**{key: value}), file("b"))
    assert f"impossible '{key}' in a pax header: '{value}'" in message


def test_odd_but_possible_numbers_are_carried() -> None:
    early = archives.pax(uid="4294967294", gid="0", mtime="-5.5", atime="1700000000.123456789")
    raw = bytearray(archives.tar(early, file("b"), file("c")))
    at = raw.index(b"c\0")
    raw[at + 108 : at + 116] = b"\x80" + (2**31).to_bytes(7, "big")  # a user id too large for octal digits
    raw[at + 136 : at + 148] = b"\xff" * 11 + b"\xfe"  # two seconds before 1970
    raw[at + 148 : at + 156] = b" " * 8
    raw[at + 148 : at + 156] = b"%06o\0 " % sum(raw[at : at + 512])
    found = judged(raw=bytes(raw))
    assert paths(found) == ["b", "c"]
    _unpacks_as_told(bytes(raw), found)


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_set_id_bits_are_refused(mode: int) -> None:
    assert f"mode {mode:04o}" in refusal(file("su", mode=mode))


def test_a_file_type_within_the_mode_is_no_set_id_bit() -> None:
    # erl_tar writes the whole of st_mode.
    assert judged(file("a", mode=0o100755)).files[0].mode == 0o755


@pytest.mark.parametrize(
    ("links", "named"),
    [
        ([("l", "/etc/passwd")], "'l' to '/etc/passwd' is absolute"),
        ([("l", "..")], "'l' to '..' leads out"),
        ([("e/l", "../../x")], "'e/l' to '../../x' leads out"),
        ([("a/b", "c"), ("l", "a/b/../../../x")], "leads out"),
        ([("one", "d/two"), ("d/two", "../..")], "leads out"),
        # "sub" is a link one level up, so "sub/.." is above the root though the name alone looks tame.
        ([("deep/sub", ".."), ("l", "deep/sub/..")], "'l' to 'deep/sub/..' leads out"),
        ([("l", "l")], "circle"),
        ([("a", "b"), ("b", "a")], "circle"),
    ],
)
def test_links_out_of_the_tree_are_refused(links: list[tuple[str, str]], named: str) -> None:
    assert named in refusal(file("f"), file("g"), *(symlink(name, target) for name, target in links))


def test_a_link_is_judged_in_the_tree_without_its_top_directory() -> None:
    assert "leads out" in refusal(file("top/f"), symlink("top/l", "../top/f"))
    assert judged(file("a/f"), file("b"), symlink("a/l", "../a/f")).links[0].outward is False


def test_links_that_stay_in_the_tree_are_carried() -> None:
    found = judged(
        file("lib/x.so"),
        file("bin/f"),
        symlink("bin/x", "../lib/x.so"),
        symlink("current", "lib"),
        symlink("y", "current/x.so"),
        symlink("dangling", "not/there"),
    )
    assert [link.path for link in found.links] == ["bin/x", "current", "dangling", "y"]
    assert not any(link.outward for link in found.links)


def test_allowed_links_may_lead_out_and_others_may_not() -> None:
    venv = [file("app.py"), symlink("venv/bin/python3", "/usr/bin/python3"), symlink("venv/bin/python", "python3")]
    found = judged(*venv, allow_links=("venv/bin/python*",))
    assert [(link.path, link.outward) for link in found.links] == [
        ("venv/bin/python", True),
        ("venv/bin/python3", True),
    ]
    assert found.executables == {"venv/bin/python", "venv/bin/python3"}
    # The second leads out too, if by way of the first.
    assert "'venv/bin/python'" in refusal(*venv, allow_links=("venv/bin/python3",))
    assert "leads out" in refusal(file("a"), symlink("b/l", "../../x"), allow_links=("*", "b/x", "b"))


def test_nothing_is_written_through_a_link() -> None:
    assert "through the link 'l'" in refusal(file("a"), symlink("l", "d"), file("l/x"))
    assert "as something else" in refusal(file("l/x"), symlink("l", "d"))
    assert "through the link 'l'" in refusal(file("a"), symlink("l", "/etc"), file("l/cron.d/x"), allow_links=("l",))
    assert "as something else" in refusal(file("a"), symlink("l", "/etc"), directory("l"), allow_links=("l",))


def test_hard_links_lead_to_files_before_them() -> None:
    found = judged(file("a", b"12"), hardlink("b", "a"))
    assert [(each.path, each.size_bytes) for each in found.files] == [("a", 2), ("b", 2)]
    assert found.unpacked_bytes == 4096
    for target in ("later", "../x", "/etc/shadow", "d", "l"):
        message = refusal(file("d/f"), symlink("l", "d/f"), hardlink("h", target), file("later"))
        assert "'h'" in message


def test_a_file_may_be_there_twice_with_the_same_content_alone() -> None:
    # `mix release` packs the files of overlays twice.
    assert paths(judged(file("bin/server", b"1"), file("bin/server", b"1"))) == ["bin/server"]
    assert "two contents" in refusal(file("a", b"1"), file("a", b"2"))
    assert "two targets" in refusal(file("a"), symlink("l", "a"), symlink("l", "b"))
    assert "as something else" in refusal(file("a"), directory("a"))
    assert "below 'a', which is a file" in refusal(file("a"), file("a/b"))
    assert "as something else" in refusal(file("a/b"), file("a"))


@pytest.mark.parametrize(
    ("names", "strip", "top", "within"),
    [
        (["app/bin/x", "app/y"], 1, "app", ["bin/x", "y"]),
        (["./app/bin/x", "./app/y"], 2, "app", ["bin/x", "y"]),
        (["bin/x", "bin/y"], 0, "", ["bin/x", "bin/y"]),
        (["./bin/x", "lib/y"], 0, "", ["bin/x", "lib/y"]),
        (["erts-13.1/x"], 0, "", ["erts-13.1/x"]),
        (["releases/x"], 0, "", ["releases/x"]),
        (["app"], 0, "", ["app"]),
        (["a/x", "b/x"], 0, "", ["a/x", "b/x"]),
    ],
)
def test_a_single_top_directory_is_taken_off(names: list[str], strip: int, top: str, within: list[str]) -> None:
    found = judged(*(file(name) for name in names))
    assert (found.strip, found.top, paths(found)) == (strip, top, within)


def test_a_top_directory_named_in_two_ways_is_refused() -> None:
    assert "with ./ at the beginning and some without" in refusal(file("./app/a"), file("app/b"))
    assert "with ./ at the beginning" in refusal(file("app/a"), hardlink("app/b", "./app/a"))


def test_an_archive_without_a_file_is_refused() -> None:
    assert refusal(directory("bin")) == "holds no file"
    assert refusal() == "holds no file"


def test_limits_hold_while_it_is_read() -> None:
    with pytest.raises(RefusedError, match="more than 3 members"):
        judged(*(file(f"f{n}") for n in range(4)), most_members=3)
    bomb = gzip.compress(archives.tar(file("zeros", bytes(8 << 20))), 9)
    assert len(bomb) < 100_000
    with pytest.raises(RefusedError, match="more than 1MiB"):
        judged(raw=bomb, limit_bytes=1 << 20)
    # Twin: with more allowed, both are read to their end.
    assert judged(*(file(f"f{n}") for n in range(4)), most_members=4).members == 4
    assert judged(raw=bomb, limit_bytes=9 << 20).unpacked_bytes >= 8 << 20


def test_texts_are_kept_as_they_lie_in_the_tree() -> None:
    found = judged(
        file("app/releases/start_erl.data", b"13 1.0"),
        file("app/releases/b/other", b"no"),
        file("app/big", b"y" * 100_000),
        texts=("releases/start_erl.data", "big"),
    )
    assert found.texts == {"releases/start_erl.data": b"13 1.0", "big": b"y" * 65536}


def test_files_that_the_service_could_not_read_are_told() -> None:
    (warning,) = judged(file("a", mode=0o600), file("b", mode=0o640), file("c")).warnings
    assert warning.startswith("'a' and 1 more will be readable by root alone (mode 0600)")


def test_directories_that_the_service_could_not_enter_are_told() -> None:
    warnings = judged(
        directory("./", mode=0o700), directory("./a", mode=0o700), directory("./b", mode=0o754), file("./c")
    )
    assert warnings.warnings == (
        "'a' and 1 more will be entered by root alone (mode 0700), not by the service: chmod -R a+rX, then pack",
    )


def test_a_top_directory_that_is_taken_off_may_be_closed() -> None:
    assert judged(directory("shop", mode=0o700), directory("shop/lib"), file("shop/lib/a")).warnings == ()


def test_programs_that_root_alone_could_start_are_told_and_are_none() -> None:
    found = judged(file("a", mode=0o744), file("b", mode=0o755), file("c", mode=0o700), symlink("d", "a"))
    assert found.executables == {"b"}
    assert found.warnings == (
        "'c' will be readable by root alone (mode 0700), not by the service: chmod -R a+rX, then pack",
        "'a' will be executable by root alone (mode 0744), not by the service: chmod -R a+rX, then pack",
    )


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_told(keep: float) -> None:
    raw = archives.tar(*(file(f"f{n}", hashlib.shake_128(b"%d" % n).digest(3000)) for n in range(9)))
    packed = gzip.compress(raw)
    assert "is cut: its gzip stream ends in the middle" in refusal(raw=packed[: int(len(packed) * keep)])
    content_end = len(raw) - 1024
    assert "is cut" in refusal(raw=raw[: int(content_end * keep)])
    # At the boundary of a member GNU tar itself would not notice.
    assert "without the mark of an archive's end" in refusal(raw=raw[:content_end])


def test_what_is_no_tar_is_named() -> None:
    cases = {
        b"PK\x03\x04rest": "a zip archive",
        b"\x7fELF\x02": "an ELF program",
        b"\n<!DOCTYPE html><html>": "a web page",
        b"\xfd7zXZ\x00": "an xz archive",
        b'{"message": "Not Found"}': "JSON",
        b"version https://git-lfs.github.com/spec/v1": "a Git LFS pointer",
    }
    for raw, name in cases.items():
        for content in (raw, gzip.compress(raw), raw + bytes(2000)):
            assert f"is no tar archive: it looks like {name}" in refusal(raw=content)
    assert refusal(raw=b"") == "is empty"
    assert refusal(raw=b"hello\n" * 200) == "is no tar archive"


def test_damage_is_told() -> None:
    raw = archives.tar(file("a"), file("b"))
    assert "what follows 'a' is no tar header" in refusal(raw=raw[:1024] + b"\x01" * 512 + raw[1536:])
    assert "something else behind the mark" in refusal(raw=raw + b"more")
    packed = gzip.compress(raw)
    assert "something else behind its gzip stream" in refusal(raw=packed + b"more")
    broken = bytearray(packed)
    broken[-6] ^= 1
    assert "is damaged: its gzip stream breaks" in refusal(raw=bytes(broken))


def test_several_gzip_members_are_one_stream() -> None:
    raw = archives.tar(file("a", b"1" * 2000), file("b"))
    assert paths(judged(raw=gzip.compress(raw[:700]) + gzip.compress(raw[700:]))) == ["a", "b"]


def test_headers_that_contradict_each_other_are_refused() -> None:
    assert "two sizes" in refusal(pax(size="600"), file("a", b"1" * 10))
    assert "a symlink, a content of 5 bytes" in refusal(Entry(name=b"l", type=b"2", target=b"a", content=b"12345"))
    long = Entry(name=b"././@LongLink", type=b"L", content=b"other\0")
    assert "two long names" in refusal(long, pax(path="one"), file("a"))
    assert "two extended headers" in refusal(long, long, file("a"))
    assert "without its member" in refusal(file("a"), pax(path="x"))
    assert "'GNU.sparse.name', which is not carried" in refusal(pax(GNU__sparse__name="x"), file("a"))
    assert "all its members one 'path'" in refusal(
        Entry(name=b"g", type=b"g", content=pax(path="x").content), file("a")
    )
    assert "no octal number" in refusal(raw=_with_mode(b"zz00644\0"))


def _with_mode(field: bytes) -> bytes:
    block = bytearray(file("a", b"").packed())
    block[100:108] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(1024)


def test_long_names_of_both_formats_are_read() -> None:
    name = "/".join(["part"] * 40)
    gnu = Entry(name=b"././@LongLink", type=b"L", content=name.encode() + b"\0")
    assert paths(judged(gnu, file("cut"), file("z"))) == [name, "z"]
    assert paths(judged(pax(path=name), file("cut"), file("z"))) == [name, "z"]
    ustar = Entry(name=b"b", prefix=b"a" * 100, content=b"x")
    assert paths(judged(ustar, file("z"))) == [f"{'a' * 100}/b", "z"]
    # Behind GNU's magic the same bytes are times.
    assert paths(judged(Entry(name=b"b", prefix=b"0000", magic=b"ustar  \0"), file("z"))) == ["b", "z"]


# -- what is accepted, against the real tar -------------------------------------------------------------------------

_PART = st.sampled_from(["a", "b", "c", "bin", ".", "..", "", ".deployer", "é"])
_WILD = st.lists(_PART, min_size=1, max_size=4).map("/".join) | st.sampled_from(["/abs", "top/a", "./top/b"])
_CALM = st.sampled_from(["a", "b", "c/d", "c/e", "f/g/h", "f/g/i", "k/é"])
_LINK = st.sampled_from(["m", "n", "c/o", "f/g/p", "q", "f/r"])
_LEADS = st.sampled_from(
    [
        "a",
        "c",
        "m",
        "n",
        "q",
        ".",
        "..",
        "../m",
        "../n",
        "../..",
        "../q/..",
        "m/..",
        "n/../c",
        "../../a",
        "f/r/../..",
        "zz/../..",
    ]
)
_NAME = _WILD | _CALM
_TARGET = _WILD | _LEADS | st.sampled_from(["/etc", "../outside"])
_TAME = st.one_of(
    st.builds(file, _CALM, st.just(b"1"), mode=st.sampled_from([0o644, 0o755])),
    st.builds(symlink, _LINK, _LEADS),
    st.builds(directory, st.sampled_from(["c", "c/", "f/g", "l/"])),
    st.builds(hardlink, st.sampled_from(["s", "c/t"]), _CALM),
)
_ENTRY = st.one_of(
    st.builds(file, _NAME, st.sampled_from([b"", b"1", b"22"]), mode=st.sampled_from([0o644, 0o755, 0o4755, 0o600])),
    st.builds(directory, _NAME),
    st.builds(symlink, _NAME, _TARGET),
    st.builds(hardlink, _NAME, _TARGET),
    st.builds(lambda path: pax(path=path), _NAME),
    st.builds(lambda path: pax(linkpath=path), _TARGET),
    st.builds(lambda name: Entry(name=b"L", type=b"L", content=name.encode() + b"\0"), _NAME.filter(bool)),
    st.builds(
        lambda name, kind: Entry(name=name.encode(), type=kind), _NAME, st.sampled_from([b"3", b"6", b"7", b"S", b"\0"])
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    entries=st.lists(_TAME, min_size=1, max_size=8) | st.lists(_ENTRY | _TAME, min_size=1, max_size=5),
    top=st.sampled_from(["", "top/", "./top/", "./"]),
)
@example(entries=[symlink("a", "b/.."), directory("b"), file("c")], top="")
@example(entries=[file("a", b"1"), hardlink("b", "a")], top="top/")
@example(entries=[file("x/a", b"1"), symlink("x/l", "../x/a"), directory("y")], top="./top/")
def test_what_is_accepted_unpacks_to_the_tree_that_was_told(entries: list[Entry], top: str) -> None:
    raw = archives.tar(*(_below(entry, top) for entry in entries))
    try:
        found = judged(raw=raw)
    except RefusedError:
        return
    _unpacks_as_told(raw, found)


_SAMPLE = archives.tar(
    directory("app/"),
    file("app/bin/x", b"1" * 600, mode=0o755),
    symlink("app/l", "bin/x"),
    hardlink("app/h", "app/bin/x"),
)


@settings(max_examples=100, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(_SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=3),
    mend=st.booleans(),
)
@example(changes=[(136, 255)], mend=True)  # a time of 2**87 seconds before 1970
@example(changes=[(108, 128), (110, 1)], mend=True)  # a user id of more than 32 bits
def test_no_changed_byte_makes_tar_see_another_tree(changes: list[tuple[int, int]], *, mend: bool) -> None:
    raw = bytearray(_SAMPLE)
    for at, value in changes:
        raw[at] = value
    if mend:
        for at in range(0, len(raw) - 1024, 512):
            if raw[at + 257 : at + 262] == b"ustar":
                raw[at + 148 : at + 156] = b" " * 8
                raw[at + 148 : at + 156] = b"%06o\0 " % sum(raw[at : at + 512])
    try:
        found = judged(raw=bytes(raw))
    except RefusedError:
        return
    _unpacks_as_told(bytes(raw), found)


def _below(entry: Entry, top: str) -> Entry:
    if not top or entry.type in (b"x", b"L"):
        return entry
    target = (
        top.encode() + entry.target if entry.type == b"1" and not entry.target.startswith(b"top/") else entry.target
    )
    return Entry(name=top.encode() + entry.name, type=entry.type, content=entry.content, target=target, mode=entry.mode)


def _unpacks_as_told(raw: bytes, found: Judged) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "a/b/tree"
        tree.mkdir(parents=True)
        (tree.parent / "outside").write_text("untouched")
        flags = ("--no-same-owner", "--no-same-permissions", f"--strip-components={found.strip}", "-C", str(tree))
        ended = local.run(("tar", "--extract", *flags, "--file", "-"), timeout_s=10, stdin=raw)
        assert ended.status == 0, ended.stderr
        within, directories = _listing(tree)
        assert within == {*paths(found), *(link.path for link in found.links)}
        assert len(within) + directories == found.members
        # Nothing beside the tree.
        assert _listing(Path(scratch)) == ({"a/b/outside", *(f"a/b/tree/{path}" for path in within)}, directories + 3)
        assert (tree.parent / "outside").read_text() == "untouched"
        for each in found.files:
            path = tree / each.path
            assert stat.S_ISREG(path.lstat().st_mode)
            assert hashlib.sha256(path.read_bytes()).hexdigest() == each.sha256
            assert path.stat().st_mode & 0o7000 == 0
        for link in found.links:
            assert str((tree / link.path).readlink()) == str(Path(link.target))
            resolved = (tree / link.path).resolve()
            assert resolved == tree.resolve() or tree.resolve() in resolved.parents


def _listing(root: Path) -> tuple[set[str], int]:
    """Return the paths below a directory that are not directories, and how many are."""
    leaves, count = set(), 0
    for where, directories, files in os.walk(root):
        links = [name for name in directories if (Path(where) / name).is_symlink()]
        count += len(directories) - len(links)
        leaves |= {str((Path(where) / name).relative_to(root)) for name in (*files, *links)}
    return leaves, count
