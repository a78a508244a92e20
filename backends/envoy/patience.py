"""How long an upstream may take, and when another endpoint is tried."""

from __future__ import annotations

from backends.envoy import onwards, syntax
from backends.envoy.syntax import Json
from gen.ir import Options, Policy
from gen.policy import Retries, literal

BREAKS = "connect-failure,refused-stream,reset-before-request"
"""After these no upstream has seen anything of the request."""

PREVIOUS_HOSTS = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
UNLIMITED_TRIES = 10
"""What stands for 0, which in nginx means: as many as there are endpoints."""


def retries(options: Options) -> Json:
    """What is tried again, whatever the method; request.lua adds resets for those methods that may be repeated."""
    return retry_policy(BREAKS, options.tries)


def retry_policy(reasons: str, tries: int) -> Json:
    """The policy of a virtual host, or of a route."""
    return {
        "retry_on": reasons,
        "num_retries": max(tries - 1, 0),
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": PREVIOUS_HOSTS}}
        ],
        "host_selection_retry_max_attempts": 5,
    }


def of_route(policy: Policy, read_timeout: float) -> Json:
    """What the action of a route says of it, and of the Host for the upstream.  Raises BadValue.

    Shape: `read_timeout` is that of the proxy.
    """
    found: Json = {}
    if policy.upstream_host is not None and not onwards.is_made(policy.upstream_host):
        found["host_rewrite_literal"] = syntax.header_value(literal(policy.upstream_host))
    own = policy.timeouts.read if policy.timeouts else None
    if own is not None:
        found["idle_timeout"] = syntax.duration(own)
    if policy.retries:
        found |= again(policy.retries, read_timeout if own is None else own)
    return found


def again(wanted: Retries, read_timeout: float) -> Json:
    """When another endpoint is tried; answers and broken connections are left to upstream.lua, who knows the method."""
    is_asked = {"error", "timeout"} & set(wanted.conditions)
    tries = (wanted.tries or UNLIMITED_TRIES) if wanted.conditions else 1
    policy = retry_policy(BREAKS if is_asked else "", tries)
    if "timeout" not in wanted.conditions or tries < 2:
        return {"retry_policy": policy}
    one = {"per_try_idle_timeout": syntax.duration(read_timeout)}
    return {"retry_policy": policy | one, "idle_timeout": syntax.duration(read_timeout * (tries + 1))}
