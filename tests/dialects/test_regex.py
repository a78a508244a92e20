"""Regular expressions: the same everywhere, or refused with the right word."""

from __future__ import annotations

import pytest

from gen.dialects.regex import LIMIT, groups, path_regex, regex
from gen.errors import BadValue

GOOD = {
    "/foo(/|$)(.*)": 2,
    "/": 0,
    "/a/b.html": 0,
    "/id/[0-9]{3}$": 0,
    "/x{y}": 0,
    "/(?:a|b)/(c)": 1,
    "/[^/]+/(.*)\\.(css|js)$": 2,
    "/(/[^/]+)+": 1,
    "/a\\.b\\/c": 0,
    "/[a-z]{1000}": 0,
    "/.*": 0,
}
BAD = {
    "/[a-z]{1001}": "RegexTooLarge",
    "/(a{100}){100}": "RegexTooLarge",
    "/(a+)+": "RegexTooLarge",
    "/(.*)*x": "RegexTooLarge",
    "/((a*))*": "RegexTooLarge",
    "/(a|b*)*": "RegexTooLarge",
    "/" + "a" * LIMIT: "RegexTooLarge",
    "/a(": "RegexInvalid",
    "/[": "RegexInvalid",
    "/*?+": "RegexInvalid",
    "/" + "(" * 300: "RegexInvalid",
    "/\\1": "RegexUnportable",
    "/(a)\\1": "RegexUnportable",
    "/x(?=y)": "RegexUnportable",
    "/x(?<!y)": "RegexUnportable",
    "/(?P<n>x)": "RegexUnportable",
    "/(?>x)": "RegexUnportable",
    "/a*+": "RegexUnportable",
    "/a{,3}": "RegexUnportable",
    "/[[:alpha:]]": "RegexUnportable",
    "/[a&&b]": "RegexUnportable",
    "/\\Z": "RegexUnportable",
    "/\\p{L}": "RegexInvalid",
    "/\\x41": "RegexUnportable",
    "/é": "RegexUnportable",
    '/"': "RegexUnportable",
    "/(?#x)": "RegexUnportable",
}


@pytest.mark.parametrize(("text", "count"), GOOD.items())
def test_good(text: str, count: int) -> None:
    assert regex(text) == path_regex(text) == text
    assert groups(text) == count


@pytest.mark.parametrize(("text", "code"), BAD.items())
def test_bad(text: str, code: str) -> None:
    with pytest.raises(BadValue) as caught:
        regex(text)
    assert caught.value.code == code
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("text", ["a", "", "^/a", "/a b", "/a;", "/a'", "/a#b", "/a\n"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(BadValue):
        path_regex(text)


def test_blanks_only_where_they_may_be() -> None:
    assert regex("a b", blanks=True) == "a b"
    with pytest.raises(BadValue):
        regex("a b")
