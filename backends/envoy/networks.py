"""Networks and other signs, as filters judge by them: principals of RBAC."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from backends.envoy.filters import HTTP
from backends.envoy.syntax import Json
from gen.errors import BadValue

RBAC = f"{HTTP}rbac.v3.RBAC"
SHADOW = "gen_"
"""The beginning of what an RBAC filter tells of its shadow rules."""
ANYTHING: Json = {"any": True}


def one_of(cidrs: Sequence[str]) -> Json:
    """The principal that comes from one of some networks; nobody where there are none.  Raises BadValue."""
    if not cidrs:
        return {"not_id": ANYTHING}
    return {"or_ids": {"ids": [{"remote_ip": cidr(each)} for each in cidrs]}}


def cidr(text: str) -> Json:
    """A CidrRange.  Raises BadValue."""
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise BadValue("NetworkInvalid", f"{text[:80]!r} is not a network") from error
    return {"address_prefix": str(network.network_address), "prefix_len": network.prefixlen}


def rules(name: str, principals: list[Json]) -> Json:
    """Rules of an RBAC filter that let those pass for whom all principals are true."""
    policy = {"permissions": [ANYTHING], "principals": [{"and_ids": {"ids": principals}}]}
    return {"action": "ALLOW", "policies": {name: policy}}


def per_route(**fields: Json) -> Json:
    """What an RBAC filter does for a route: its `rules`, and `shadow_rules` of which it only says what they come to."""
    return {"@type": f"{RBAC}PerRoute", "rbac": {**fields, "shadow_rules_stat_prefix": SHADOW}}


def told_value(name: str, value: str) -> Json:
    """The principal of whom one of our scripts has told something."""
    matcher = {"filter": "gen", "path": [{"key": name}], "value": {"string_match": {"exact": value}}}
    return {"sourced_metadata": {"metadata_matcher": matcher}}
