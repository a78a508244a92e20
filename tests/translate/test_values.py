"""Values from outside: the corpus of hostile strings has its verdict, and shortcuts change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.dialects import values
from gen.errors import BadValue

CORPUS = Path(__file__).parent.parent / "data" / "nasty-strings.jsonl"
ROWS = [row for row in map(json.loads, CORPUS.read_text().splitlines()) if row.get("s") is not None]
CHECKS: dict[str, Callable[[str], str]] = {
    "host": values.host,
    "path": values.path,
    "k8s_name": values.name,
    "ip": lambda text: values.address(text, allow_loopback=False),
}


def verdict(check: Callable[[str], str], text: str) -> str:
    try:
        check(text)
    except BadValue as fault:
        return f"reject:{fault.code}"
    return "ok"


@pytest.mark.parametrize("field", CHECKS)
def test_hostile_strings(field: str) -> None:
    wrong = [(row["s"], row["as"][field]) for row in ROWS if verdict(CHECKS[field], row["s"]) != row["as"][field]]
    assert not wrong


@pytest.mark.parametrize("field", CHECKS)
def test_a_final_newline_or_blank_is_never_overlooked(field: str) -> None:
    good = {"host": "a.example", "path": "/a", "k8s_name": "a", "ip": "10.0.0.1"}[field]
    assert verdict(CHECKS[field], good) == "ok"
    for tail in ("\n", "\r", " ", "\x00", "\x85", "\u2028", "\ufeff", ";", "\t"):
        assert verdict(CHECKS[field], good + tail) != "ok"


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.from_regex(r"/[!-~]{0,20}", fullmatch=True))
def test_the_short_way_for_paths_gives_what_the_long_way_gives(text: str) -> None:
    assert outcome(values.path, text) == outcome(long_way, text)


def long_way(text: str) -> str:
    """The check of a path without its shortcut."""
    return values.path(text + "%41")[:-1] if text.endswith("/") else values.path(text + "/%41")[:-2]


def outcome(check: Callable[[str], str], text: str) -> str | bool:
    try:
        return check(text)
    except BadValue:
        return False


@given(st.ip_addresses(v=4).map(str) | st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", fullmatch=True))
def test_the_short_way_for_addresses_gives_what_the_long_way_gives(text: str) -> None:
    short = outcome(lambda value: values.address(value, allow_loopback=False), text)
    mapped = verdict(lambda value: values.address(value, allow_loopback=False), f"::ffff:{text}")
    assert mapped != "ok"
    assert short is False or not is_special(text)


def is_special(text: str) -> bool:
    first, second = (int(part) for part in text.split(".")[:2])
    return first in {0, 127} or first >= 224 or (first, second) == (169, 254)


ADDRESSES = {
    "10.0.0.1": "10.0.0.1",
    "2001:DB8::0:1": "2001:db8::1",
    "fd00::1": "fd00::1",
    "127.0.0.1": None,
    "127.8.8.8": None,
    "::1": None,
    "::ffff:10.0.0.1": None,
    "169.254.169.254": None,
    "fe80::1": None,
    "0.0.0.0": None,
    "0.1.2.3": None,
    "::": None,
    "224.0.0.1": None,
    "ff02::1": None,
    "255.255.255.255": None,
    "240.0.0.1": None,
    "010.0.0.1": None,
    "10.0.0.1:80": None,
    "[::1]": None,
}


@pytest.mark.parametrize(("text", "wanted"), ADDRESSES.items())
def test_addresses(text: str, wanted: str | None) -> None:
    assert outcome(lambda value: values.address(value, allow_loopback=False), text) == (wanted or False)


@pytest.mark.parametrize("text", ["127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_where_it_is_allowed(text: str) -> None:
    assert values.address(text, allow_loopback=True) == text


PATHS = {
    "/%C3%A9": "/é",
    "/a%20b": "/a b",
    "/100%25": "/100%",
    "/%25zz": "/%zz",
    "/%C2%85": None,
    "/%e2%80%a8": None,
    "/" + "a" * 254: "/" + "a" * 254,
    "/" + "a" * 255: None,
    "/" + "%C3%A9" * 127: "/" + "é" * 127,
    "/" + "%C3%A9" * 128: None,
    "/.well-known/acme-challenge": "/.well-known/acme-challenge",
    "/..a/.b/c..": "/..a/.b/c..",
}


@pytest.mark.parametrize(("text", "wanted"), PATHS.items())
def test_paths(text: str, wanted: str | None) -> None:
    assert outcome(values.path, text) == (wanted or False)


PORT_NAMES = {
    "http": True,
    "a": True,
    "8080": False,
    "": False,
    "a--b": False,
    "-a": False,
    "A": False,
    "a" * 16: False,
}


@pytest.mark.parametrize(("text", "is_good"), PORT_NAMES.items())
def test_port_names(text: str, is_good: bool) -> None:
    assert (verdict(values.port_name, text) == "ok") is is_good


@pytest.mark.parametrize(("text", "wanted"), [("true", True), ("T", True), ("0", False), ("False", False)])
def test_booleans(text: str, wanted: bool) -> None:
    assert values.boolean(text) is wanted


@pytest.mark.parametrize("text", ["yes", "TRUE ", "", "\uff11", "2"])
def test_what_is_no_boolean(text: str) -> None:
    assert verdict(lambda value: str(values.boolean(value)), text) == "reject:AnnotationInvalid"


@pytest.mark.parametrize("text", ["\uff11\uff18", "\u00b2", "8_0", " 80", "80\n", "", "9" * 5000, "0x10", "1e3"])
def test_what_is_no_integer(text: str) -> None:
    assert verdict(lambda value: str(values.integer(value)), text) == "reject:AnnotationInvalid"


@given(st.text())
def test_a_shown_value_is_short_and_printable(text: str) -> None:
    assert len(values.shown(text)) <= 12 * 81
    assert values.shown(text).isprintable()
    assert values.shown(text).isascii()


def test_a_long_value_is_cut() -> None:
    assert len(values.shown("x" * 10_000)) <= 84


def test_any_input_ends_in_a_value_or_a_fault() -> None:
    for row in ROWS:
        for check in (*CHECKS.values(), values.port_name, values.boolean, values.integer):
            run: Any = check
            verdict(run, row["s"])
