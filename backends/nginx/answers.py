"""What the client gets: cross-origin headers, other headers, cookies, redirects, pages for errors."""

from __future__ import annotations

import re

from backends.nginx import phrases
from backends.nginx.access import sub_request
from backends.nginx.parts import Parts
from backends.nginx.phrases import answer_if, directive
from backends.nginx.syntax import NOTHING, Word, literal, value
from gen.policy import Cors, ErrorPages, HttpsRedirect, Mirror


def cors(parts: Parts, policy: Cors) -> None:
    """Headers for allowed origins, and the answer to their OPTIONS requests."""
    values = [
        ("Access-Control-Allow-Origin", Word('"*"')),
        ("Access-Control-Allow-Credentials", value("true") if policy.credentials else NOTHING),
        ("Access-Control-Allow-Methods", value(policy.methods)),
        ("Access-Control-Allow-Headers", value(policy.headers)),
        ("Access-Control-Expose-Headers", value(policy.expose) if policy.expose else NOTHING),
        ("Access-Control-Max-Age", value(str(policy.max_age))),
    ]
    condition = Word("$request_method = OPTIONS")
    if policy.origins:
        origin = parts.map(Word("$http_origin"), "origin", phrases.EMPTY,
                           [(_origin(each), Word("$http_origin")) for each in policy.origins])  # fmt: skip
        values = [
            (name, word and parts.map(origin, f"cors{number}", word, [(phrases.EMPTY, phrases.EMPTY)]))
            for number, (name, word) in enumerate(values)
        ]
        values[0] = (values[0][0], origin)
        asked = parts.map(Word(f'"$request_method:{origin}"'), "preflight", phrases.EMPTY,
                          [(Word('"~^OPTIONS:."'), Word("1"))])  # fmt: skip
        condition = asked
    parts.added += [(name, word) for name, word in values if word]
    parts.hidden += [name for name, _ in values]
    plain = (("Content-Type", Word('"text/plain charset=UTF-8"')), ("Content-Length", Word("0")))
    parts.checks = [*answer_if(condition, *parts.response_lines(plain), Word("return 204;")), *parts.checks]


def _origin(origin: str) -> Word:
    """A pattern for one origin; `*.` stands for one label."""
    pattern = re.escape(origin).replace(r"://\*\.", r"://[A-Za-z0-9_-]+\.")
    return literal(f"~*^{pattern}$")


def https_redirect(parts: Parts, redirect: HttpsRedirect) -> None:
    """Plain requests are sent to HTTPS."""
    port = f":{redirect.port}" if redirect.port and redirect.port != 443 else ""
    target = "$request_uri" if redirect.keep_slash else "$gen_target_without_slash"
    url = Word(f'"https://{parts.base.host}{port}{target}"')
    answer = [Word(f"return {int(redirect.status)} {url};")]
    parts.checks += answer_if(Word(f"{parts.base.scheme} = http"), *answer)


def response_headers(parts: Parts, headers: tuple[tuple[str, str], ...]) -> None:
    """Headers in the place of the upstream's."""
    parts.added += [(name, value(text)) for name, text in headers]
    parts.hidden += [name for name, _ in headers]


def rewrites(parts: Parts, module: str) -> None:
    """Cookies and redirects of the upstream; only nginx's HTTP proxy can change them."""
    if module != "proxy":
        return
    for cookie in parts.route.policy.cookie_rewrites or ():
        parts.lines.append(directive(f"proxy_cookie_{cookie.attribute}", _beginning(cookie.old), value(cookie.new)))
    for each in parts.route.policy.redirect_rewrites or ():
        parts.lines.append(directive("proxy_redirect", _beginning(each.old), phrases.text(each.new)))


def _beginning(old: str) -> Word:
    """What is replaced; words with a meaning of their own become patterns."""
    return literal(f"~^{re.escape(old)}") if old.startswith("~") or old in {"off", "default"} else value(old)


def error_pages(parts: Parts, pages: ErrorPages) -> None:
    """One internal location a status, since the upstream is told which it was."""
    if pages.intercept_upstream:
        parts.lines.append(Word("proxy_intercept_errors on;"))
    target = parts.targets[pages.upstream] if pages.upstream else None
    for status in pages.statuses:
        place = parts.name(f"error{int(status)}")
        parts.lines.append(Word(f"error_page {int(status)} = @{place};"))
        lines = [Word("internal;"), Word("proxy_intercept_errors off;"), *parts.response_lines()]
        if target is None:
            answer = [Word("return 404;")]
        else:
            answer = parts.request_lines("proxy", error_headers(status, pages.headers))
            answer += parts.hiding_lines("proxy")
            answer += sub_request(target, Word("/$is_args$args"), has_lua=parts.base.has_lua)
        parts.locations += phrases.block(Word(f"location @{place}"), lines + answer)


def error_headers(status: int, more: tuple[tuple[str, str], ...]) -> dict[str, Word]:
    """What the upstream for errors is told."""
    own = {
        "X-Code": Word(str(int(status))),
        "X-Format": Word("$http_accept"),
        "X-Original-URI": Word("$request_uri"),
        "X-Request-ID": Word("$gen_request_id"),
    }
    return {**own, **{name: value(text) for name, text in more}}


def mirror(parts: Parts, copy: Mirror) -> None:
    """A copy for another upstream."""
    place = parts.name("mirror")
    parts.lines += [directive("mirror", place), directive("mirror_request_body", phrases.on(copy.body))]
    lines = [Word("internal;"), Word("log_subrequest off;")]
    lines.append(directive("proxy_set_header", Word("Host"), phrases.text(copy.host)))
    if not copy.body:
        lines += [Word("proxy_pass_request_body off;"), Word('proxy_set_header Content-Length "";')]
    target, path = parts.targets[copy.upstream], phrases.text(copy.path)
    lines += sub_request(target, path, tls=copy.tls, name=copy.host, has_lua=parts.base.has_lua)
    parts.locations += phrases.block(Word(f"location = {place}"), lines)
