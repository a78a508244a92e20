"""Headers to the upstream and to the client, and what is rewritten in them."""

from __future__ import annotations

import re

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.dialects.text import text as text_of
from gen.dialects.wishes import CustomHeaders
from gen.errors import BadValue
from gen.policy import CookieRewrite, RedirectRewrite, Text

_AUTHORITY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")
_VARIABLE = re.compile(r"\$\{?[A-Za-z0-9_]+\}?")
_URL = re.compile(r"[A-Za-z0-9._~/:,?&=%${}+@!*()-]{1,1024}")


def _authority(text: str) -> Text:
    """A host name, perhaps with a port; variables may be parts of it."""
    values.plain(text, limit=512)
    if not _AUTHORITY.fullmatch(_VARIABLE.sub("x", text)):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not a host name, perhaps with a port")
    return text_of(text, of_the_route=True)


def pair(text: str) -> tuple[str, str] | None:
    """`off`, or what becomes what."""
    values.plain(text)
    if text == "off":
        return None
    parts = [part for part in text.split(" ") if part]
    if len(parts) != 2 or not all(re.fullmatch(r"(?!~)[A-Za-z0-9._~/:-]{1,512}", part) for part in parts):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is neither off nor two words of [A-Za-z0-9._~/:-]")
    return parts[0], parts[1]


def location(text: str) -> Text:
    """A prefix of a URL, `off` or `default`."""
    values.plain(text)
    if not _URL.fullmatch(text):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not a URL, off or default")
    return text_of(text)


def _build(found: Values) -> Outcome:
    policy: dict[str, object] = {}
    if host := found.get("upstream-vhost"):
        policy["upstream_host"] = host
    if connection := found.get("connection-proxy-header"):
        policy["connection_header"] = connection
    cookies = tuple(
        CookieRewrite("domain" if kind == "domain" else "path", *pair)
        for kind in ("domain", "path")
        if (pair := found.effective(f"proxy-cookie-{kind}"))
    )
    if cookies:
        policy["cookie_rewrites"] = cookies
    if rewrite := _redirect(found.effective("proxy-redirect-from"), found.effective("proxy-redirect-to")):
        policy["redirect_rewrites"] = (rewrite,)
    return Outcome(policy, wishes=_custom(found))


def _redirect(old: Text | None, new: Text | None) -> RedirectRewrite | None:
    """Both are needed, and `default` would undo what the proxy itself has done, so it is nothing."""
    if not old or not new or old in {("off",), ("default",)} or new == ("off",):
        return None
    return RedirectRewrite("".join(piece for piece in old if isinstance(piece, str)), new)


def _custom(found: Values) -> tuple[CustomHeaders, ...]:
    configmap = found.get("custom-headers")
    allowed = tuple(name.lower() for name in found.settings["global-allowed-response-headers"])
    return (CustomHeaders(configmap, allowed),) if configmap else ()


FAMILY = Family(
    (
        Annotation("upstream-vhost", _authority, "route", "low", "upstream_host",
                   "The Host header for the upstream; X-Forwarded-Host stays what the client sent.",
                   "the client's Host", "reject"),
        Annotation("connection-proxy-header", values.one_of("close", "keep-alive"), "route", "low",
                   "connection_header", "The Connection header for the upstream; upgrades fail with it.",
                   bad_value="reject"),
        Annotation("custom-headers", values.reference, "route", "medium", "response_headers",
                   "A ConfigMap with headers for answers, of those that the ConfigMap's "
                   "global-allowed-response-headers names.", bad_value="close"),
        Annotation("proxy-cookie-domain", pair, "route", "medium", "cookie_rewrites",
                   "`from to`: the Domain of the upstream's cookies; or off.", "off"),
        Annotation("proxy-cookie-path", pair, "route", "medium", "cookie_rewrites",
                   "`from to`: the Path of the upstream's cookies; or off.", "off"),
        Annotation("proxy-redirect-from", location, "route", "medium", "redirect_rewrites",
                   "The beginning of the upstream's Location and Refresh that proxy-redirect-to replaces.", "off"),
        Annotation("proxy-redirect-to", location, "route", "medium", "redirect_rewrites",
                   "What replaces proxy-redirect-from.", "off"),
    ),
    _build,
    always=True,
)  # fmt: skip
