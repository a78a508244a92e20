"""Who may pass: limits, networks, passwords, the word of another service; each one closes when in doubt.

The order is ingress-nginx's: how often, from where, who.  What access.lua grants is told to the filter after it, which
lets nobody else pass.
"""

from __future__ import annotations

import re

from backends.envoy import clients, syntax
from backends.envoy.filters import script
from backends.envoy.networks import RBAC, SHADOW, one_of, per_route, rules, told_value
from backends.envoy.syntax import Json
from backends.envoy.ways import Clusters, way_of_our_own
from gen.ir import NO_POLICY, Redirect, Route
from gen.policy import ClientCertificate, ExternalAuth, Policy

NETWORKS, GRANTED = "gen.networks", "gen.granted"
HASH = re.compile(
    r"\$2[aby]\$(?:0[4-9]|1[0-2])\$[./0-9A-Za-z]{53}"
    r"|\$(?:apr)?1\$[./0-9A-Za-z]{0,8}\$[./0-9A-Za-z]{22}"
    r"|\$5\$(?:rounds=[0-9]{1,5}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}"
    r"|\$6\$(?:rounds=[0-9]{1,5}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}"
    r"|\{S?SHA\}[A-Za-z0-9+/]{27,200}={0,2}|\{PLAIN\}.+"
)
"""What passwords.lua compares, as long as it does not keep a worker for seconds."""

ANSWER_WITHIN = 60.0  # seconds, where a stream may stand still for ever
IN_TIME = 0.9  # an answer that comes late is told before Envoy gives the stream up, which stands still meanwhile

CHAIN: list[Json] = [
    {"name": NETWORKS, "typed_config": {"@type": RBAC, "shadow_rules_stat_prefix": SHADOW}},
    script("access"),
    {"name": GRANTED, "typed_config": {"@type": RBAC}},
]
"""Filters that do nothing unless the route says so."""


def per_filter(route: Route, clusters: Clusters, client: ClientCertificate | None) -> Json:
    """The entries for these filters, where a host asks for certificates or not.  Raises BadValue."""
    policy = route.policy
    if (policy is NO_POLICY and not client) or isinstance(route.action, Redirect):
        return {}
    asked = passwords(policy) | another_service(policy, clusters)
    is_any = bool(policy.satisfy_any and asked)
    entries = networks(policy, client, is_shadow=is_any)
    if asked:
        if is_any:
            asked |= {"any": True, "networks": policy.allow is not None}
        entries |= syntax.told("access", **asked)
        entries[GRANTED] = per_route(rules=rules("access", [told_value("access", "granted")]))
    return entries


# ------------------------------------------------------------------ networks


def networks(policy: Policy, client: ClientCertificate | None, *, is_shadow: bool) -> Json:
    """The filter of networks and of certificates; of networks in its shadow it only says what it thinks.

    Raises: BadValue.
    """
    near: list[Json] = []
    if policy.allow is not None:
        near.append(one_of(policy.allow))
    if policy.deny:
        near.append({"not_id": one_of(policy.deny)})
    wanted = [*(clients.kept(client) if client else ()), *(() if is_shadow else near)]
    fields = {"rules": rules("passes", wanted)} if wanted else {}
    if is_shadow and near:
        fields["shadow_rules"] = rules("networks", near)
    return {NETWORKS: per_route(**fields)} if fields else {}


# ------------------------------------------------------------------ passwords, another service


def passwords(policy: Policy) -> Json:
    """What access.lua is told of users: each under its own name, so that it reads only one.

    The first line of a name counts.  Raises BadValue.
    """
    if not policy.auth_basic:
        return {}
    realm = policy.auth_basic.realm.replace("\\", "\\\\").replace('"', '\\"')
    users = {name: known for name, known in reversed(policy.auth_basic.users) if HASH.fullmatch(known)}
    return {
        "basic": {"realm": syntax.bounded(realm)},
        **{f"user:{syntax.plain(name)}": syntax.plain(known) for name, known in sorted(users.items())},
    }


def another_service(policy: Policy, clusters: Clusters) -> Json:
    """What access.lua is told of the service that decides.  Raises BadValue."""
    auth = policy.auth_external
    if not auth:
        return {}
    wait = clusters.read_timeout if not policy.timeouts or policy.timeouts.read is None else policy.timeouts.read
    asked: Json = {
        "milliseconds": max(round((wait or ANSWER_WITHIN) * IN_TIME * 1000), 1),
        "cluster": clusters.name(auth.upstream, way_of_our_own(auth.tls, auth.host)),
        "method": syntax.plain(auth.method),
        "host": syntax.text(auth.host),
        "path": syntax.text(auth.path or ("/",)),
        "request_redirect": syntax.text(auth.request_redirect),
        **({"signin": syntax.text(auth.signin)} if auth.signin else {}),
        **({"always_set_cookie": True} if auth.always_set_cookie else {}),
    }
    if auth.response_headers:
        asked["response_headers"] = [syntax.header_name(name) for name in auth.response_headers]
    if auth.request_headers:
        asked["request_headers"] = request_headers(auth)
    return {"external": asked}


def request_headers(auth: ExternalAuth) -> list[Json]:
    """The headers that the service gets besides those that it always gets.  Raises BadValue."""
    return [{"name": syntax.header_name(name), "value": syntax.text(value)} for name, value in auth.request_headers]
