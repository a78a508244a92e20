"""Regular expressions that mean the same in PCRE, RE2 and the engines of the proxies."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from gen.dialects import values
from gen.dialects.values import shown
from gen.errors import BadValue

LIMIT = 512
MAX_REPEAT = 1000
"""What RE2 allows; a group repeated inside another counts by the product."""
MAX_SIZE = 5000
"""Characters of the expression, were all its repetitions written out."""

_CHARACTERS = re.compile(r"[\x21\x23-\x26\x28-\x5f\x61-\x7e]*")
_ORDINARY = re.compile(r"(?:/[A-Za-z0-9_.~-]*)+(?:\(/\|\$\))?(?:\(\.\*\))?\$?")
"""What most paths look like: `/app`, `/app/(.*)`, `/app(/|$)(.*)`; nothing in it can differ."""
_UNPORTABLE = re.compile(
    r"\\(?![dDwWsSbB^$.|?*+()\[\]{}/\\~@!&=:,%_-])|\(\?(?!:|i\))|\{,|\[[^\]]*\[[:.=]|(?<!^)\(\?i\)"
)
_REFUSED = {sre.GROUPREF, sre.GROUPREF_EXISTS, sre.ASSERT, sre.ASSERT_NOT, sre.ATOMIC_GROUP, sre.POSSESSIVE_REPEAT}
_REPEATS = {sre.MAX_REPEAT, sre.MIN_REPEAT}


@lru_cache(maxsize=4096)
def regex(text: str, *, blanks: bool = False) -> str:
    """A regular expression, as it was given.

    Raises: BadValue (RegexInvalid, RegexUnportable, RegexTooLarge, and those of values.plain).
    """
    values.plain(text, limit=4096)
    if len(text) > LIMIT:
        raise BadValue("RegexTooLarge", f"{shown(text)} is longer than {LIMIT} characters")
    if not _CHARACTERS.fullmatch(text.replace(" ", "") if blanks else text):
        raise BadValue("RegexUnportable", f"{shown(text)} has quotes, or characters that are not printable ASCII")
    parsed = _parsed(text)
    unescaped = text.replace("\\\\", "")
    if _UNPORTABLE.search(unescaped) or _is_unportable(parsed):
        raise BadValue(
            "RegexUnportable", f"{shown(text)} has references, lookaround or escapes on which the proxies differ"
        )
    if _size(parsed) > MAX_SIZE or _most_repeated(parsed) > MAX_REPEAT or _is_explosive(parsed):
        raise BadValue("RegexTooLarge", f"{shown(text)} repeats too much, at most {MAX_REPEAT} times in all")
    return text


def path_regex(text: str) -> str:
    """A regular expression for paths; it begins with a slash and has neither blanks nor quotes.

    Raises: BadValue (InvalidPath, RegexInvalid, RegexUnportable, RegexTooLarge, and those of values.plain).
    """
    if len(text) <= LIMIT and _ORDINARY.fullmatch(text):
        return text
    values.plain(text, limit=4096)
    if not text.startswith("/") or re.search("[\\s;\"'`#]", text):
        raise BadValue("InvalidPath", f"{shown(text)} is not a regex for paths: it begins with / and has no blanks, "
                       "quotes, ; and #")  # fmt: skip
    return regex(text)


@lru_cache(maxsize=4096)
def groups(text: str) -> int:
    """The number of groups of a regular expression that `regex` has accepted."""
    if _ORDINARY.fullmatch(text):
        return text.count("(")
    return int(_parsed(text).state.groups) - 1


def _parsed(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return _parser.parse(text)
    except (FutureWarning, DeprecationWarning) as warning:
        raise BadValue("RegexUnportable", f"{shown(text)} is read differently by the proxies") from warning
    except (re.error, OverflowError, RecursionError) as error:
        code = "RegexUnportable" if "group reference" in str(error) else "RegexInvalid"
        raise BadValue(code, f"{shown(text)} is not a regular expression") from error


def _children(argument: Any) -> list[Any]:
    """The expressions within the argument of a node of a parsed expression."""
    if isinstance(argument, _parser.SubPattern):
        return [argument]
    if isinstance(argument, (list, tuple)):
        return [child for part in argument for child in _children(part)]
    return []


def _is_unportable(parsed: Any) -> bool:
    return any(
        kind in _REFUSED or any(_is_unportable(child) for child in _children(argument)) for kind, argument in parsed
    )


def _size(parsed: Any) -> int:
    total = 0
    for kind, argument in parsed:
        inner = sum(_size(child) for child in _children(argument))
        if kind in _REPEATS:
            low, high = int(argument[0]), argument[1]
            inner *= max(low, 1) if high is sre.MAXREPEAT else max(int(high), 1)
        total += max(inner, 1)
    return total


def _most_repeated(parsed: Any) -> int:
    most = 1
    for kind, argument in parsed:
        inner = max((_most_repeated(child) for child in _children(argument)), default=1)
        if kind in _REPEATS:
            low, high = int(argument[0]), argument[1]
            inner *= max(low, 1) if high is sre.MAXREPEAT else max(int(high), 1)
        most = max(most, inner)
    return most


def _is_explosive(parsed: Any) -> bool:
    """Whether something without end repeats nothing but something without end: `(a+)+` takes a backtracker forever."""
    for kind, argument in parsed:
        children = _children(argument)
        if kind in _REPEATS and argument[1] is sre.MAXREPEAT and any(_is_endless(child) for child in children):
            return True
        if any(_is_explosive(child) for child in children):
            return True
    return False


def _is_endless(parsed: Any) -> bool:
    """Whether an expression is a single repetition without end, perhaps in groups or as one of several branches."""
    if len(parsed) != 1:
        return False
    kind, argument = parsed[0]
    if kind in _REPEATS:
        return argument[1] is sre.MAXREPEAT
    return kind in {sre.SUBPATTERN, sre.BRANCH} and any(_is_endless(child) for child in _children(argument))
