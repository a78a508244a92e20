"""A route with policies as the lines of its locations.

nginx runs rewriting (`set`, `if`, `return`, `rewrite`) before limits, access and content, so answers come in this
order: the preflight, a refusal, a redirect, HTTPS, no endpoints; then limits, access, the body, the upstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from backends.nginx import access, answers, choice, phrases, snippets, tuning
from backends.nginx.parts import Parts, Target, Zone, reaching
from backends.nginx.phrases import directive
from backends.nginx.syntax import NOTHING, Word, literal
from gen.policy import ClientCertificate

UPSTREAM_HOST = Word("$gen_upstream_host")


class Written(Struct, frozen=True):
    """The lines of the locations of a route, and what they need elsewhere."""

    lines: Sequence[Word] = ()
    maps: Sequence[Word] = ()
    locations: Sequence[Word] = ()
    files: Mapping[str, bytes] = {}
    zones: Sequence[Zone] = ()
    variables: int = 0
    is_own: bool = False


class Plain(Struct, frozen=True):
    """What the action of a route is without its policies.

    Shape: `answer` are the lines of an answer by the proxy itself, `is_late` one that comes after the access phase.
    Else `target` is what to pass to, and `before` makes it; `groups` are all that it may be.
    """

    answer: Sequence[Word] = ()
    is_late: bool = False
    before: Sequence[Word] = ()
    target: Word = Word()
    groups: Sequence[tuple[Word, Target]] = ()
    is_fallback: bool = False


def write(parts: Parts, plain: Plain, certificates: Mapping[str, Word]) -> Written:
    """The lines of the locations of a route.  Raises: BadValue for what nginx cannot hold."""
    route = parts.route
    module = tuning.module_of(route.policy.protocol)
    _host(parts)
    _captures(parts)
    if route.policy.response_headers:
        answers.response_headers(parts, route.policy.response_headers)
    is_answered = plain.answer and not plain.is_late
    final = list(plain.answer) if is_answered else _content(parts, plain, module, certificates)
    if route.policy.cors:
        answers.cors(parts, route.policy.cors)
    _finish(parts)
    if route.policy.directives:
        snippets.route(parts, route.policy.directives)
        final = snippets.without(final, route.policy.directives)
    lines = [*parts.first, *parts.checks, *parts.lines, *parts.response_lines()]
    lines += [*parts.request_lines(module), *parts.hiding_lines(module), *parts.last, *final]
    return Written(lines, parts.maps, parts.locations, parts.files, parts.zones, parts.variables, parts.is_own)


def _content(parts: Parts, plain: Plain, module: str, certificates: Mapping[str, Word]) -> list[Word]:
    policy = parts.route.policy
    if policy.https_redirect:
        answers.https_redirect(parts, policy.https_redirect)
    if policy.error_pages:
        answers.error_pages(parts, policy.error_pages)
    if plain.answer:
        access.access(parts)
        place = parts.name("answer")
        parts.locations += phrases.block(Word(f"location @{place}"), [*parts.response_lines(), *plain.answer])
        return [Word("root none;"), Word(f"try_files /none @{place};")]
    parts.checks += plain.before
    main = plain.groups[0][0] if policy.canary and len(plain.groups) == 2 else NOTHING
    more, reached = reaching(_chosen(parts, plain), [each for _, each in plain.groups], main)
    parts.checks += more
    access.access(parts)
    _upstream(parts, module, certificates)
    if policy.mirror:
        answers.mirror(parts, policy.mirror)
    if plain.is_fallback and policy.fallback:
        parts.sent |= answers.error_headers(503, policy.fallback.headers)
    elif policy.rewrite is not None:
        match = parts.match
        pattern = literal(f"(?i)^{match.path}" if match.kind == "regex" else "^")
        parts.last.append(directive("rewrite", pattern, phrases.path_text(policy.rewrite), Word("break")))
    return [tuning.passing(policy.protocol, reached)]


def _chosen(parts: Parts, plain: Plain) -> Word:
    """What to pass to."""
    policy, target, groups = parts.route.policy, plain.target, list(plain.groups)
    if policy.canary and len(groups) == 2:
        target = choice.canary(parts, policy.canary, groups[0][0], groups[1][0])
    if policy.affinity:
        return choice.affinity(parts, policy.affinity, Word(target.strip('"')), groups)
    if policy.hash_by is not None:
        choice.hashed(parts)
    return Word(target.strip('"'))


def _host(parts: Parts) -> None:
    """The headers by which the upstream learns of a client's certificate."""
    rule = parts.host.policy.client_certificate
    if rule:
        parts.sent |= client_headers(rule)


def client_headers(rule: ClientCertificate) -> dict[str, Word]:
    """What the upstream is told of the client's certificate."""
    headers = {
        "ssl-client-verify": Word("$ssl_client_verify"),
        "ssl-client-subject-dn": Word("$ssl_client_s_dn"),
        "ssl-client-issuer-dn": Word("$ssl_client_i_dn"),
    }
    return {**headers, "ssl-client-cert": Word("$ssl_client_escaped_cert")} if rule.pass_upstream else headers


def _captures(parts: Parts) -> None:
    """What may hold captures of the location's regex is set before any map can overwrite them."""
    policy = parts.route.policy
    if policy.upstream_host is not None:
        parts.first.append(directive("set", UPSTREAM_HOST, phrases.text(policy.upstream_host)))
    if policy.forwarded_prefix is not None:
        prefix = parts.variable("prefix")
        parts.first.append(directive("set", prefix, phrases.text(policy.forwarded_prefix)))
        parts.sent["X-Forwarded-Prefix"] = prefix
    for number, (name, text) in enumerate(policy.request_headers or ()):
        kept = parts.variable(f"header{number}")
        parts.first.append(directive("set", kept, phrases.text(text)))
        parts.sent[name] = kept
    if policy.connection_header:
        parts.sent["Connection"] = phrases.plain(policy.connection_header)


def _upstream(parts: Parts, module: str, certificates: Mapping[str, Word]) -> None:
    """How the upstream is spoken to."""
    policy = parts.route.policy
    answers.rewrites(parts, module)
    if policy.timeouts:
        parts.lines += tuning.timeouts(policy.timeouts, module)
    if policy.retries:
        parts.lines += tuning.retries(policy.retries, module)
    if policy.buffering:
        parts.lines += tuning.buffering(policy.buffering, module)
    if policy.upstream_tls and policy.protocol in {"https", "grpcs", "as_client"}:
        parts.lines += tuning.tls(parts, policy.upstream_tls, module, dict(certificates))
    if module == "fastcgi":
        parts.lines += tuning.fastcgi(policy.fastcgi)
    if policy.http_version and module == "proxy":
        parts.lines.append(directive("proxy_http_version", phrases.plain(policy.http_version)))
    if policy.bandwidth:
        parts.lines.append(directive("limit_rate", policy.bandwidth.rate))
        parts.lines.append(directive("limit_rate_after", policy.bandwidth.after))
        if not (policy.buffering and policy.buffering.response is not None) and module == "proxy":
            parts.lines.append(Word("proxy_buffering on;"))


def _finish(parts: Parts) -> None:
    """What needs no phase."""
    policy = parts.route.policy
    if policy.body_limit is not None:
        parts.lines.append(directive("client_max_body_size", policy.body_limit))
    if policy.access_log is False:
        parts.lines.append(Word("access_log off;"))
