"""The HTTP filters that every request passes; the same for every configuration, since a change would drain connections.

What a filter does with a request is told by the route, in `typed_per_filter_config`.  No filter may be switched on
there (`disabled` in the chain and a FilterConfig at the route): Envoy decides that by the path as it was sent, before
request.lua has seen to it that the route is chosen by the canonical one.  A filter that is always on and finds out by
its own configuration what to do gets the right route.
"""

from __future__ import annotations

from backends.envoy.syntax import LUA, Json

EXTENSION = "type.googleapis.com/envoy.extensions."
HTTP = f"{EXTENSION}filters.http."
CAPTURES, SESSION = "gen.captures", "gen.session"


def script(name: str) -> Json:
    """A script that does nothing unless the route names it."""
    config = {"@type": LUA, "source_codes": {name: {"filename": f"{name}.lua"}}, "clear_route_cache": False}
    return {"name": f"gen.{name}", "typed_config": config}


CHOICE: Json = {
    "name": "gen.request",
    "typed_config": {
        "@type": LUA,
        "default_source_code": {"filename": "request.lua"},
        "clear_route_cache": False,
    },
}
GROUPS: Json = {"name": CAPTURES, "typed_config": {"@type": f"{HTTP}header_to_metadata.v3.Config"}}

BEFORE_ACCESS: list[Json] = [CHOICE, script("answers"), GROUPS]
"""Which route, what is answered whoever asks, what the regex of the route found."""

SESSIONS: Json = {"name": SESSION, "typed_config": {"@type": f"{HTTP}stateful_session.v3.StatefulSession"}}

AFTER_ACCESS: list[Json] = [script("upstream"), SESSIONS]
"""What the request becomes for its upstream, and which endpoint gets it; the filters of bodies stand before these."""
