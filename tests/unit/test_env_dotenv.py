from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.env import encode
from deployer.env.dotenv import Dotenv, read
from deployer.model import Secret


def texts(found: Dotenv) -> dict[str, str]:
    return {each.name: each.value.reveal() for each in found.assignments}


def said(found: Dotenv) -> list[tuple[int, str]]:
    return [(each.line, each.text) for each in (*found.faults, *found.notes)]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=hello", "hello"),
        ("A=", ""),
        ("A=   ", ""),
        ("A=''", ""),
        ('A=""', ""),
        ("  A  =  a b  c  ", "a b  c"),
        ("A=a=b==", "a=b=="),
        ("A=it's", "it's"),
        ('A={"a": 1}', '{"a": 1}'),
        ("A=C:\\new\\", "C:\\new\\"),
        ("A=$HOME/x$$", "$HOME/x$$"),
        ("A=#ff0000", "#ff0000"),
        ("A=a#b", "a#b"),
        ("A=a # comment", "a"),
        ("A= # comment", ""),
        ("A=a\t#", "a"),
        ("A='a # $HOME \\n'", "a # $HOME \\n"),
        ("A='two\nlines'", "two\nlines"),
        ('A="two\nlines" # comment', "two\nlines"),
        ('A="a # b"', "a # b"),
        ('A="\\"q\\" \\\\ \\$X \\` \\n\\r\\t"', '"q" \\ $X ` \n\r\t'),
        ('A="joined \\\nline"', "joined line"),
        ('A="\\\\n"', "\\n"),
        ("A=žluťoučký 日本 🎉", "žluťoučký 日本 🎉"),
        ("A=x\n", "x"),
    ],
)
def test_a_value_is_read(line: str, value: str) -> None:
    found = read(line.encode())
    assert texts(found) == {"A": value}
    assert said(found) == ([] if value else [(1, "A is empty")])


def test_comments_and_blank_lines_are_passed_over() -> None:
    found = read(b"# first\n\n   # second\nA=1\n\t\nB=2 # last")
    assert texts(found) == {"A": "1", "B": "2"}
    assert [each.line for each in found.assignments] == [4, 6]
    assert said(found) == []


def test_windows_line_ends_do_not_get_into_values() -> None:
    found = read(b"A=x\r\nB=\"two\r\nlines\"\r\n\r\nC='y'\r\n")
    assert texts(found) == {"A": "x", "B": "two\nlines", "C": "y"}
    assert said(found) == [(1, "Windows line ends are read as line ends")]


def test_empty_values_are_told_in_one_line() -> None:
    assert said(read(b"A=x\nB=\nC=''\n\nD=\n")) == [(2, "B is empty, as 2 more below")]


def test_byte_order_mark_is_dropped_with_a_note() -> None:
    found = read(b"\xef\xbb\xbfA=x\n")
    assert texts(found) == {"A": "x"}
    assert said(found) == [(1, "the byte order mark at the beginning is dropped")]


def test_export_is_dropped_with_one_note() -> None:
    found = read(b"\nexport A=x\nexport B='y'\n")
    assert texts(found) == {"A": "x", "B": "y"}
    assert said(found) == [(2, '"export" before the name is dropped, as on 1 more line(s)')]


def test_a_variable_called_export_is_none() -> None:
    assert texts(read(b"export=x\nexported=y")) == {"export": "x", "exported": "y"}


@pytest.mark.parametrize("line", ["A=${HUNTER2}/x", 'A="x $(hunter2)"', "A=`hunter2`"])
def test_what_looks_like_an_expansion_stays_and_is_noted(line: str) -> None:
    found = read(line.encode())
    assert texts(found) == {"A": line.removeprefix("A=").strip('"')}
    assert [text for _, text in said(found)] == [
        "A: nothing is expanded, the value keeps its ${…}, $(…) or backtick as it stands"
    ]


@pytest.mark.parametrize("line", ["A='${B}'", 'A="\\${B}"', "A=$B", 'A="\\`b\\`"'])
def test_what_is_meant_as_it_stands_is_not_noted(line: str) -> None:
    assert said(read(line.encode())) == []


