"""Where keys stand in a TOML text, held to what tomli finds in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.config.faults import Trail
from deployer.config.lines import Repeat, lines

SCALARS = (
    "1",
    "-0.5e3",
    "0x1F",
    "true",
    "inf",
    "1979-05-27",
    "1979-05-27 07:32:00Z",
    '""',
    "''",
    '"a # b = [c] {d}"',
    "'c:\\ [x] # y'",
    r'"q \" \\ \u00e9"',
    '"""one line"""',
    '"""\n[no.table]\nno = "key" # no comment\n\\""" \\\n  more"""',
    '"""two quotes at the end"""""',
    '"""a "b" ""c"""',
    "'''\n[no.table]\n''x = 1'''",
    "''''one quote ahead and two behind'''''",
)
BLANKS = ("", " ", "\t")
ARRAY_BLANKS = ("", " ", "\n", ' # a ] comment, "here\n', "\n\n\t")
LINE_ENDS = ("\n", " # comment = 1 [x]\n", "\n\n", "\r\n", "\n  # = [[\n")


@st.composite
def raw_keys(draw: st.DrawFn) -> tuple[str, str]:
    """A key as it is written, and as it is meant."""
    plain = st.characters(exclude_categories=["Cs"], exclude_characters="\x7f", max_codepoint=0x2FFF)
    match draw(st.sampled_from(["bare", "bare", "basic", "literal"])):
        case "bare":
            name = draw(st.text("abzAZ09_-", min_size=1, max_size=4))
            return name, name
        case "basic":
            name = draw(st.text(plain, max_size=4))
            return json.dumps(name, ensure_ascii=False), name
        case _:
            name = draw(st.text('ab .#=[]"\\', max_size=4))
            return f"'{name}'", name


@dataclass
class Writer:
    """A document that grows, and the lines that its keys are known to be on."""

    draw: st.DrawFn
    text: str = ""
    at: dict[Trail, int] = field(default_factory=dict)
    raw: dict[Trail, str] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def any_of(self, texts: tuple[str, ...]) -> None:
        self.text += self.draw(st.sampled_from(texts))

    def note(self, trail: Trail, raw: str) -> None:
        self.at.setdefault(trail, self.line)
        self.raw.setdefault(trail, raw)

    def names(self, most: int) -> list[tuple[str, str]]:
        return self.draw(st.lists(raw_keys(), max_size=most, unique_by=lambda key: key[1]))

    def key(self, base: Trail, first: tuple[str, str]) -> Trail:
        """Write a key that begins with a given part and may be dotted."""
        parts = [first, *self.draw(st.lists(raw_keys(), max_size=2))]
        trail = base
        for index, (raw, name) in enumerate(parts):
            if index:
                self.any_of((".", " . ", "\t."))
            self.text += raw
            trail = (*trail, name)
            self.note(trail, raw)
        return trail

    def pairs(self, base: Trail, names: list[tuple[str, str]]) -> None:
        for name in names:
            self.any_of(("", "  "))
            trail = self.key(base, name)
            self.any_of(("=", " = ", "=\t"))
            self.value(trail, depth=0)
            self.any_of(LINE_ENDS)

    def value(self, trail: Trail, depth: int) -> None:
        shape = self.draw(st.sampled_from(["scalar", "scalar", "array", "inline"] if depth < 3 else ["scalar"]))
        if shape == "scalar":
            self.any_of(SCALARS)
        elif shape == "array":
            self.array(trail, depth)
        else:
            self.inline(trail, depth)

    def array(self, trail: Trail, depth: int) -> None:
        self.text += "["
        self.any_of(ARRAY_BLANKS)
        for index in range(self.draw(st.integers(0, 3))):
            if index:
                self.text += ","
                self.any_of(ARRAY_BLANKS)
            self.note((*trail, index), "")
            self.value((*trail, index), depth + 1)
            self.any_of(ARRAY_BLANKS)
        self.text += "]"

    def inline(self, trail: Trail, depth: int) -> None:
        self.text += "{"
        for index, name in enumerate(self.names(3)):
            self.text += ", " if index else ""
            self.any_of(BLANKS)
            inner = self.key(trail, name)
            self.text += "="
            self.any_of(BLANKS)
            self.value(inner, depth + 1)
        self.text += "}"

    def table(self, name: tuple[str, str]) -> None:
        array = self.draw(st.booleans())
        if not array:
            self.text += "["
            trail = self.key((), name)
            self.text += "]"
            self.any_of(LINE_ENDS)
            self.pairs(trail, self.names(3))
            return
        for index in range(self.draw(st.integers(1, 3))):
            self.note((name[1],), name[0])
            self.note((name[1], index), name[0])
            self.text += f"[[ {name[0]}]]"
            self.any_of(LINE_ENDS)
            inner = self.names(3)
            self.pairs((name[1], index), inner[1:])
            if inner:
                self.text += f"[{name[0]} . "
                trail = self.key((name[1], index), inner[0])
                self.text += "]"
                self.any_of(LINE_ENDS)
                self.pairs(trail, self.names(2))


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    writer = Writer(draw)
    names = writer.names(6)
    above = draw(st.integers(0, len(names)))
    writer.any_of(("", "# head [x]\n", "\n"))
    writer.pairs((), names[:above])
    for name in names[above:]:
        writer.table(name)
    return writer


