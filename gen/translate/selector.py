"""Label selectors in kubectl's syntax: `a=b,c!=d,e in (f,g),h notin (i),j,!k`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gen.dialects.values import shown
from gen.errors import UsageError

_KEY = r"(?P<key>[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?)"
_TERM = re.compile(
    rf"\s*(?:(?P<absent>!)\s*)?{_KEY}\s*"
    r"(?:(?P<equal>==?|!=)\s*(?P<value>[A-Za-z0-9._-]*)|(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?\s*(?:,|$)"
)


def matches(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy every term of a selector; raises UsageError where it is not one."""
    place, is_match = 0, True
    while place < len(selector):
        term = _TERM.match(selector, place)
        if term is None or (term["absent"] and (term["equal"] or term["set"])):
            raise UsageError(f"{shown(selector)} is not a label selector")
        is_match &= _holds(term, labels.get(term["key"]))
        place = term.end()
    return is_match


def _holds(term: re.Match[str], actual: str | None) -> bool:
    if term["absent"]:
        return actual is None
    if term["set"]:
        wanted = {value.strip() for value in term["values"].split(",")}
        return (actual in wanted) == (term["set"] == "in")
    if term["equal"]:
        return (actual == term["value"]) == (term["equal"] != "!=")
    return actual is not None
