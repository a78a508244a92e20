"""Redirects: told to request.lua by the metadata of their route, for no format of Envoy can make all of them.

Text of tenants stays plain text there: it gets into no format and no code.
"""

from __future__ import annotations

from backends.envoy.syntax import Json, bounded, header_value
from gen.errors import BadValue
from gen.ir import Match, Redirect

SCRIPT_METADATA = "envoy.filters.http.lua"


def redirect(action: Redirect) -> Json:
    """What the Route of a redirect has besides its match.  Raises BadValue."""
    if not 300 <= action.status <= 308:
        raise BadValue("InvalidStatus", f"expected a status from 300 to 308, got {action.status}")
    told = {"status": str(action.status), **(complete(action.url) if action.url else partial(action))}
    return {
        "metadata": {"filter_metadata": {SCRIPT_METADATA: {"redirect": told}}},
        "direct_response": {"status": action.status},
    }


def complete(url: str) -> Json:
    """A Location that is sent as it is."""
    if not url.startswith(("http://", "https://")):
        raise BadValue("InvalidUrl", "expected an absolute http or https URL")
    return {"url": header_value(url)}


def partial(action: Redirect) -> Json:
    """What differs from the URL of the request."""
    told: Json = {}
    if action.path:
        told["path"] = Match("exact", bounded(action.path)).encoded
    if action.query is not None:
        told["query"] = header_value(action.query)
    if action.host:
        told["host"] = header_value(action.host)
    return told | {name: True for name in ("cut_slash", "is_relative") if getattr(action, name)}
