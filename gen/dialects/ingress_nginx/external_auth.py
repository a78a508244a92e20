"""External authentication: another service decides by a sub-request."""

from __future__ import annotations

import re

import msgspec

from gen.dialects import values
from gen.dialects.annotation import Annotation, BadValueMode, Closing, Family, Outcome, Risk, Values
from gen.dialects.target import Target, signin_url, target
from gen.dialects.text import text as text_of
from gen.dialects.wishes import AuthHeaders
from gen.errors import BadValue
from gen.policy import ExternalAuth, Text, Variable

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_DURATION = re.compile(r"((?:[1-5][0-9]{2} +)*)([0-9]{1,9})(ms|s|m|h|d|w|M|y)?")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000, None: 1}
DURATION = "200 202 401 5m"
_METHOD_HEADERS = (("X-Original-URI", (Variable("request_uri"),)), ("X-Scheme", (Variable("scheme"),)))
Durations = tuple[tuple[tuple[int, ...], float], ...]


def durations(text: str) -> Durations:
    """Statuses and seconds, as in `200 202 5m, 401 1m`.  Raises: BadValue (AnnotationInvalid)."""
    found: list[tuple[tuple[int, ...], float]] = []
    for item in values.words(values.plain(text)):
        parts = _DURATION.fullmatch(item)
        if not parts:
            raise BadValue("AnnotationInvalid", f"{values.shown(item)} is not statuses and a time, as in 200 202 5m")
        found.append((tuple(int(status) for status in parts[1].split()), int(parts[2]) * _UNITS[parts[3]]))
    return tuple(found)


def cache_key(text: str) -> Text:
    """A key of variables and words.  Raises: BadValue (AnnotationInvalid)."""
    values.plain(text)
    if not re.fullmatch(r"[A-Za-z0-9_${}-]{1,512}", text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not a key of variables")
    return text_of(text)


def url_text(text: str) -> Text:
    """A URL, or a path, with variables.  Raises: BadValue (AnnotationInvalid)."""
    values.plain(text, limit=2048)
    if not re.fullmatch(r"[A-Za-z0-9._~/:,?&=${}%+@!*()-]{1,2048}", text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not a URL")
    return text_of(text)


def _method(text: str) -> str:
    if text not in METHODS:
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is none of {', '.join(METHODS)}")
    return text


def _build(found: Values) -> Outcome:
    """From the annotations, or from the global-auth- keys of the ConfigMap unless enable-global-auth is false."""
    headers = found.get("auth-proxy-set-headers")
    url: Target | None = found.get("auth-url")
    prefix = "auth-"
    if url is None:
        if found.is_strict and found.has(("auth-signin", "auth-response-headers", "auth-method")):
            raise Closing("AnnotationInvalid", "external authentication needs auth-url")
        url = found.settings["global-auth-url"] if found.get("enable-global-auth", True) else None
        prefix = "global-auth-"
    if url is None:
        return Outcome(wishes=(AuthHeaders(headers),) if headers else ())
    auth = _auth(found, url, prefix)
    if prefix == "auth-" and headers:
        return Outcome({"auth_external": auth}, wishes=(AuthHeaders(headers, auth),))
    return Outcome({"auth_external": auth})


def _auth(found: Values, url: Target, prefix: str) -> ExternalAuth:
    def get(name: str) -> object:
        return found.get(prefix + name) if prefix == "auth-" else found.settings[prefix + name]

    _refuse_own_addresses(found, url)
    given = {
        "method": get("method"),
        "response_headers": get("response-headers"),
        "request_redirect": get("request-redirect"),
        "always_set_cookie": get("always-set-cookie"),
        "cache_key": get("cache-key"),
        "keepalive": found.get("auth-keepalive"),
    }
    auth = ExternalAuth(url.upstream, (url.host,), url.path, url.tls)
    if given["method"]:
        auth = msgspec.structs.replace(auth, request_headers=_METHOD_HEADERS)
    auth = msgspec.structs.replace(auth, **{name: value for name, value in given.items() if value})
    if auth.cache_key:
        auth = msgspec.structs.replace(auth, cache_valid=get("cache-duration") or durations(DURATION))
    if signin := get("signin"):
        parameter = get("signin-redirect-param") or "rd"
        auth = msgspec.structs.replace(auth, signin=signin_url(str(signin), str(parameter)))
    return auth


def _refuse_own_addresses(found: Values, url: Target) -> None:
    if url.is_address:
        try:
            values.address(url.name, allow_loopback=found.allow_loopback)
        except BadValue as fault:
            raise Closing(fault.code, str(fault)) from fault


def _row(
    name: str, parse: values.Parser, risk: Risk, doc: str, default: str = "", *, mode: BadValueMode = "close"
) -> Annotation:
    return Annotation(name, parse, "route", risk, "auth_external", doc, default, mode)


def _signin(text: str) -> str:
    signin_url(text, "rd")
    return text


_parameter = values.matching(r"[A-Za-z0-9._~-]{1,64}", "the name of a parameter")

FAMILY = Family(
    (
        _row("auth-url", target, "high",
             "Asked before each request: 2xx passes it, 401 and 403 are the answer, anything else is 500.",
             mode="reject"),
        _row("auth-method", _method, "low", "The method of the sub-request.", "GET"),
        _row("auth-signin", _signin, "high", "Where a 401 is redirected to, with the URL of the request in `rd`."),
        _row("auth-signin-redirect-param", _parameter, "medium", "The parameter for that URL.", "rd"),
        _row("auth-response-headers", values.header_names, "medium",
             "Headers of the answer that are copied to the request for the upstream."),
        _row("auth-proxy-set-headers", values.reference, "medium",
             "A ConfigMap with headers for the sub-request."),
        _row("auth-request-redirect", url_text, "medium", "X-Auth-Request-Redirect of the sub-request.",
             "the URL of the request"),
        _row("auth-always-set-cookie", values.boolean, "low",
             "Cookies of the answer reach the client whatever the status.", "false"),
        _row("auth-cache-key", cache_key, "medium", "Answers are kept by this key."),
        _row("auth-cache-duration", durations, "medium", "How long answers are kept, by status.", DURATION),
        _row("auth-keepalive", values.natural, "low", "Idle connections to the service.", "0"),
        _row("auth-keepalive-share-vars", values.boolean, "low", "Has no effect: it is about variables of nginx.",
             "false"),
        _row("auth-keepalive-requests", values.natural, "low", "Has no effect: connections end by themselves.", "1000"),
        _row("auth-keepalive-timeout", values.natural, "low", "Has no effect: connections end by themselves.", "60"),
        Annotation("enable-global-auth", values.boolean, "route", "low", "auth_external",
                   "false: the ConfigMap's global-auth-url does not count.", "true"),
    ),
    _build,
    always=True,
)  # fmt: skip
