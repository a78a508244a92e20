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


def _absolute_url(text: str) -> str:
    if not text.startswith("http"):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not an http or https URL")
    return _url(text)


def _build(found: Values) -> Outcome:
    """The redirect; a temporal one wins, a code out of range counts as the default."""
    if url := found.get("temporal-redirect"):
        code, default, last = found.get("temporal-redirect-code", 302), 302, 307
    elif url := found.get("permanent-redirect"):
        code, default, last = found.get("permanent-redirect-code", 301), 301, 308
    else:
        return Outcome()
    status = code if 300 <= code <= last else default
    return Outcome(action=Redirect(status, url=url) if url.startswith("http") else Redirect(status, path=url))


FAMILY = Family(
    rows=(
        Annotation(
            "permanent-redirect",
            _url,
            "route",
            "medium",
            "Answer every request with a redirect to this URL; path and query are not appended.",
        ),
        Annotation(
            "permanent-redirect-code",
            values.integer,
            "route",
            "low",
            "The status of permanent-redirect, 300 to 308, by default 301.",
        ),
        Annotation(
            "temporal-redirect",
            _absolute_url,
            "route",
            "medium",
            "Like permanent-redirect, which it overrides, with status 302.",
        ),
        Annotation(
            "temporal-redirect-code",
            values.integer,
            "route",
            "low",
            "The status of temporal-redirect, 300 to 307, by default 302.",
        ),
    ),
    build=_build,
)
