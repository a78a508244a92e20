"""Label selectors in kubectl's syntax: `app=web,tier!=db,env in (prod, test),!legacy`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from gen.errors import UsageError

KEY = r"(?:[a-z0-9.-]+/)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
WORD = r"[A-Za-z0-9._-]*"
REQUIREMENT = re.compile(
    rf"\s*(?:!\s*(?P<absent>{KEY})|(?P<key>{KEY})"
    rf"(?:\s*(?P<operator>==?|!=)\s*(?P<value>{WORD})|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*"
)


class Requirement(Struct, frozen=True):
    """A condition on one label: that it is there, and one of `values` if they are given; or the opposite of that."""

    key: str
    values: frozenset[str] | None = None
    negated: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels fulfil it."""
        present = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return present is not self.negated


class Selector(Struct, frozen=True):
    """All requirements together; none of them selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether the labels are selected."""
        return all(requirement.matches(labels or {}) for requirement in self.requirements)


def parse_selector(text: str) -> Selector:
    """The selector of a text.

    Raises: UsageError with the part that is wrong.
    """
    requirements = []
    place = 0
    while text.strip():
        match = REQUIREMENT.match(text, place)
        if match is None or text[match.end() : match.end() + 1] not in ("", ","):
            raise UsageError(f"label selector {text!r}: cannot read {text[place:]!r}")
        requirements.append(requirement_of(match, text))
        place = match.end() + 1
        if match.end() == len(text):
            break
    return Selector(tuple(requirements))


def requirement_of(match: re.Match[str], text: str) -> Requirement:
    """The requirement that was matched."""
    if match["absent"]:
        return Requirement(match["absent"], negated=True)
    if match["operator"]:
        return Requirement(match["key"], frozenset({match["value"]}), negated=match["operator"] == "!=")
    if match["set"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        if not all(re.fullmatch(WORD, value) for value in values):
            raise UsageError(f"label selector {text!r}: cannot read ({match['values']})")
        return Requirement(match["key"], values, negated=match["set"] == "notin")
    return Requirement(match["key"])
