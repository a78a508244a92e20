"""What upstream.lua is told of a route: what a request becomes for its upstream."""

from __future__ import annotations

from backends.envoy import syntax
from backends.envoy.syntax import Json
from gen.ir import Forward, Route
from gen.policy import Text, Variable


def per_filter(route: Route) -> Json:
    """The entry for upstream.lua, if it has anything to do.  Raises BadValue."""
    if not isinstance(route.action, Forward):
        return {}
    asked: Json = {}
    if is_made(route.policy.upstream_host):
        asked["host"] = syntax.text(route.policy.upstream_host or ())
    return syntax.told("upstream", **asked) if asked else {}


def is_made(text: Text | None) -> bool:
    """Whether a text depends on the request."""
    return any(isinstance(piece, Variable) for piece in text or ())
