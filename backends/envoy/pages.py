"""What is answered in the place of errors, and of an upstream that has nobody."""

from __future__ import annotations

import msgspec

from backends.envoy import syntax
from backends.envoy.choices import is_idle
from backends.envoy.syntax import Format, Json
from backends.envoy.ways import Clusters
from gen.ir import Forward, Policy, Route, Weighted
from gen.policy import ErrorPages, Text, Variable

UNAVAILABLE = 503
ANSWERED = "x-gen-answered"


def instead(route: Route, idle: frozenset[str]) -> Route:
    """The route, or where nobody would answer it, the one to who does so then."""
    fallback, action = route.policy.fallback, route.action
    if not fallback or fallback.upstream in idle or not isinstance(action, Forward) or not is_idle(action, idle):
        return route
    told: tuple[tuple[str, Text], ...] = (
        ("X-Code", (str(UNAVAILABLE),)),
        ("X-Format", (Variable("header", "accept"),)),
        ("X-Original-URI", (Variable("request_uri"),)),
        ("X-Request-ID", (Variable("request_id"),)),
        *((name, (value,)) for name, value in fallback.headers),
    )
    policy = msgspec.structs.replace(
        route.policy,
        request_headers=(*(route.policy.request_headers or ()), *told),
        **dict.fromkeys(WAYS),
    )
    return msgspec.structs.replace(route, action=Forward((Weighted(fallback.upstream),)), policy=policy)


WAYS = (
    *("fallback", "rewrite", "forwarded_prefix", "upstream_host", "canary", "affinity", "hash_by", "hash_subset"),
    *("balance", "protocol", "upstream_tls", "fastcgi", "connection_header", "cookie_rewrites", "redirect_rewrites"),
)
"""What concerns the upstreams of the route, not another one."""


def told(policy: Policy, clusters: Clusters) -> Json:
    """What answers.lua does with errors.  Raises BadValue."""
    pages = policy.error_pages
    if not pages:
        return {}
    asked: Json = {
        "statuses": {str(int(status)): True for status in pages.statuses},
        **({"cluster": clusters.name(pages.upstream)} if pages.upstream else {}),
        "headers": headers(pages),
    }
    return {"pages": asked}


def of_route(policy: Policy) -> Json:
    """What the route tells answers.lua: whether its upstream has answered, whose answers are to be left alone."""
    if not policy.error_pages or policy.error_pages.intercept_upstream:
        return {}
    return {"response_headers_to_add": [syntax.set_header(ANSWERED, Format("%RESPONSE_CODE_DETAILS%"))]}


def headers(pages: ErrorPages) -> list[Json]:
    """What their upstream is told besides what it is always told.  Raises BadValue."""
    return [{"name": syntax.header_name(name), "value": syntax.header_value(value)} for name, value in pages.headers]
