"""What answers.lua is told of a route: how it is answered whoever asks, and what its answers say."""

from __future__ import annotations

from backends.envoy import captures, syntax
from backends.envoy.redirects import redirect
from backends.envoy.syntax import Json
from gen.ir import Redirect, Route


def per_filter(route: Route) -> Json:
    """The entry for answers.lua, if it has anything to do.  Raises BadValue."""
    asked: Json = {}
    if isinstance(route.action, Redirect):
        asked["redirect"] = redirect(route.action)
    if groups := captures.per_filter(route):
        asked["captures"] = True
    return {**(syntax.told("answers", **asked) if asked else {}), **groups}
