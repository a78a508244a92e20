"""How often a client may ask: buckets that the routes of a zone share, one for each address.

The buckets belong to the route table, since routes of several hosts may share them; a new table begins with full ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from backends.envoy import syntax
from backends.envoy.filters import HTTP
from backends.envoy.networks import RBAC, SHADOW, one_of, per_route, rules
from backends.envoy.syntax import Json
from gen.errors import BadValue
from gen.ir import Host, Policy
from gen.policy import RateLimit

EXEMPT, LIMIT = "gen.exempt", "gen.limit"
MOST_CLIENTS = 16384  # as many addresses as nginx keeps in a megabyte; then the one that asked last is forgotten first
PLENTY = 2**32 - 1
ALWAYS: Json = {"default_value": {"numerator": 100}}

CHAIN: list[Json] = [
    {"name": EXEMPT, "typed_config": {"@type": RBAC, "shadow_rules_stat_prefix": SHADOW}},
    {"name": LIMIT, "typed_config": {"@type": f"{HTTP}local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limit"}},
]
"""Filters that do nothing unless the route table says so."""


def limits_of(host: Host) -> frozenset[RateLimit]:
    """The limits of the routes of a host."""
    return frozenset(limit for route in host.routes for limit in route.policy.rate_limits or ())


def of_table(limits: Iterable[RateLimit]) -> Json:
    """All buckets: an entry of the route table's `typed_per_filter_config`.  Raises BadValue."""
    known = sorted(set(limits), key=zone)
    if not known:
        return {}
    config = {
        "@type": f"{HTTP}local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "status": {"code": known[0].status},  # one for all: it is an option of the proxy
        "token_bucket": {"max_tokens": PLENTY, "tokens_per_fill": PLENTY, "fill_interval": "1s"},
        "filter_enabled": ALWAYS,
        "filter_enforced": ALWAYS,
        "always_consume_default_token_bucket": False,
        "max_dynamic_descriptors": MOST_CLIENTS,
        "descriptors": [descriptor(limit) for limit in known],
    }
    return {LIMIT: config}


def descriptor(limit: RateLimit) -> Json:
    """A bucket for each address."""
    bucket = {
        "max_tokens": limit.burst + 1,
        "tokens_per_fill": limit.rate,
        "fill_interval": syntax.duration(limit.period),
    }
    entries = [{"key": "zone", "value": zone(limit)}, {"key": "remote_address"}]
    if limit.exempt:
        entries.append({"key": "limited", "value": "allowed"})
    return {"entries": entries, "token_bucket": bucket}


def zone(limit: RateLimit) -> str:
    """The name of a zone, which two limits of one zone that differ do not share."""
    return f"{syntax.plain(limit.zone)} {limit.rate}/{limit.period} {limit.burst} {bool(limit.exempt)}"


def of_route(policy: Policy) -> Json:
    """Which buckets a request takes from: `rate_limits` of the action of its route."""
    return {"rate_limits": [{"actions": actions(limit)} for limit in policy.rate_limits]} if policy.rate_limits else {}


def actions(limit: RateLimit) -> list[Json]:
    """What makes the descriptor of a request; there is none for a client that is exempt."""
    made: list[Json] = [
        {"generic_key": {"descriptor_key": "zone", "descriptor_value": zone(limit)}},
        {"remote_address": {}},
    ]
    if limit.exempt:
        key = {"key": "envoy.filters.http.rbac", "path": [{"key": f"{SHADOW}shadow_engine_result"}]}
        made.append({"metadata": {"descriptor_key": "limited", "metadata_key": key, "source": "DYNAMIC"}})
    return made


def per_filter(policy: Policy) -> Json:
    """The filter that says who is limited at all.  Raises BadValue."""
    exempt = {limit.exempt for limit in policy.rate_limits or ()}
    if len(exempt) > 1:
        raise BadValue("LimitsDiffer", "the limits of one route exempt the same networks")
    if not any(exempt):
        return {}
    return {EXEMPT: per_route(shadow_rules=rules("limited", [{"not_id": one_of(exempt.pop())}]))}
