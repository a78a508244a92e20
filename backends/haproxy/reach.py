"""How the upstream is reached: which server, by which protocol, how long, how often."""

from __future__ import annotations

import re
from collections.abc import Iterable

from backends.haproxy import syntax
from backends.haproxy.draft import Draft
from backends.haproxy.routes import cookie_mark
from backends.haproxy.syntax import Encoded
from gen.errors import BadValue
from gen.ir import Certificate, Upstream
from gen.policy import Affinity, FastCgi, Policy, Retries, Timeouts, UpstreamTls

CONDITIONS = {
    "error": "conn-failure empty-response",
    "timeout": "response-timeout",
    "invalid_header": "junk-response",
    **{f"http_{status}": str(status) for status in (403, 404, 500, 502, 503, 504)},
}
IDEMPOTENT = "{ method GET HEAD OPTIONS PUT DELETE }"
MANY = 9  # tries; one server more would be asked again and again, a second apart
COOKIE_DATE = Encoded('"%a, %d-%b-%y %H:%M:%S GMT"')
NO_SAME_SITE_NONE = (
    r"Chrome/[4-6][0-9]|\(iP.+; CPU .*OS 12[_\d]*.*\) AppleWebKit/|\(Macintosh;.*Mac OS X 10_14[_\d]*.*Version/.*Safari"
)
"""Browsers that take SameSite=None for Strict."""


def chosen(draft: Draft, policy: Policy, upstream: Upstream) -> bool:
    """Which server gets a request; whether the upstream's own balance is overruled.  Raises BadValue."""
    if policy.affinity:
        if policy.affinity.conditional_same_site_none:
            agents = syntax.composed(NO_SAME_SITE_NONE)
            draft.add("http-request set-var(txn.old_browser) bool(true) if { req.fhdr(user-agent) -m reg %s }", agents)
        if policy.affinity.expires is not None:
            later = syntax.rule("date(%s),utime(%s)", Encoded(str(int(policy.affinity.expires))), COOKIE_DATE)
            draft.add("http-request set-var(txn.expires) '%s'", later)
        (kept if policy.affinity.persistent else hashed_cookie)(draft, policy.affinity, upstream.id)
        return not policy.affinity.persistent
    if policy.hash_by:
        draft.add("http-request set-var-fmt(txn.hash) %s", syntax.text(policy.hash_by))
        hashed(draft, "var(txn.hash)")
        return True
    if policy.balance:
        if name := syntax.balance(policy.balance):
            draft.add("balance %s", name)
        if policy.balance == "source_hash":
            draft.add("hash-type consistent")
        return True
    return False


def hashed(draft: Draft, key: str) -> None:
    """Consistent hashing of an expression."""
    draft.add(f"balance hash {key}")
    draft.add("hash-type consistent sdbm avalanche")


def hashed_cookie(draft: Draft, affinity: Affinity, upstream: str) -> None:
    """A cookie with a key, whose hash chooses the server.  Raises BadValue."""
    cookie, mark = syntax.token(affinity.cookie), cookie_mark(upstream)
    draft.add(
        "http-request set-var(txn.sticky) req.cook(%s),field(1,|) if { req.cook(%s) -m len gt 0 }", cookie, cookie
    )
    draft.add("http-request set-var(txn.fresh) uuid,regsub(-,,g) unless { var(txn.sticky) -m found }")
    draft.add("http-request set-var(txn.sticky) var(txn.fresh) unless { var(txn.sticky) -m found }")
    hashed(draft, "var(txn.sticky)")
    value = syntax.rule("%s=%%[var(txn.fresh)]|%s", cookie, mark)
    for condition, text in variants(affinity, value):
        draft.add(f"http-response add-header Set-Cookie %s if {{ var(txn.fresh) -m found }}{condition}", text)


def kept(draft: Draft, affinity: Affinity, upstream: str) -> None:
    """A cookie that names the server as long as it is there.  Raises BadValue."""
    cookie = syntax.token(affinity.cookie)
    draft.add("cookie %s insert dynamic", cookie)
    draft.add("dynamic-cookie-key %s", syntax.identifier(upstream))
    whole = syntax.composed(rf"^{re.escape(affinity.cookie)}=([^;]*); path=/$")
    value = syntax.rule("%s=\\1", cookie)
    for condition, text in variants(affinity, value):
        draft.add(f"http-after-response replace-header Set-Cookie %s %s{condition and ' if' + condition}", whole, text)


def variants(affinity: Affinity, value: Encoded) -> list[tuple[str, Encoded]]:
    """The cookie with its attributes, and the conditions under which it looks so.  Raises BadValue."""
    https = " { var(txn.scheme) -m str https }"
    secures = {"": True} if affinity.secure else {https: True, https.replace("{", "!{"): False}
    none = affinity.same_site.lower() == "none" and affinity.conditional_same_site_none
    sames = {" { var(txn.old_browser) -m found }": "", " !{ var(txn.old_browser) -m found }": affinity.same_site}
    return [
        (secure + same, syntax.rule("'%s%s'", value, attributes(affinity, is_secure, site)))
        for secure, is_secure in secures.items()
        for same, site in (sames if none else {"": affinity.same_site}).items()
    ]


