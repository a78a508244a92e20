"""A cookie keeps a client at its endpoint."""

from __future__ import annotations

from functools import partial

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Risk, Values
from gen.policy import Affinity

_domain = values.matching(r"\.?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", "a domain")
_seconds = partial(values.natural, least=-(2**31), most=2**31)


def _build(found: Values) -> Outcome:
    """The path of the cookie is that of the route, unless an annotation says it."""
    if not found.get("affinity"):
        return Outcome()
    affinity = Affinity(
        cookie=found.get("session-cookie-name", "INGRESSCOOKIE"),
        path=found.get("session-cookie-path", ""),
        domain=found.get("session-cookie-domain", ""),
        secure=True if found.get("session-cookie-secure") else None,
        same_site=found.get("session-cookie-samesite", ""),
        conditional_same_site_none=found.get("session-cookie-conditional-samesite-none", False),
        expires=found.get("session-cookie-expires"),
        max_age=found.get("session-cookie-max-age"),
        persistent=found.get("affinity-mode") == "persistent",
        change_on_failure=found.get("session-cookie-change-on-failure", False),
    )
    return Outcome({"affinity": affinity})


def _row(name: str, parse: values.Parser, risk: Risk, doc: str, default: str = "") -> Annotation:
    return Annotation(name, parse, "upstream", risk, "affinity", doc, default)


FAMILY = Family(
    (
        _row("affinity", values.one_of("cookie"), "low", "cookie: a cookie keeps a client at its endpoint.", "off"),
        _row("affinity-mode", values.one_of("balanced", "persistent"), "medium",
             "balanced: some clients move when endpoints come; persistent: none does while its endpoint lives.",
             "balanced"),
        _row("session-cookie-name", values.matching(r"[A-Za-z0-9._~-]{1,256}", "the name of a cookie"), "medium",
             "The name of the cookie.", "INGRESSCOOKIE"),
        _row("session-cookie-path", values.matching(r"/[A-Za-z0-9._~/:?&=-]{0,1023}", "a path"), "medium",
             "The path of the cookie; needed where paths are regexes.", "the path of the route"),
        _row("session-cookie-domain", _domain, "medium", "The domain of the cookie."),
        _row("session-cookie-secure", values.boolean, "low", "true: always Secure; else on HTTPS.", "false"),
        _row("session-cookie-samesite", values.one_of("None", "Lax", "Strict"), "low", "SameSite of the cookie."),
        _row("session-cookie-conditional-samesite-none", values.boolean, "low",
             "SameSite=None is left out for browsers that mistake it.", "false"),
        _row("session-cookie-expires", _seconds, "medium", "Seconds until Expires."),
        _row("session-cookie-max-age", _seconds, "medium", "Max-Age in seconds."),
        _row("session-cookie-change-on-failure", values.boolean, "low",
             "After a failure the client gets another endpoint for good.", "false"),
    ),
    _build,
)  # fmt: skip
