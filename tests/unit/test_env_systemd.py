from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.env import Difference, compare, encode, parse_systemd
from deployer.env.systemd import LONGEST_BYTES, TOTAL_BYTES
from deployer.errors import EnvError
from deployer.model import Secret

NONCHARACTERS = [*range(0xFDD0, 0xFDF0), *(plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF))]

values = st.text(
    st.one_of(
        st.sampled_from("\"'\\`$ \t\n\r#;=%!{}()~\x01\x07\x1b\x7f\u00a0\u2028\ufeff🎉"),
        st.characters(exclude_categories=["Cs"], exclude_characters=["\0", *map(chr, NONCHARACTERS)]),
    )
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)


def secrets(**given: str) -> dict[str, Secret]:
    return {name: Secret(text) for name, text in given.items()}


def revealed(found: dict[str, Secret]) -> dict[str, str]:
    return {name: value.reveal() for name, value in found.items()}


@given(st.dictionaries(names, values))
def test_every_value_comes_back_exactly(given: dict[str, str]) -> None:
    assert revealed(parse_systemd(encode(secrets(**given)).reveal())) == given


def test_encoded_text_is_in_order_of_names_and_quotes_what_systemd_unquotes() -> None:
    given = secrets(B='say "hi" \\ `x` $Y', A="two\nlines", C="")
    assert encode(given).reveal() == 'A="two\nlines"\nB="say \\"hi\\" \\\\ \\`x\\` \\$Y"\nC=""\n'


def test_encoded_environment_is_a_secret() -> None:
    assert "hunter2" not in repr(encode(secrets(A="hunter2")))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("1A", "hunter2", "name"),
        ("A-B", "hunter2", "name"),
        ("", "hunter2", "name"),
        ("A\n", "hunter2", "name"),
        ("Á", "hunter2", "name"),
        ("A", "hunter2\0", "NUL"),
        ("A", "hunter2\udc80", "UTF-8"),
        ("A", "hunter2\ufffe", "noncharacter"),
        ("A", "hunter2\ufdd0", "noncharacter"),
        ("A", "hunter2\U0010ffff", "noncharacter"),
        ("A", "hunter2" * 20_000, "131071"),
    ],
)
def test_what_systemd_cannot_hold_is_refused_by_name(name: str, value: str, why: str) -> None:
    with pytest.raises(EnvError) as caught:
        encode({name: Secret(value), "GOOD": Secret("x")})
    (detail,) = caught.value.details
    assert detail.startswith(f"{name}: ")
    assert why in detail
    assert "hunter2" not in f"{caught.value!r} {caught.value.details}"


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(EnvError) as caught:
        encode(secrets(A="\0", B="ok", C="\ufffe"))
    assert [detail[:2] for detail in caught.value.details] == ["A:", "C:"]


def test_longest_variable_is_one_byte_below_what_is_refused() -> None:
    encode(secrets(A="é" * ((LONGEST_BYTES - 3) // 2) + "x"))
    with pytest.raises(EnvError):
        encode(secrets(A="é" * ((LONGEST_BYTES - 3) // 2) + "xx"))


def test_too_much_in_all_is_refused() -> None:
    many = {f"V{number}": Secret("x" * 100_000) for number in range(TOTAL_BYTES // 100_000 + 1)}
    with pytest.raises(EnvError) as caught:
        encode(many)
    assert "the variables together take" in caught.value.details[0]


# What systemd 252 and 257 made of each, read back from a service's /proc/PID/environ. None: no such variable.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=hello", "hello"),
        ("A=", ""),
        ('A=""', ""),
        ("A=a b  c", "a b  c"),
        ("A=x   ", "x"),
        ("A=   x", "x"),
        ("A='a b $HOME \\n \"q\"'", 'a b $HOME \\n "q"'),
        ('A="a b $HOME `id` \\$X \\" \\\\ \\n \\t \\q \\`"', 'a b $HOME `id` $X " \\ \\n \\t \\q `'),
        ("A=$HOME/${PATH}/$$", "$HOME/${PATH}/$$"),
        ("A=a #b", "a #b"),
        ('A="a" #b', "a#b"),
        ("A=a\\nb", "anb"),
        ("A=C:\\\\x\\y", "C:\\xy"),
        ("A=foo\\\nbar", "foobar"),
        ('A="foo\\\nbar"', "foobar"),
        ("A='foo\\\nbar'", "foo\\\nbar"),
        ('A="l1\nl2\n"', "l1\nl2\n"),
        ("export A=x", None),
        ("A =x", "x"),
        ("  A= x", "x"),
        ('A=a"b"c', 'a"b"c'),
        ("A=it's", "it's"),
        ('A="a"\'b\'"c"', "abc"),
        ('A="a"   "b"', "ab"),
        ('A="a"b c', "ab c"),
        ("A=a=b=c", "a=b=c"),
        ('A={"a": "b\\"c"}', '{"a": "b"c"}'),
        ("A=x\r", "x"),
        ("A=x\\\\", "x\\"),
        ("A=\\ x", " x"),
        ("A=x\\ ", "x "),
        ('A="a\r\nb"', "a\r\nb"),
        ("A=1\nA=2", "2"),
        ("A", None),
        ("# c\nA=x", "x"),
        ("; A=x", None),
        ("A=\u00a0x\u00a0", "\u00a0x\u00a0"),
        ('A="abc\n', "abc\n"),
        ("\ufeffA=x", None),
        ("A-B=x\nA=y", "y"),
    ],
)
def test_a_file_is_read_as_systemd_reads_it(text: str, value: str | None) -> None:
    assert revealed(parse_systemd(text)).get("A") == value


def test_backslash_at_the_end_of_a_comment_swallowed_a_line_before_254() -> None:
    text = "# c\\\nA=x"
    assert revealed(parse_systemd(text)) == {"A": "x"}
    assert revealed(parse_systemd(text, systemd=253)) == {}


def test_compare_gives_names_alone() -> None:
    difference = compare(secrets(KEPT="1", CHANGED="1", GONE="1"), secrets(KEPT="1", CHANGED="2", NEW="1", MORE="1"))
    assert difference == Difference(added=("MORE", "NEW"), changed=("CHANGED",), removed=("GONE",))
    assert not compare(secrets(A="1"), secrets(A="1"))
