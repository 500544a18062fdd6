from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.artifact.version import is_ordered, of_file_name, sort_key

OLD_TO_NEW = [
    "0.9.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0-rc.1-3-g3f2a9c1",
    "1.0.0-rc.2",
    "1.0.0",
    "1.0.0+3f2a9c1",
    "1.0.0-5-g3f2a9c1",
    "1.0.0-14-g0badcafe-dirty",
    "1.0.1",
    "1.9.0",
    "1.10.0~rc2",
    "1.10.0",
    "2",
    "2.0",
    "2.0.0rc1",
    "2.0.0rc10",
    "2.0.0",
    "20240101",
]


def test_versions_sort_from_old_to_new() -> None:
    for older, newer in itertools.combinations(OLD_TO_NEW, 2):
        assert sort_key(older) < sort_key(newer), (older, newer)


def test_a_v_before_a_version_means_nothing() -> None:
    assert sort_key("v1.2.3") == sort_key("1.2.3")


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=4), st.lists(st.integers(0, 10**6), min_size=1, max_size=4))
def test_dotted_numbers_sort_as_numbers(one: list[int], two: list[int]) -> None:
    assert (sort_key(".".join(map(str, one))) < sort_key(".".join(map(str, two)))) == (one < two)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_texts_have_an_order(one: str, two: str, three: str) -> None:
    first, second, third = sorted([one, two, three], key=sort_key)
    assert sort_key(first) <= sort_key(second) <= sort_key(third)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("shop-1.4.2.tar.gz", "1.4.2"),
        ("hello_mix-1.1.0-rc.1.tar.gz", "1.1.0-rc.1"),
        ("my-app-2.0.tgz", "2.0"),
        ("my-2fa-app-1.0.tar", "1.0"),
        ("shop_v1.4.2.tar.gz", "1.4.2"),
        ("shop-1.4.2+3f2a9c1.tar.gz", "1.4.2+3f2a9c1"),
        ("shop-1.4.2-linux-amd64.tar.gz", "1.4.2"),
        ("shop_1.4.2_linux_x86_64.tar.gz", "1.4.2"),
        ("shop-1.4.2-darwin-arm64.tar.gz", "1.4.2"),
        ("shop-1.4.2-x86_64-apple-darwin.tgz", "1.4.2"),
        ("shop-1.4.2-x86_64-pc-windows-msvc.tgz", "1.4.2"),
        ("shop_1.4.2_freebsd_amd64.tar.gz", "1.4.2"),
        ("shop-1.4.2-armv7-unknown-linux-gnueabihf.tar.gz", "1.4.2"),
        ("shop-1.4.2-5-g3f2a9c1-linux-amd64.tar.gz", "1.4.2-5-g3f2a9c1"),
        ("shop-1.4.2-beta.tar.gz", "1.4.2-beta"),
        ("shop-42.tar.gz", "42"),
        ("shop-20240101-2.tar.gz", "20240101-2"),
        ("shop-3f2a9c1.tar.gz", "3f2a9c1"),
        ("1.4.2.tar.gz", "1.4.2"),
        ("shop.tar.gz", ""),
        ("shop2.tar.gz", ""),
        ("shop-latest.tar.gz", ""),
        ("", ""),
    ],
)
def test_a_file_name_tells_its_version(name: str, version: str) -> None:
    assert of_file_name(name) == version


def test_a_hash_does_not_tell_what_is_newer() -> None:
    assert [each for each in ("1.4.2", "42", "1.0.0-rc.1", "v2", "3f2a9c1", "abc", "") if not is_ordered(each)] == [
        "3f2a9c1",
        "abc",
        "",
    ]
