"""CORS: which pages of other origins may read the answers."""

from __future__ import annotations

import re
from functools import partial

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.policy import Cors

MAX_AGE = 1728000
METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
HEADERS = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|null")


def _origins(text: str) -> tuple[str, ...] | None:
    """The origins of a list: () for any, None when none of them is usable."""
    values.plain(text, limit=4096)
    entries = values.words(text)
    if not entries or "*" in entries:
        return ()
    return tuple(entry for entry in entries if _ORIGIN.fullmatch(entry)) or None


_header_names = values.matching(r"[A-Za-z0-9_, -]{1,1024}|\*", "a list of header names")


def _build(found: Values) -> Outcome:
    if not found.get("enable-cors"):
        return Outcome()
    origins = found.get("cors-allow-origin", ())
    if origins is None:
        return Outcome()
    cors = Cors(
        origins=origins,
        methods=found.get("cors-allow-methods", METHODS),
        headers=found.get("cors-allow-headers", HEADERS),
        expose=found.get("cors-expose-headers", ""),
        credentials=found.get("cors-allow-credentials", True),
        max_age=found.get("cors-max-age", MAX_AGE),
    )
    return Outcome({"cors": cors})


FAMILY = Family(
    (
        Annotation(
            "enable-cors", values.boolean, "route", "low", "cors",
            "Send CORS headers, and answer OPTIONS requests of allowed origins with 204.", "false",
        ),
        Annotation(
            "cors-allow-origin", _origins, "route", "medium", "cors",
            "Origins, comma-separated; the host may begin with `*.` (one label).", "*",
        ),
        Annotation(
            "cors-allow-methods", values.matching(r"[A-Za-z, ]{1,256}|\*", "a list of methods"), "route", "medium",
            "cors", "Access-Control-Allow-Methods.", METHODS,
        ),
        Annotation(
            "cors-allow-headers", _header_names, "route", "medium", "cors", "Access-Control-Allow-Headers.", HEADERS,
        ),
        Annotation(
            "cors-expose-headers", _header_names, "route", "medium", "cors", "Access-Control-Expose-Headers.",
        ),
        Annotation(
            "cors-allow-credentials", values.boolean, "route", "low", "cors",
            "Whether Access-Control-Allow-Credentials is sent.", "true",
        ),
        Annotation(
            "cors-max-age", partial(values.natural, least=-1), "route", "low", "cors",
            "Access-Control-Max-Age in seconds.", str(MAX_AGE),
        ),
    ),
    _build,
)  # fmt: skip
