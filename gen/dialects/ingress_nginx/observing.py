"""Logs, traces and the web application firewall."""

from __future__ import annotations

import re

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.dialects.text import text as text_of
from gen.errors import BadValue
from gen.policy import Text, Tracing, Waf


def _transaction(text: str) -> Text:
    values.plain(text)
    if not re.fullmatch(r"[A-Za-z0-9_${}-]{1,256}", text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not a text with variables")
    return text_of(text)


def _build(found: Values) -> Outcome:
    policy: dict[str, object] = {}
    if found.get("enable-access-log") is False:
        policy["access_log"] = False
    core_rules = found.get("enable-owasp-core-rules", False)
    if core_rules or found.get("enable-modsecurity"):
        policy["waf"] = Waf(core_rules, found.get("modsecurity-transaction-id", ()))
    tracing = Tracing(
        found.get("enable-opentelemetry"),
        found.get("opentelemetry-trust-incoming-span"),
        found.get("opentelemetry-operation-name", ""),
    )
    if tracing != Tracing():
        policy["tracing"] = tracing
    return Outcome(policy)


FAMILY = Family(
    (
        Annotation("enable-access-log", values.boolean, "route", "low", "access_log", "Whether requests are logged.",
                   "true"),
        Annotation("enable-rewrite-log", values.boolean, "route", "low", "", "Rewrites in the error log.", "false",
                   unsupported="it shows the inner life of nginx, which gen does not configure by rewrites"),
        Annotation("enable-opentelemetry", values.boolean, "route", "low", "tracing", "Whether requests are traced."),
        Annotation("opentelemetry-trust-incoming-span", values.boolean, "route", "low", "tracing",
                   "Whether a trace of the client goes on."),
        Annotation("opentelemetry-operation-name", values.matching(r"[A-Za-z0-9_-]{1,256}", "a name"), "route",
                   "medium", "tracing", "The name of the span.", bad_value="reject"),
        Annotation("enable-modsecurity", values.boolean, "route", "low", "waf",
                   "ModSecurity with the recommended rules.", "false", "close"),
        Annotation("enable-owasp-core-rules", values.boolean, "route", "low", "waf", "OWASP's core rules, too.",
                   "false", "close"),
        Annotation("modsecurity-transaction-id", _transaction, "route", "high", "waf", "The id of a transaction.",
                   bad_value="close"),
        Annotation("http2-push-preload", values.boolean, "route", "low", "", "HTTP/2 push.", "false", "reject",
                   unsupported="browsers and nginx have given up HTTP/2 push"),
    ),
    _build,
)  # fmt: skip
