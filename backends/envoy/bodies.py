"""How large the body of a request may be, and how fast that of an answer goes.

A request that says how long it is is judged by request.lua before anything else, as nginx does it, and is not held.
One that does not say has to be taken in whole before it goes on.  Upgraded connections have no bodies.
"""

from __future__ import annotations

from backends.envoy.filters import EXTENSION, HTTP
from backends.envoy.syntax import Json
from gen.ir import NO_POLICY, Options, Policy, Redirect, Route

REQUEST, BODY, SPEED = "gen.request", "gen.body", "gen.speed"
HELD = 64 << 20  # bytes in memory for one request, whatever its route allows
BUFFER = f"{HTTP}buffer.v3.Buffer"


def has(header: str) -> Json:
    """The predicate that a request has a header."""
    value = {"@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": header}
    return {
        "single_predicate": {
            "input": {"name": "request-headers", "typed_config": value},
            "value_match": {"safe_regex": {"google_re2": {}, "regex": "(?s:.*)"}},
        }
    }


SKIP: Json = {"name": "skip", "typed_config": {"@type": f"{EXTENSION}filters.common.matcher.action.v3.SkipFilter"}}
SKIPPED: Json = {"predicate": {"or_matcher": {"predicate": [has("content-length"), has("upgrade")]}}}
LIMIT: Json = {
    "name": BODY,
    "typed_config": {
        "@type": f"{EXTENSION}common.matching.v3.ExtensionWithMatcher",
        "xds_matcher": {"matcher_list": {"matchers": [SKIPPED | {"on_match": {"action": SKIP}}]}},
        "extension_config": {"name": BODY, "typed_config": {"@type": BUFFER, "max_request_bytes": HELD}},
    },
}
CHAIN: list[Json] = [
    {"name": SPEED, "typed_config": {"@type": f"{HTTP}fault.v3.HTTPFault"}},
    LIMIT,
]
"""Filters that do nothing unless the route, or the route table, says so."""


def of_table(options: Options) -> Json:
    """What holds for all routes that do not say otherwise: an entry of `typed_per_filter_config`."""
    return {BODY: held(options.body_limit)}


def of_route(route: Route) -> Json:
    """What request.lua is told of one route, which it chooses itself: the `metadata` of the route."""
    if route.policy is NO_POLICY or route.policy.body_limit is None or isinstance(route.action, Redirect):
        return {}
    return {"metadata": {"filter_metadata": {REQUEST: {"body_limit": route.policy.body_limit}}}}


def per_filter(policy: Policy) -> Json:
    """What the filters do for one route."""
    entries: Json = {}
    if policy.body_limit is not None:
        entries[BODY] = held(policy.body_limit)
    elif policy.protocol in ("grpc", "grpcs"):
        entries[BODY] = held(0)  # a stream that goes both ways would wait for ever
    if policy.bandwidth:
        rate = {"fixed_limit": {"limit_kbps": max(policy.bandwidth.rate // 1024, 1)}, "percentage": {"numerator": 100}}
        entries[SPEED] = {"@type": f"{HTTP}fault.v3.HTTPFault", "response_rate_limit": rate}
    return entries


def held(limit: int) -> Json:
    """How much of a request of unknown length is taken in; 0: it passes."""
    if not limit:
        return {"@type": f"{BUFFER}PerRoute", "disabled": True}
    return {"@type": f"{BUFFER}PerRoute", "buffer": {"max_request_bytes": min(limit, HELD)}}
