"""Label and field selectors, as the API takes them in its query parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tests.cluster.fake.resources import Json, bad_request

Predicate = Callable[[Json], bool]
WORD = r"[\w./-]"
SET_BASED = re.compile(rf"\s*({WORD}+)\s+(in|notin)\s+\(([^()]*)\)\s*")
EQUALITY = re.compile(rf"\s*({WORD}+)\s*(==|=|!=)\s*({WORD}*)\s*")
EXISTENCE = re.compile(rf"\s*(!?)\s*({WORD}+)\s*")


def select(labels: str, fields: str) -> Predicate:
    """Whether an object is selected.  Raises Failure for a selector that is not one."""
    terms = [*_label_terms(labels), *_field_terms(fields)]
    return lambda item: all(term(item) for term in terms)


def _label_terms(text: str) -> list[Predicate]:
    return [_label_term(term) for term in re.split(r",(?![^(]*\))", text) if term.strip()]


def _label_term(term: str) -> Predicate:
    if found := SET_BASED.fullmatch(term):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        return lambda item: (_labels(item).get(key) in values) == (operator == "in")
    if found := EQUALITY.fullmatch(term):
        key, operator, value = found.groups()
        return lambda item: (_labels(item).get(key) == value) == (operator != "!=")
    if found := EXISTENCE.fullmatch(term):
        negated, key = found.groups()
        return lambda item: (key in _labels(item)) == (not negated)
    raise bad_request(f"unable to parse requirement: {term!r}")


def _labels(item: Json) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def _field_terms(text: str) -> list[Predicate]:
    return [_field_term(term) for term in text.split(",") if term.strip()]


def _field_term(term: str) -> Predicate:
    found = EQUALITY.fullmatch(term)
    if found is None:
        raise bad_request(f"invalid field selector: {term!r}")
    field, operator, value = found.groups()
    return lambda item: (_field(item, field) == value) == (operator != "!=")


def _field(item: Json, field: str) -> str:
    match field.split("."):
        case ["metadata", ("name" | "namespace") as part]:
            return str(item["metadata"].get(part, ""))
        case ["type"] if item["kind"] == "Secret":
            return str(item.get("type", "Opaque"))
        case ["involvedObject", part] if item["kind"] == "Event":
            return str(item.get("involvedObject", {}).get(part, ""))
        case _:
            raise bad_request(f"field label not supported: {field}")
