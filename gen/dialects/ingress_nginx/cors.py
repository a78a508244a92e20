"""CORS: which pages of other origins may read the answers."""

from __future__ import annotations

import re

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.errors import BadValue
from gen.policy import Cors

MAX_AGE = 1728000
METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
HEADERS = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
_ORIGIN = re.compile(r"(?:[a-z][a-z0-9+.-]*://(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|null)")
_METHODS = re.compile(r"[A-Za-z, ]{1,256}|\*")
_HEADER_NAMES = re.compile(r"[A-Za-z0-9_, -]{1,1024}")


def _origins(text: str) -> tuple[str, ...] | None:
    """The origins of a list: () for any, None when none of them is usable."""
    values.plain(text, limit=4096)
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if not entries or "*" in entries:
        return ()
    usable = tuple(dict.fromkeys(entry for entry in entries if _ORIGIN.fullmatch(entry)))
    return usable or None


def _methods(text: str) -> str:
    return _listed(text, _METHODS, "a list of methods")


def _header_names(text: str) -> str:
    return _listed(text, _HEADER_NAMES, "a list of header names")


def _exposed(text: str) -> str:
    return text if text == "*" else _header_names(text)


def _listed(text: str, pattern: re.Pattern[str], expected: str) -> str:
    values.plain(text)
    if not pattern.fullmatch(text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not {expected}")
    return text


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
    return Outcome(policy={"cors": cors})


FAMILY = Family(
    rows=(
        Annotation(
            "enable-cors",
            values.boolean,
            "route",
            "low",
            "Send CORS headers, and answer OPTIONS requests of allowed origins with 204.",
            bad_value="ignore",
        ),
        Annotation(
            "cors-allow-origin",
            _origins,
            "route",
            "medium",
            "Origins, comma-separated; the host may begin with `*.` (one label). By default `*`.",
            bad_value="ignore",
        ),
        Annotation(
            "cors-allow-methods",
            _methods,
            "route",
            "medium",
            f"Access-Control-Allow-Methods, by default `{METHODS}`.",
            bad_value="ignore",
        ),
        Annotation(
            "cors-allow-headers",
            _header_names,
            "route",
            "medium",
            "Access-Control-Allow-Headers, by default the usual request headers.",
            bad_value="ignore",
        ),
        Annotation(
            "cors-expose-headers",
            _exposed,
            "route",
            "medium",
            "Access-Control-Expose-Headers, by default not sent.",
            bad_value="ignore",
        ),
        Annotation(
            "cors-allow-credentials",
            values.boolean,
            "route",
            "low",
            "Whether Access-Control-Allow-Credentials is sent, by default it is.",
            bad_value="ignore",
        ),
        Annotation(
            "cors-max-age",
            values.integer,
            "route",
            "low",
            "Access-Control-Max-Age in seconds, by default 1728000.",
            bad_value="ignore",
        ),
    ),
    build=_build,
)
