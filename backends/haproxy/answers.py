"""What the request and the answer become on their way: CORS, redirects to HTTPS, headers, paths, cookies."""

from __future__ import annotations

import re

from backends.haproxy import syntax
from backends.haproxy.draft import Draft
from backends.haproxy.routes import inner_target
from backends.haproxy.syntax import Encoded
from gen.policy import (
    CookieRewrite,
    Cors,
    ErrorPages,
    HttpsRedirect,
    Mirror,
    Policy,
    RedirectRewrite,
    Text,
    Variable,
)

HELD = 12_000  # bytes of a body; a buffer has 16 kB, for the headers as well
BODYLESS = "!{ req.hdr(transfer-encoding) -m found } { req.body_size eq 0 }"
ANY_LABEL = "[A-Za-z0-9-]+"


def cross_origin(draft: Draft, cors: Cors) -> None:
    """Preflight requests are answered, all answers tell who may read them.  Raises BadValue."""
    allowed, origin = "", Encoded("'*'")
    if cors.origins:
        draft.add(
            "http-request set-var(txn.origin) req.fhdr(origin) if { req.fhdr(origin) -m reg -i %s }",
            syntax.composed(f"^(?:{'|'.join(map(origin_pattern, cors.origins))})$"),
        )
        allowed, origin = " if { var(txn.origin) -m found }", Encoded("%[var(txn.origin)]")
    preflight = "{ method OPTIONS }" + (" { var(txn.origin) -m found }" if cors.origins else "")
    draft.add(f"http-request set-var(txn.preflight) bool(true) if {preflight}")
    draft.add("http-request return status 204 if { var(txn.preflight) -m found }")
    draft.add(
        "http-after-response set-header Content-Type 'text/plain charset=UTF-8' if { var(txn.preflight) -m found }"
    )
    headers = [
        ("Access-Control-Allow-Origin", origin),
        *([("Access-Control-Allow-Credentials", Encoded("true"))] if cors.credentials else []),
        *((name, syntax.header(value)) for name, value in texts(cors) if value),
        ("Access-Control-Max-Age", Encoded(str(int(cors.max_age)))),
    ]
    for name, value in headers:
        draft.add(f"http-after-response set-header {name} %s{allowed}", value)


def texts(cors: Cors) -> list[tuple[str, str]]:
    """The headers that are set as configured."""
    return [
        ("Access-Control-Allow-Methods", cors.methods),
        ("Access-Control-Allow-Headers", cors.headers),
        ("Access-Control-Expose-Headers", cors.expose),
    ]


def origin_pattern(origin: str) -> str:
    """An origin as a regular expression; `*.` is one label."""
    scheme, found, rest = origin.partition("://*.")
    return f"{re.escape(scheme)}://{ANY_LABEL}\\.{re.escape(rest)}" if found else re.escape(origin)


def to_https(draft: Draft, redirect: HttpsRedirect) -> None:
    """Plain HTTP goes to HTTPS."""
    port = f":{syntax.whole(redirect.port)}" if redirect.port else ""
    cut = "" if redirect.keep_slash else ",regsub(/$,)"
    target = Encoded(f"https://%[var(txn.http_host),regsub(:[0-9]*$,)]{port}%[var(txn.target){cut}]")
    draft.add(
        "http-request return status %s hdr Location '%s' unless { var(txn.scheme) -m str https }",
        syntax.whole(redirect.status),
        target,
    )


# ------------------------------------------------------------------ the request for the upstream


def onwards(draft: Draft, policy: Policy) -> None:
    """The path and the headers that the upstream gets.  Raises BadValue."""
    if policy.upstream_host:
        draft.add("http-request set-header Host %s", syntax.text(policy.upstream_host))
    if policy.auth_basic:
        draft.add("http-request del-header Authorization")
    for name, value in policy.request_headers or ():
        set_header(draft, "http-request", name, value)
    if policy.connection_header:
        draft.add("http-request del-header Upgrade")
        draft.add("http-request set-header Connection %s", syntax.header(policy.connection_header))
    if policy.rewrite is not None:
        if policy.forwarded_prefix:
            set_header(draft, "http-request", "X-Forwarded-Prefix", policy.forwarded_prefix)
        draft.add("http-request set-path %s", syntax.rewritten(policy.rewrite))
    elif policy.forwarded_prefix:
        set_header(draft, "http-request", "X-Forwarded-Prefix", policy.forwarded_prefix)


def limit_body(draft: Draft, limit: int | None) -> None:
    """Too large bodies are refused: those that tell their size here, the others while they pass."""
    if limit is None:
        draft.deny(413, "if { var(txn.too_large) -m found }")
        return
    draft.add("http-request set-var(txn.body_limit) int(%s)", syntax.whole(limit))
    if limit:
        draft.has_limit = True
        draft.deny(413, "if { req.body_size gt %s }", syntax.whole(limit))


def groups(draft: Draft, policy: Policy, regex: str) -> None:
    """The groups of the route's regex that are named anywhere, in variables.  Raises BadValue."""
    used = {piece.argument for piece in pieces_of(policy) if piece.name == "capture"}
    if used:
        draft.add("http-request set-var(txn.decoded) var(txn.path),url_dec")
    for group in sorted(used):
        number = int(syntax.matching(syntax.CAPTURE, group, "the number of a group"))
        if not regex or number > re.compile(regex).groups:
            draft.add(f"http-request set-var(txn.c{number}) str()")
        else:
            draft.add(f"http-request set-var(txn.c{number}) %s", syntax.captured(regex, number))


