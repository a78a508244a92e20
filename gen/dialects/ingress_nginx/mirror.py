"""A copy of each request for another service."""

from __future__ import annotations

from gen.dialects import values
from gen.dialects.annotation import Annotation, Closing, Family, Outcome, Values
from gen.dialects.target import Target, target
from gen.errors import BadValue
from gen.policy import Mirror, Text, Variable


def _target(text: str) -> Target:
    """A URL whose fault costs the copy alone."""
    try:
        return target(text)
    except Closing as fault:
        raise BadValue(fault.code, str(fault)) from fault


def _build(found: Values) -> Outcome:
    url: Target | None = found.get("mirror-target")
    if url is None:
        return Outcome()
    if url.is_address:
        values.address(url.name, allow_loopback=found.allow_loopback)
    host, has_body = found.get("mirror-host", url.host), found.get("mirror-request-body", True)
    mirror = Mirror(url.upstream, (host,), _path(url.path), url.tls, has_body)
    return Outcome({"mirror": mirror})


def _path(path: Text) -> Text:
    """A path that ends in no query of its own gets the client's."""
    pieces = "".join(piece if isinstance(piece, str) else f"${piece.name}" for piece in path)
    if "?" in pieces or "$request_uri" in pieces or "$args" in pieces:
        return path
    return (*path, Variable("is_args"), Variable("args"))


FAMILY = Family(
    (
        Annotation("mirror-target", _target, "route", "high", "mirror",
                   "Where a copy of each request goes; the query is appended, `$request_uri` keeps the path."),
        Annotation("mirror-request-body", values.switch, "route", "low", "mirror", "Whether the copy has the body.",
                   "on"),
        Annotation("mirror-host", values.matching(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?",
                                                  "a host name"),
                   "route", "high", "mirror", "The Host header of the copy.", "the host of the target"),
    ),
    _build,
)  # fmt: skip
