"""Certificates of clients: auth-tls-*, for all paths of a host."""

from __future__ import annotations

from functools import partial
from typing import Literal, cast

from gen.dialects import values
from gen.dialects.annotation import Annotation, BadValueMode, Closing, Family, Outcome, Risk, Values
from gen.dialects.regex import regex
from gen.dialects.wishes import ClientCa
from gen.errors import BadValue
from gen.policy import ClientCertificate

_MODES = {"on": "on", "optional": "optional", "optional_no_ca": "unchecked", "off": "off"}
_url = values.matching(r"(?:https?://[A-Za-z0-9]|/(?!/))[A-Za-z0-9._~/:,?&=-]{0,2047}", "a URL or a path", limit=2048)


def _secret(text: str) -> str:
    """The reference; "" where it lacks its namespace, for which the host is closed."""
    return values.reference(text) if "/" in text else ""


def _match(text: str) -> str:
    if not text.startswith("CN=") or set(text) & set("\"';`#"):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} does not begin with CN=, or has quotes, ; or #")
    try:
        return regex(text, blanks=True)
    except BadValue as fault:
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not CN= and a regex: {fault}") from fault


def _build(found: Values) -> Outcome:
    secret = found.get("auth-tls-secret")
    mode = _MODES[found.get("auth-tls-verify-client", "on")]
    if secret is None or mode == "off":
        if found.is_strict and secret is None and found.has(("auth-tls-verify-client", "auth-tls-match-cn")):
            raise Closing("AnnotationInvalid", "client certificates need auth-tls-secret")
        return Outcome()
    rule = ClientCertificate(
        ca=b"",
        verify=cast("Literal['on', 'optional', 'unchecked']", mode),
        depth=found.get("auth-tls-verify-depth", 1),
        error_page=found.get("auth-tls-error-page", ""),
        pass_upstream=found.get("auth-tls-pass-certificate-to-upstream", False),
        match_subject=found.get("auth-tls-match-cn", ""),
    )
    return Outcome(wishes=(ClientCa(secret, rule),))


def _row(
    name: str, parse: values.Parser, risk: Risk, doc: str, default: str = "", *, mode: BadValueMode = "close"
) -> Annotation:
    return Annotation(name, parse, "host", risk, "client_certificate", doc, default, mode)


FAMILY = Family(
    (
        _row("auth-tls-secret", _secret, "medium",
             "The Secret, `namespace/name`, with ca.crt and perhaps ca.crl; the oldest Ingress of the host "
             "counts. A host whose Secret cannot be used answers 403.", mode="reject"),
        _row("auth-tls-verify-client", values.one_of(*_MODES), "low",
             "on: a valid certificate is needed, else 400; optional: one that is shown must be valid; optional_no_ca: "
             "it is only passed on; off.", "on"),
        _row("auth-tls-verify-depth", partial(values.natural, most=100), "low", "The longest chain.", "1"),
        _row("auth-tls-error-page", _url, "high", "A URL for a redirect instead of the 400.", mode="reject"),
        _row("auth-tls-pass-certificate-to-upstream", values.boolean, "low",
             "The certificate goes to the upstream as ssl-client-cert, URL-encoded.", "false", mode="reject"),
        _row("auth-tls-match-cn", _match, "high", "`CN=` and a regex that is searched in the subject, else 403.",
             mode="reject"),
    ),
    _build,
)  # fmt: skip