def attributes(affinity: Affinity, is_secure: bool, same_site: str) -> Encoded:
    """The attributes of a cookie, between single quotes.  Raises BadValue."""
    found = [
        affinity.expires is not None and "; Expires=%[var(txn.expires)]",
        affinity.max_age is not None and f"; Max-Age={int(affinity.max_age)}",
        affinity.domain and f"; Domain={plain(affinity.domain)}",
        f"; Path={plain(affinity.path)}",
        is_secure and "; Secure",
        "; HttpOnly",
        same_site and f"; SameSite={plain(same_site)}",
    ]
    return Encoded("".join(part for part in found if part))


def plain(text: str) -> str:
    """The value of an attribute, between single quotes.  Raises BadValue."""
    if ";" in text:
        raise BadValue("BadCookie", "an attribute of a cookie has no semicolon")
    return syntax.word(text.replace("%", "%%"))[1:-1]


# ------------------------------------------------------------------ protocol


def protocol(draft: Draft, policy: Policy, upstream: Upstream, certificate: Certificate | None) -> None:
    """What the servers speak, over TLS or not.  Raises BadValue."""
    words = []
    if policy.protocol in ("https", "grpcs"):
        words += tls(draft, policy.upstream_tls or UpstreamTls(), upstream, certificate)
    if policy.protocol in ("grpc", "grpcs"):
        words.append(Encoded("proto h2"))
    if policy.protocol == "grpcs":
        words.append(Encoded("alpn h2"))
    if policy.protocol == "fcgi":
        draft.add("use-fcgi-app %s", draft.part("fcgi-app", application(policy.fastcgi or FastCgi())))
        words.append(Encoded("proto fcgi"))
    if words:
        draft.add("default-server %s", Encoded(" ".join(words)))


def tls(draft: Draft, wanted: UpstreamTls, upstream: Upstream, certificate: Certificate | None) -> list[Encoded]:
    """The words of a server that is spoken to over TLS.  Raises BadValue."""
    words = [Encoded("ssl")]
    name = wanted.server_name or service_name(upstream)
    if wanted.verify:
        authority = draft.file("certs", "ca.pem", wanted.ca) if wanted.ca else Encoded("@system-ca")
        words += [syntax.rule("verify required ca-file %s verifyhost %s", authority, syntax.host(name))]
    else:
        words.append(Encoded("verify none"))
    if wanted.send_name:
        words.append(syntax.rule("sni str(%s)", syntax.host(name)))
    if certificate:
        pem = draft.file("certs", "pem", certificate.chain + certificate.key)
        # The path of a server's certificate counts from the working directory, unless a bind line has loaded it.
        draft.part("frontend", [Encoded("disabled"), syntax.rule("bind unix@unused ssl crt %s", pem)])
        words.append(syntax.rule("crt %s", pem))
    if wanted.protocols:
        words.append(syntax.tls_versions(wanted.protocols))
    if wanted.ciphers:
        words.append(syntax.rule("ciphers %s", syntax.word(wanted.ciphers)))
    return words


def service_name(upstream: Upstream) -> str:
    """The name that a certificate of an upstream is expected to have when nobody says another one."""
    if upstream.dns:
        return upstream.dns.name.removesuffix(".")
    namespace, _, service = upstream.id.partition(":")[0].partition("/")
    return f"{service}.{namespace}.svc" if service else namespace


def application(fastcgi: FastCgi) -> list[Encoded]:
    """The lines of a FastCGI application.  Raises BadValue."""
    lines = [Encoded("docroot /")]
    if fastcgi.index:
        lines.append(syntax.rule("index %s", syntax.word(fastcgi.index)))
    return lines + [
        syntax.rule("set-param %s %s", syntax.token(name), syntax.text(value))
        for name, value in fastcgi.params
        if value
    ]


# ------------------------------------------------------------------ patience


def patience(draft: Draft, timeouts: Timeouts) -> None:
    """How long the upstream may take."""
    if timeouts.connect is not None:
        draft.add("timeout connect %s", syntax.duration(timeouts.connect))
        draft.add("timeout queue %s", syntax.duration(timeouts.connect))
    if timeouts.read is not None:
        draft.add("timeout server %s", syntax.duration(timeouts.read))
        draft.add("timeout tunnel %s", syntax.duration(timeouts.read))


def further_tries(tries: int) -> int:
    """How many tries come after the first one, where 0 in all means any number."""
    return tries - 1 if tries > 0 else MANY


def once(draft: Draft, retries: Retries | None) -> None:
    """Requests that may do something twice are not sent twice, unless that is wished."""
    if retries is None:
        draft.add("http-request disable-l7-retry if { var(txn.once) -m found }")
    elif "non_idempotent" not in retries.conditions:
        draft.add(f"http-request disable-l7-retry unless {IDEMPOTENT}")


def conditions(names: Iterable[str]) -> Encoded:
    """When HAProxy tries again, in its own words."""
    return Encoded(" ".join(CONDITIONS[each] for each in names if each in CONDITIONS) or "none")


def again(draft: Draft, retries: Retries) -> None:
    """When another server is tried, and how often."""
    words = conditions(retries.conditions)
    draft.add("retries %s", syntax.whole(0 if words == "none" else further_tries(retries.tries)))
    draft.add("retry-on %s", words)
    if "timeout" in retries.conditions:
        draft.add("http-reuse never")  # else first requests use idle connections, and a POST may be lost on one
