"""What holds for the whole proxy, from the optional fields of the options: lines for the head."""

from __future__ import annotations

from typing import Any

from backends.haproxy import reach, syntax
from backends.haproxy.answers import set_header
from backends.haproxy.draft import Draft
from backends.haproxy.syntax import Encoded
from gen.ir import Options
from gen.policy import Forwarded, Gzip

HOPS = 10  # trusted proxies that one address list may name
CLAIMS = (
    ("scheme", "x-forwarded-proto", "-m reg ^[A-Za-z][A-Za-z0-9+.-]{0,31}$"),
    ("http_host", "x-forwarded-host", "-m len gt 0"),
    ("port", "x-forwarded-port", "-m reg ^[0-9]{1,5}$"),
)
"""What another proxy may say: the variable, the header and what it has to look like."""
OLDEST = Encoded("ssl-min-ver TLSv1.2")
HSTS = "Strict-Transport-Security"
EVERYBODY = frozenset(("0.0.0.0/0", "::/0"))


def values(options: Options, files: dict[str, bytes]) -> dict[str, Any]:
    """What the template of the head prints; `files` gets what these lines name.  Raises BadValue."""
    early, beliefs, late = Draft(), Draft(), Draft()
    forwarded = options.forwarded or Forwarded()
    trusts_everybody = options.proxy_protocol is not None and not EVERYBODY.isdisjoint(options.proxy_protocol)
    if options.proxy_protocol and not trusts_everybody:
        trusted = early.networks(options.proxy_protocol)
        early.add("tcp-request connection expect-proxy layer4 if { src -f %s }", trusted)
    if options.access_log:
        early.add("log stdout format raw local0")
        early.add("option httplog")
    if options.gzip:
        compress(early, options.gzip)
    if forwarded.append:
        early.add("http-request set-var(txn.peer) src")
    if forwarded.networks:
        address(early, forwarded)
    block(early, options)
    answers(early, options)
    if options.proxy_protocol is not None:
        beliefs.add("http-request set-var(txn.port) dst_port")
        beliefs.add("http-request set-var(txn.scheme) str(https) if { dst_port 443 }")
    if forwarded.headers:
        for variable, header, test in CLAIMS:
            claim = f"req.hdr({header},1)"
            beliefs.add(f"http-request set-var(txn.{variable}) {claim} if {{ {claim} {test} }}")
    for name, value in options.request_headers or ():
        set_header(late, "http-request", name, value)
    for draft in (early, beliefs, late):
        files |= draft.files
    return {
        "early": early.lines,
        "beliefs": beliefs.lines,
        "late": late.lines,
        "believes": bool(beliefs.lines or late.lines),
        "append": forwarded.append,
        "accept_proxy": trusts_everybody,
        "strict": options.reject_unknown_names,
        "tls_versions": syntax.tls_versions(options.tls_protocols) if options.tls_protocols else OLDEST,
        "tickets": options.tls_session_tickets,
        "ciphers": options.tls_ciphers and syntax.word(options.tls_ciphers),
        "http1": options.http2 is False,
        "http2_streams": options.http2_streams,
        "max_connections": options.max_connections,
        "underscores": options.underscores_in_headers,
        "request_id": options.request_id is not False,
        "repeats_all": "non_idempotent" in (options.retry_conditions or ()),
        "retry_on": None if options.retry_conditions is None else reach.conditions(options.retry_conditions),
        "header_timeout": syntax.duration(options.header_timeout or options.send_timeout),
        "body_timeout": syntax.duration(options.body_timeout or options.send_timeout),
    }


def compress(draft: Draft, gzip: Gzip) -> None:
    """Compression; HAProxy does so from the first byte on."""
    types = sorted({"text/html", *gzip.types})
    draft.add("compression algo gzip")
    draft.add("compression type %s", Encoded(" ".join(syntax.word(each) for each in types)))


def address(draft: Draft, forwarded: Forwarded) -> None:
    """The client is the last address in the list that is not one of the trusted ones."""
    name = syntax.token(forwarded.address_header)
    if not EVERYBODY.isdisjoint(forwarded.networks):
        draft.add("http-request set-src req.hdr_ip(%s,1) if { req.hdr_ip(%s,1) -m found }", name, name)
        return
    trusted = draft.networks(forwarded.networks)
    for hop in range(1, HOPS + 1):
        found = f"{{ req.hdr_ip(%s,-{hop}) -m found }}"
        draft.add(f"http-request set-src req.hdr_ip(%s,-{hop}) if {{ src -f %s }} {found}", name, trusted, name)


def block(draft: Draft, options: Options) -> None:
    """Who is not let in at all."""
    if options.block_networks:
        draft.deny(403, "if { src -f %s }", draft.networks(options.block_networks))
    for header, texts in (("user-agent", options.block_user_agents), ("referer", options.block_referers)):
        for is_regex, text in texts or ():
            kind = "reg" if is_regex else "str"
            encoded = syntax.searched(text) if is_regex else syntax.word(text)
            draft.deny(403, f"if {{ req.fhdr({header}) -m {kind} -i -- %s }}", encoded)


def answers(draft: Draft, options: Options) -> None:
    """The headers of all answers."""
    for name in options.hidden_headers or ():
        draft.add("http-response del-header %s", syntax.token(name))
    if options.hsts:
        draft.add(f"http-after-response set-header {HSTS} %s if {{ ssl_fc }}", syntax.header(options.hsts))
    for name, value in options.response_headers or ():
        set_header(draft, "http-after-response", name, (value,))