def trails(value: Any, base: Trail = ()) -> Iterator[Trail]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in items:
        yield (*base, step)
        yield from trails(inner, (*base, step))


@settings(max_examples=30, deadline=None)
@given(documents())
def test_each_key_that_tomli_finds_has_the_line_that_it_was_written_on(document: Writer) -> None:
    found = lines(document.text)
    assert found.at == document.at
    assert set(found.at) == set(trails(tomli.loads(document.text)))
    assert found.repeats == []
    rows = document.text.split("\n")
    for trail, line in found.at.items():
        assert document.raw[trail] in rows[line - 1]


@settings(max_examples=30, deadline=None)
@given(documents(), st.data())
def test_a_text_that_breaks_off_keeps_the_lines_before_it(document: Writer, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(document.text)))
    found = lines(document.text[:cut]).at
    whole = document.text[:cut].count("\n")
    assert _keys_up_to(found, whole) == _keys_up_to(document.at, whole)


def _keys_up_to(at: dict[Trail, int], line: int) -> dict[Trail, int]:
    # A string that lost its end may look like several elements of an array.
    return {trail: at[trail] for trail in at if at[trail] <= line and isinstance(trail[-1], str)}


@settings(deadline=None)
@given(st.text("ab=.[]{}\"'#\\\n, 1", max_size=40))
def test_no_text_stops_the_search(text: str) -> None:
    for line in lines(text).at.values():
        assert 1 <= line <= text.count("\n") + 1


def test_a_header_counts_for_more_than_one_that_implies_its_table() -> None:
    assert lines("[a.b]\nx = 1\n[a]\n").at == {("a",): 3, ("a", "b"): 1, ("a", "b", "x"): 2}


def test_an_inline_table_over_several_lines_has_a_line_for_each_key() -> None:
    assert lines("a = {\n  b = 1, # }\n  c.d = [\n    2,\n  ],\n}\n[e]\n").at == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", "d"): 3,
        ("a", "c", "d", 0): 4,
        ("e",): 7,
    }


def test_a_key_and_a_table_that_stand_twice_are_told_with_both_lines() -> None:
    assert lines("[a]\nb = 1\nb = 2\n[c]\n\n[a]\n").repeats == [
        Repeat(trail=("a", "b"), first=2, second=3),
        Repeat(trail=("a",), first=1, second=6),
    ]


def test_the_line_of_what_is_missing_is_that_of_its_table() -> None:
    found = lines("\n[hosts.prod1]\nport = 22\n")
    assert found.of(("hosts", "prod1", "address")) == 2
    assert found.of(("app", "name")) == 1


def test_nesting_that_is_deep_does_not_exhaust_the_stack() -> None:
    text = "a = " + "[" * 1_500 + "]" * 1_500
    assert len(lines(text).at) == 1_500
