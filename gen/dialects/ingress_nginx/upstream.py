"""upstream-vhost: how the upstream is spoken to."""

from __future__ import annotations

import re

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.errors import BadValue

_AUTHORITY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")


def _authority(text: str) -> str:
    values.plain(text, limit=260)
    if not _AUTHORITY.fullmatch(text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not a host name, perhaps with a port")
    return text


def _build(found: Values) -> Outcome:
    host = found.get("upstream-vhost")
    return Outcome(policy={"upstream_host": (host,)}) if host else Outcome()


FAMILY = Family(
    rows=(
        Annotation(
            "upstream-vhost",
            _authority,
            "route",
            "low",
            "The Host header for the upstream; X-Forwarded-Host stays what the client sent.",
        ),
    ),
    build=_build,
)