def pieces_of(policy: Policy) -> list[Variable]:
    """All variables that a policy names."""
    texts: list[Text | None] = [policy.rewrite, policy.forwarded_prefix, policy.upstream_host, policy.hash_by]
    texts += [value for _, value in policy.request_headers or ()]
    for part in (policy.auth_external, policy.mirror):
        texts += [part.host, part.path] if part else []
    if policy.auth_external:
        auth = policy.auth_external
        texts += [auth.signin, auth.request_redirect, auth.cache_key]
        texts += [value for _, value in policy.auth_external.request_headers]
    return [piece for text in texts for piece in text or () if isinstance(piece, Variable)]


def set_header(draft: Draft, stage: str, name: str, value: Text) -> None:
    """A header of this text, or none where it is empty."""
    if value and value != ("",):
        draft.add(f"{stage} set-header %s %s", syntax.token(name), syntax.text(value))
    else:
        draft.add(f"{stage} del-header %s", syntax.token(name))


def copy(draft: Draft, mirror: Mirror) -> None:
    """A copy of the request goes to another upstream.  Raises BadValue."""
    draft.has_script = True
    target = inner_target(mirror.upstream, mirror.tls, mirror.host)
    draft.add("http-request set-var(txn.mirror_backend) str(%s)", target.name)
    draft.add("http-request set-var(txn.mirror_method) method")
    draft.add("http-request set-var-fmt(txn.mirror_host) %s", syntax.text(mirror.host))
    draft.add("http-request set-var-fmt(txn.mirror_path) %s", syntax.text(mirror.path or ("/",)))
    if mirror.body:
        hold_body(draft)
        draft.add("http-request set-var(txn.mirror_body) req.body if { var(txn.whole) -m found }")
        draft.add(f"http-request lua.mirror if {{ var(txn.whole) -m found }} or {BODYLESS}")
    else:
        draft.add("http-request lua.mirror")


def hold_body(draft: Draft) -> None:
    """Wait for a body that fits into a buffer; `txn.whole` tells that it is there."""
    fits = f"{{ req.body_size gt 0 }} {{ req.body_size le {HELD} }}"
    draft.add(f"http-request wait-for-body time 10s if {fits}")
    draft.add(f"http-request set-var(txn.whole) bool(true) if {fits}")


def pages(draft: Draft, pages: ErrorPages) -> None:
    """What is asked for in the place of an error.  Raises BadValue."""
    draft.has_script = True
    told: list[tuple[str, Text]] = [
        ("X-Format", (Variable("header", "accept"),)),
        ("X-Original-URI", (Variable("request_uri"),)),
        ("X-Request-ID", (Variable("request_id"),)),
        ("X-Forwarded-For", (Variable("remote_addr"),)),
        ("X-Real-IP", (Variable("remote_addr"),)),
        ("Host", (Variable("http_host"),)),
        *((name, (value,)) for name, value in pages.headers),
    ]
    if pages.upstream:
        draft.add("http-request set-var(txn.error_backend) str(%s)", inner_target(pages.upstream, False, ()).name)
        hold_body(draft)
        draft.add("http-request set-var(txn.error_body) req.body if { var(txn.whole) -m found }")
    draft.add("http-request set-var(txn.error_method) method")
    draft.add("http-request set-var-fmt(txn.error_path) '/%[query,length,iif(?,)]%[query]'".replace("%", "%%"))
    draft.add("http-request set-var-fmt(txn.error_headers) %s", syntax.header_lines(told))


# ------------------------------------------------------------------ the answer


def backwards(draft: Draft, policy: Policy) -> None:
    """What happens to the answers.  Raises BadValue."""
    if policy.error_pages and policy.error_pages.intercept_upstream:
        statuses = Encoded(" ".join(syntax.whole(status) for status in policy.error_pages.statuses))
        draft.add("http-response set-var(txn.status) status if { status %s }", statuses)
        draft.add("http-response lua.error_page if { var(txn.status) -m found }")
    for cookie in policy.cookie_rewrites or ():
        rewrite_cookie(draft, cookie)
    for redirect in policy.redirect_rewrites or ():
        rewrite_redirect(draft, redirect)


def rewrite_cookie(draft: Draft, rewrite: CookieRewrite) -> None:
    """The Domain or the Path of cookies."""
    old = re.escape(rewrite.old.removeprefix(".") if rewrite.attribute == "domain" else rewrite.old)
    begin, end = (r"\.?", r"(?=\s*(?:;|$))") if rewrite.attribute == "domain" else ("", "")
    draft.add(
        "http-response replace-header Set-Cookie %s %s",
        syntax.composed(rf"^((?i:.*?;\s*{rewrite.attribute}\s*=\s*)){begin}(?i:{old}){end}(.*)$"),
        syntax.substitute(rewrite.new),
    )


def rewrite_redirect(draft: Draft, rewrite: RedirectRewrite) -> None:
    """The beginning of Location, and of the URL in Refresh."""
    new = syntax.substitute(rewrite.new) if all(isinstance(piece, str) for piece in rewrite.new) else None
    old = re.escape(rewrite.old)
    if new is None:
        draft.add("http-request set-var-fmt(txn.redirect) %s", syntax.text(rewrite.new))
        new = Encoded("'\\1%[var(txn.redirect)]\\2'")
    draft.add("http-response replace-header Location %s %s", syntax.composed(f"^(){old}(.*)$"), new)
    draft.add("http-response replace-header Refresh %s %s", syntax.composed(f"^((?i:.*?url=)){old}(.*)$"), new)


def told(draft: Draft, policy: Policy) -> None:
    """The headers of every answer.  Raises BadValue."""
    for name, value in policy.response_headers or ():
        set_header(draft, "http-after-response", name, (value,))