def test_a_cut_that_may_not_be_meant_is_noted() -> None:
    found = read(b"A=hun #ter2")
    assert texts(found) == {"A": "hun"}
    assert said(found) == [(1, 'A: what follows " #" is taken for a comment; quote the value if it is not one')]


@pytest.mark.parametrize("value", ["“x”", "x\u00a0", "\u200bx"])
def test_what_a_copy_from_a_page_leaves_behind_is_noted(value: str) -> None:
    found = read(f"A={value}".encode())
    assert texts(found) == {"A": value}
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        (b"A=1\nB=2\nA=hunter2", 3, "A: given twice, first on line 1"),
        (b"hunter2", 1, 'no "=" on this line'),
        (b"export A", 1, "write export NAME=value"),
        (b"=hunter2", 1, 'no name before "="'),
        (b"1A=hunter2", 1, "begins with a digit"),
        (b"A-B=hunter2", 1, "a hyphen"),
        (b"A.B=hunter2", 1, "a dot"),
        (b"A B=hunter2", 1, "a blank"),
        ("Á=hunter2".encode(), 1, "not ASCII"),
        (b"aGVsbG8/d29y=hunter2", 1, "a slash"),
        (b'\nA="hunter2\nB=x\n', 2, 'A: no closing " anywhere below'),
        (b"A='hunter2", 1, "A: no closing ' anywhere below"),
        (b'A="x"hunter2', 1, 'A: text after the closing "'),
        (b'A="x"#hunter2', 1, 'A: text after the closing "'),
        (b'A="x\ny" hunter2', 2, "of the value that begins on line 1"),
        (b'A="hunter2\\q"', 1, 'A: a backslash in "…"'),
        (b'A="\nhunter2\\x41"', 2, 'A: a backslash in "…"'),
        (b"A=hun\x01ter2", 1, "A: a control character"),
        (b"A=hun\rter2", 1, "A: a control character"),
        (b"A=-----BEGIN RSA PRIVATE KEY-----", 1, "A: the first line of several"),
        ("A=hunter2".encode("utf-16"), 1, "UTF-16"),
    ],
)
def test_a_fault_names_line_and_variable_and_never_the_value(content: bytes, line: int, text: str) -> None:
    found = read(content)
    (fault,) = found.faults
    assert fault.line == line
    assert text in fault.text
    assert "hunter2" not in f"{found!r}"


def test_all_faults_are_found_at_once() -> None:
    found = read(b"A=1\nB-C=2\nnothing\nA=3\nD=4\n")
    assert [fault.line for fault in found.faults] == [2, 3, 4]
    assert texts(found) == {"A": "1", "D": "4"}
    assert found.complete


def test_after_an_open_quote_nothing_more_is_said() -> None:
    found = read(b'A=1\nB="x\nC=2\nnonsense\n')
    assert len(found.faults) == 1
    assert not found.complete


def test_a_bad_name_with_a_value_of_many_lines_is_one_fault() -> None:
    found = read(b'A-B="one\ntwo\nthree"\nC=4\n')
    assert [fault.line for fault in found.faults] == [1]
    assert texts(found) == {"C": "4"}


def test_bytes_that_are_not_utf_8_stay_to_be_told_of_by_name() -> None:
    assert texts(read(b"A=x\xff")) == {"A": "x\udcff"}


@given(st.binary())
def test_any_content_is_read_without_an_exception(content: bytes) -> None:
    found = read(content)
    assert len({each.name for each in found.assignments}) == len(found.assignments)


@given(st.dictionaries(st.sampled_from(["A", "B", "C"]), st.text(st.sampled_from("a\"'\\`$ #\n\t=é"))))
def test_a_file_that_was_written_for_systemd_is_read_the_same(given: dict[str, str]) -> None:
    content = encode({name: Secret(text) for name, text in given.items()}).reveal().encode()
    found = read(content)
    assert texts(found) == given
    assert all(text.split(", ")[0].endswith(" is empty") for _, text in said(found))
