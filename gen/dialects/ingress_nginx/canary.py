"""Canaries: another upstream for some requests of routes that other Ingresses have."""

from __future__ import annotations

from functools import partial

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Risk, Values
from gen.dialects.regex import regex
from gen.dialects.wishes import CanaryRule
from gen.errors import BadValue

_word = values.matching(r"[A-Za-z0-9._~/:-]{1,256}", "a word of [A-Za-z0-9._~/:-]")


def _build(found: Values) -> Outcome:
    if not found.get("canary"):
        if found.is_strict and found.has(name for name in _NAMES if name != "canary"):
            raise BadValue("AnnotationInvalid", "there are rules for a canary, but canary is not true")
        return Outcome()
    weight, total = found.get("canary-weight", 0), max(found.get("canary-weight-total", 100), 100)
    if weight > total and found.is_strict:
        raise BadValue("AnnotationInvalid", f"the weight {weight} is more than {total}")
    value = found.get("canary-by-header-value", "")
    rule = CanaryRule(
        header=found.get("canary-by-header", ""),
        header_value=value,
        header_pattern="" if value else found.get("canary-by-header-pattern", ""),
        cookie=found.get("canary-by-cookie", ""),
        weight=min(weight, total),
        weight_total=total,
        sticky=found.get("affinity-canary-behavior", "sticky") == "sticky",
    )
    return Outcome(effects={"canary": rule})


def _row(name: str, parse: values.Parser, risk: Risk, doc: str, default: str = "") -> Annotation:
    return Annotation(name, parse, "upstream", risk, "canary", doc, default)


FAMILY = Family(
    (
        _row("canary", values.boolean, "low",
             "The Ingress is a canary: some requests of the routes with the same host, path and type, "
             "and of the routes to the same upstream on that host, go to its upstreams.", "false"),
        _row("canary-by-header", values.header_name, "medium",
             "A header: `always` leads to the canary, `never` to the main upstream."),
        _row("canary-by-header-value", _word, "medium", "The value of the header that leads to the canary instead."),
        _row("canary-by-header-pattern", partial(regex, blanks=True), "medium",
             "A regex to search in the header instead, where there is no value."),
        _row("canary-by-cookie", values.matching(r"[A-Za-z0-9._~-]{1,256}", "the name of a cookie"), "medium",
             "A cookie: `always` leads to the canary, `never` to the main upstream."),
        _row("canary-weight", values.natural, "low", "How many of canary-weight-total requests go to the canary.", "0"),
        _row("canary-weight-total", partial(values.natural, least=1), "low",
             "What canary-weight is a part of; less than 100 counts as 100.", "100"),
        _row("affinity-canary-behavior", values.one_of("sticky", "legacy"), "low",
             "sticky: the affinity cookie also keeps a client at the canary; legacy: the canary sets no cookie.",
             "sticky"),
    ),
    _build,
)  # fmt: skip
_NAMES = tuple(row.name for row in FAMILY.rows)
