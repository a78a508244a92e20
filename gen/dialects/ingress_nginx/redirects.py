"""permanent-redirect and temporal-redirect: answer with a Location instead of forwarding."""

from __future__ import annotations

import re

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.errors import BadValue
from gen.ir import Redirect

_URL = re.compile(r"[A-Za-z0-9._~/:,?&=-]{1,2048}")


def _url(text: str) -> str:
    values.plain(text, limit=2048)
    if not _URL.fullmatch(text) or not re.match(r"https?://[A-Za-z0-9]|/(?!/)", text):
        raise BadValue(
            "AnnotationInvalid", f"{values.shown(text)} is not an http or https URL of [A-Za-z0-9._~/:,?&=-], or a path"
        )
    return text


def _temporal(text: str) -> str | None:
    """The URL; None for another scheme, for which there is no redirect."""
    if re.fullmatch(r"(?!http)[a-z][a-z0-9+.-]*://[A-Za-z0-9._~/:,?&=-]*", values.plain(text, limit=2048)):
        return None
    if not text.startswith("http"):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not an http or https URL")
    return _url(text)


def _build(found: Values) -> Outcome:
    is_relative = bool(found.effective("relative-redirects"))
    return Outcome(action=_action(found, is_relative), effects={"relative": True} if is_relative else {})


def _action(found: Values, is_relative: bool) -> Redirect | None:
    """The redirect; a temporal one wins, a code out of range counts as the default."""
    if url := found.get("temporal-redirect"):
        code, default, last = found.get("temporal-redirect-code", 302), 302, 307
    elif found.is_strict and found.has(("temporal-redirect",)):
        raise BadValue("AnnotationInvalid", "temporal-redirect is not an http or https URL")
    elif url := found.get("permanent-redirect"):
        code, default, last = found.get("permanent-redirect-code", 301), 301, 308
    else:
        return None
    status = code if 300 <= code <= last else default
    if url.startswith("http"):
        return Redirect(status, url=url)
    path, _, query = url.partition("?")
    return Redirect(status, path=path, query=query, is_relative=is_relative)


FAMILY = Family(
    (
        Annotation(
            "permanent-redirect", _url, "route", "medium", "action",
            "Answer every request with a redirect to this URL; path and query are not appended.", bad_value="reject",
        ),
        Annotation(
            "permanent-redirect-code", values.integer, "route", "low", "action",
            "The status of permanent-redirect, 300 to 308.", "301", "reject",
        ),
        Annotation(
            "temporal-redirect", _temporal, "route", "medium", "action",
            "Like permanent-redirect, which it overrides, with status 302.", bad_value="reject",
        ),
        Annotation(
            "temporal-redirect-code", values.integer, "route", "low", "action",
            "The status of temporal-redirect, 300 to 307.", "302", "reject",
        ),
        Annotation(
            "relative-redirects", values.boolean, "route", "low", "action",
            "A redirect to a path leaves out scheme and host.", "the ConfigMap's relative-redirects", "reject",
        ),
    ),
    _build,
    always=True,
)  # fmt: skip
