"""What the upstream speaks: backend-protocol, FastCGI, TLS to the upstream."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from gen.dialects import values
from gen.dialects.annotation import Annotation, BadValueMode, Closing, Family, Outcome, Risk, Values
from gen.dialects.wishes import FastCgiParams, UpstreamCertificate, Wish
from gen.errors import BadValue
from gen.policy import FastCgi, UpstreamTls

PROTOCOLS: Mapping[str, str | None] = {
    "HTTP": None,
    "HTTPS": "https",
    "AUTO_HTTP": "as_client",
    "GRPC": "grpc",
    "GRPCS": "grpcs",
    "FCGI": "fcgi",
}
_VERSIONS = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
ciphers = values.matching(r"[A-Za-z0-9:+!@=_-]{1,2048}", "a list of ciphers in OpenSSL's syntax", limit=2048)


def protocols(text: str) -> tuple[str, ...]:
    """Versions of TLS; the broken ones are left out.  Raises: BadValue (AnnotationInvalid)."""
    found = tuple(dict.fromkeys(text.split()))
    if not found or any(version not in _VERSIONS for version in found):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not a list of {', '.join(_VERSIONS)}")
    return tuple(version for version in found if not version.startswith("SSL")) or ("TLSv1.2",)


def _protocol(text: str) -> str | None:
    try:
        return PROTOCOLS[text.upper()]
    except KeyError as error:
        raise BadValue("AnnotationUnsupported", f"{values.shown(text)} is none of {', '.join(PROTOCOLS)}") from error


def _build(found: Values) -> Outcome:
    policy: dict[str, object] = {}
    if protocol := found.get("backend-protocol"):
        policy["protocol"] = protocol
    wishes: tuple[Wish, ...] = (*_tls(found), *_fastcgi(found, protocol, policy))
    return Outcome(policy, wishes=wishes)


def _tls(found: Values) -> tuple[UpstreamCertificate, ...]:
    """As in ingress-nginx nothing of it counts without the Secret; a strict profile says so."""
    secret = found.get("proxy-ssl-secret")
    if secret is None:
        if found.is_strict and found.get("proxy-ssl-verify"):
            raise Closing("AnnotationInvalid", "proxy-ssl-verify needs proxy-ssl-secret, which has the CA")
        return ()
    tls = UpstreamTls(
        verify=found.get("proxy-ssl-verify", False),
        verify_depth=found.get("proxy-ssl-verify-depth", 1),
        server_name=found.get("proxy-ssl-name", ""),
        send_name=found.get("proxy-ssl-server-name", False),
        protocols=found.get("proxy-ssl-protocols", ("TLSv1.2",)),
        ciphers=found.get("proxy-ssl-ciphers", "DEFAULT"),
    )
    return (UpstreamCertificate(secret, tls),)


def _fastcgi(found: Values, protocol: str | None, policy: dict[str, object]) -> tuple[FastCgiParams, ...]:
    if protocol != "fcgi":
        return ()
    fastcgi = FastCgi(index=found.get("fastcgi-index", ""))
    policy["fastcgi"] = fastcgi
    configmap = found.get("fastcgi-params-configmap")
    return (FastCgiParams(configmap, fastcgi),) if configmap else ()


def _row(name: str, parse: values.Parser, risk: Risk, doc: str, default: str = "") -> Annotation:
    mode: BadValueMode = "reject" if name == "proxy-ssl-secret" else "close"
    return Annotation(name, parse, "route", risk, "upstream_tls", doc, default, mode)


FAMILY = Family(
    (
        Annotation("backend-protocol", _protocol, "route", "low", "protocol",
                   "HTTP, HTTPS, GRPC, GRPCS, FCGI, or AUTO_HTTP: the scheme of the client.", "HTTP"),
        Annotation("fastcgi-index", values.matching(r"[A-Za-z0-9._-]{1,255}", "the name of a file"), "route", "medium",
                   "fastcgi", "The file for paths that end in a slash.", bad_value="reject"),
        Annotation("fastcgi-params-configmap", values.reference, "route", "medium", "fastcgi",
                   "A ConfigMap with parameters.", bad_value="reject"),
        _row("proxy-ssl-secret", values.reference, "medium",
             "The Secret with the CA of the upstream, and perhaps a certificate for us; the others need it."),
        _row("proxy-ssl-verify", values.switch, "low", "Whether the upstream's certificate is verified.", "off"),
        _row("proxy-ssl-verify-depth", partial(values.natural, most=100), "low", "The longest chain.", "1"),
        _row("proxy-ssl-name", values.matching(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", "a name"), "high",
             "The name to verify, and to send.", "the name of the upstream"),
        _row("proxy-ssl-server-name", values.switch, "low", "Whether the name is sent (SNI).", "off"),
        _row("proxy-ssl-protocols", protocols, "low", "Versions of TLS.", "TLSv1.2"),
        _row("proxy-ssl-ciphers", ciphers, "medium", "Ciphers in OpenSSL's syntax.", "DEFAULT"),
    ),
    _build,
)  # fmt: skip
