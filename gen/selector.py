"""Label selectors in kubectl's syntax: `a=b,c!=d,e in (f,g),h notin (i),j,!k`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from gen.errors import UsageError

_KEY = r"(?:[a-z0-9.-]+/)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9._-]*"
_TERM = re.compile(
    rf"\s*(?:!\s*(?P<absent>{_KEY})|(?P<key>{_KEY})"
    rf"(?:\s*(?P<equal>==?|!=)\s*(?P<value>{_VALUE})"
    rf"|\s+(?P<set>in|notin)\s*\((?P<values>\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*)\))?)\s*(?P<end>,|$)"
)


class Term(Struct, frozen=True):
    """One condition: the label is there, with one of the values where any are named; or the opposite of that."""

    key: str
    values: frozenset[str] = frozenset()
    is_negated: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels fulfil it."""
        is_there = self.key in labels and (not self.values or labels[self.key] in self.values)
        return is_there is not self.is_negated


class Selector(Struct, frozen=True):
    """All terms together; none of them selects everything."""

    terms: tuple[Term, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether the labels are selected."""
        return all(term.matches(labels or {}) for term in self.terms)


@lru_cache(maxsize=16)
def parse(text: str) -> Selector:
    """The selector of a text; an empty one selects everything.  Raises: UsageError with the part that is wrong."""
    terms: list[Term] = []
    place = 0 if text.strip() else len(text)
    while place < len(text) or (terms and text.endswith(",")):
        found = _TERM.match(text, place)
        if found is None:
            raise UsageError(f"{text[:80]!r} is not a label selector, it cannot be read from {text[place:][:20]!r} on")
        terms.append(_term(found))
        place = found.end()
        if not found["end"]:
            break
    return Selector(tuple(terms))


def _term(found: re.Match[str]) -> Term:
    if found["absent"]:
        return Term(found["absent"], is_negated=True)
    if found["equal"]:
        return Term(found["key"], frozenset((found["value"],)), found["equal"] == "!=")
    if found["set"]:
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Term(found["key"], values, found["set"] == "notin")
    return Term(found["key"])
