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


def per_route(field: str, name: str, principals: list[Json]) -> Json:
    """What an RBAC filter does for a route: let those pass for whom all principals are true."""
    policy = {"permissions": [ANYTHING], "principals": [{"and_ids": {"ids": principals}}]}
    rules = {"action": "ALLOW", "policies": {name: policy}}
    return {"@type": f"{RBAC}PerRoute", "rbac": {field: rules, "shadow_rules_stat_prefix": SHADOW}}
