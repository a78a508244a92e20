"""Who answers for an upstream that fails: default-backend, custom-http-errors."""

from __future__ import annotations

import re

from gen.dialects import values
from gen.dialects.annotation import Annotation, Closing, Family, Outcome, Values
from gen.dialects.wishes import Errors
from gen.errors import BadValue


def _statuses(text: str) -> tuple[int, ...]:
    found = values.words(text)
    if not all(re.fullmatch(r"[45][0-9]{2}", item) for item in found):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not a list of statuses from 400 to 599")
    return tuple(int(item) for item in found)


def _build(found: Values) -> Outcome:
    """A strict profile refuses to replace 401 and 403: with authentication an error page may show what they hide."""
    statuses, service = found.effective("custom-http-errors"), found.get("default-backend", "")
    if found.is_strict and {401, 403} & set(found.get("custom-http-errors", ())):
        raise Closing("AnnotationInvalid", "401 and 403 are answers of authentication, and not to be replaced")
    if not statuses and not service:
        return Outcome()
    return Outcome(wishes=(Errors(service, statuses, not found.effective("disable-proxy-intercept-errors")),))


FAMILY = Family(
    (
        Annotation("default-backend", values.matching(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", "the name of a Service"),
                   "route", "low", "fallback",
                   "A Service of the namespace, its first port: it answers while the upstream has no endpoints, and "
                   "for custom-http-errors.", "", "reject"),
        Annotation("custom-http-errors", _statuses, "route", "low", "error_pages",
                   "Statuses whose answers the default backend replaces.", "the ConfigMap's custom-http-errors",
                   "reject"),
        Annotation("disable-proxy-intercept-errors", values.boolean, "route", "low", "error_pages",
                   "true: answers of the upstream itself are left alone.",
                   "the ConfigMap's disable-proxy-intercept-errors"),
    ),
    _build,
    always=True,
)  # fmt: skip
