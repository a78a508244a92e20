"""Where redirects lead: told to answers.lua, for no format of Envoy can make all of them.

Text of tenants stays plain text there: it gets into no format and no code.
"""

from __future__ import annotations

from backends.envoy.syntax import Json, bounded, header_value
from gen.errors import BadValue
from gen.ir import Match, Redirect


def redirect(action: Redirect) -> Json:
    """What answers.lua is told of a redirect.  Raises BadValue."""
    if not 300 <= action.status <= 308:
        raise BadValue("InvalidStatus", f"expected a status from 300 to 308, got {action.status}")
    return {"status": str(action.status), **target(action)}


def target(action: Redirect) -> Json:
    """Where it leads: a `url` that is complete from the scheme or the path on, or what differs from the request's."""
    told: Json = {name: True for name in ("cut_slash", "is_relative") if getattr(action, name)}
    if action.host:
        told["host"] = header_value(action.host)
    if action.url:
        if not action.url.startswith(("http://", "https://")):
            raise BadValue("InvalidUrl", "expected an absolute http or https URL")
        return {"url": header_value(action.url)}
    path = Match("exact", bounded(action.path)).encoded
    query = None if action.query is None else header_value(action.query)
    if path and query is not None:
        return told | {"url": f"{path}?{query}" if query else path}
    return told | ({"path": path} if path else {}) | ({} if query is None else {"query": query})
