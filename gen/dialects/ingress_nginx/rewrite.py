"""Which path the upstream sees: rewrite-target, use-regex, x-forwarded-prefix."""

from __future__ import annotations

import re

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.dialects.text import text as text_of
from gen.errors import BadValue
from gen.policy import Text

_TARGET = re.compile(r"/?[A-Za-z0-9._~/:$-]{0,1024}")
_PREFIX = re.compile(r"/[A-Za-z0-9._~/:$-]{0,1024}")


def _target(given: str) -> Text:
    """A path with `$1`, `$2`, ...; a URL is none."""
    values.plain(given)
    if not _TARGET.fullmatch(given) or "://" in given or given.startswith("//"):
        raise BadValue("AnnotationInvalid", f"{values.shown(given)} is not a path of [A-Za-z0-9._~/:-] and $1 to $9")
    return text_of(given if given.startswith("/") else f"/{given}", captures=True)


def _prefix(given: str) -> Text:
    values.plain(given)
    if not _PREFIX.fullmatch(given):
        raise BadValue("AnnotationInvalid", f"{values.shown(given)} is not a path of [A-Za-z0-9._~/:-] and $1 to $9")
    return text_of(given, captures=True)


def _build(found: Values) -> Outcome:
    """X-Forwarded-Prefix goes with a rewrite only."""
    target, prefix = found.get("rewrite-target"), found.get("x-forwarded-prefix")
    policy = {"rewrite": target, "forwarded_prefix": prefix} if target and prefix else {"rewrite": target}
    effects = {"uses_regex": True} if found.get("use-regex") else {}
    return Outcome(policy if target else {}, effects=effects)


FAMILY = Family(
    (
        Annotation(
            "rewrite-target", _target, "route", "medium", "rewrite",
            "Replaces the whole path; `$1` is what the first group of the path's regex found. Where the target differs "
            "from the path, all paths of the host become regexes.",
        ),
        Annotation(
            "use-regex", values.boolean, "host", "low", "match",
            "The paths are regexes, case-insensitive, anchored at the start; so are then all paths of the host, the "
            "longest first.", "false",
        ),
        Annotation(
            "x-forwarded-prefix", _prefix, "route", "medium", "forwarded_prefix",
            "X-Forwarded-Prefix for the upstream, where rewrite-target is set.", bad_value="reject",
        ),
    ),
    _build,
)  # fmt: skip
