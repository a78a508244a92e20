"""Redirects: Locations that are complete, or made from the URL of the request.

Literal text gets into a Location from the metadata of its route, never through a format.  Where the client's query is
kept, Envoy's own redirect action makes the Location: no format writes a `?` only where there is a query.
"""

from __future__ import annotations

from typing import Any, Final

from backends.envoy.syntax import Format, Json, bounded, header_value, set_header
from gen.errors import BadValue
from gen.ir import Match, Options, Redirect

CODES: Final = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
METADATA = "gen"
SCHEME = "x-forwarded-proto"  # Envoy writes it, whatever the client said
SLASH_AT_THE_END: Json = {"name": ":path", "string_match": {"safe_regex": {"regex": "[^?]*/"}}}
WITHOUT_SLASH: Json = {"pattern": {"regex": "^(.*)/$"}, "substitution": r"\1"}

Case = tuple[list[Json], Json]
"""Further header matchers, and what a Route has besides its match."""


def redirects(action: Redirect, options: Options) -> list[Case]:
    """What a redirect is for Envoy: one case after the other, the first that fits.  Raises BadValue."""
    if action.url:
        if not action.url.startswith(("http://", "https://")):
            raise BadValue("InvalidUrl", "expected an absolute http or https URL")
        return [([], literal(action.status, "", url=action.url))]
    if action.query is not None and action.path:
        query = f"?{action.query}" if action.query else ""
        return [([], literal(action.status, origin(action), host=action.host, url=encoded(action.path) + query))]
    if action.query is not None or action.is_relative:
        raise BadValue("RedirectUnsupported", "Envoy cannot keep a part of the URL in such a redirect")
    if action.path:
        return own(action, options, {"path_redirect": encoded(action.path)})
    cut = own(action, options, {"regex_rewrite": WITHOUT_SLASH}, SLASH_AT_THE_END) if action.cut_slash else []
    return [*cut, *own(action, options, {})]


def encoded(path: str) -> str:
    """A decoded path as it stands in a URL."""
    return Match("exact", bounded(path)).encoded


def origin(action: Redirect) -> str:
    """The format of scheme, host and port."""
    if action.is_relative:
        return ""
    host = f"%METADATA(ROUTE:{METADATA}:host)%:%DOWNSTREAM_LOCAL_PORT%" if action.host else "%REQ(:AUTHORITY)%"
    return f"%REQ({SCHEME})%://{host}"


def literal(status: int, prefix: str, **texts: str) -> Json:
    """An answer whose Location is a format and then the literal `url`."""
    if not 300 <= status <= 308:
        raise BadValue("InvalidStatus", f"expected a status from 300 to 308, got {status}")
    return {
        "metadata": {"filter_metadata": {METADATA: {name: header_value(text) for name, text in texts.items() if text}}},
        "response_headers_to_add": [set_header("location", Format(f"{prefix}%METADATA(ROUTE:{METADATA}:url)%"))],
        "direct_response": {"status": status},
    }


def own(action: Redirect, options: Options, change: Json, *conditions: Json) -> list[Case]:
    """Envoy's own redirect; to another host it is one for each listener, for their ports differ."""
    if action.status not in CODES:
        raise BadValue("InvalidStatus", f"expected one of {sorted(CODES)}, got {action.status}")
    redirect: dict[str, Any] = {**change, "response_code": CODES[action.status]}
    if not action.host:
        return [([*conditions], {"redirect": redirect})]
    host = header_value(action.host)
    return [
        (
            [*conditions, {"name": SCHEME, "string_match": {"exact": scheme}}],
            {"redirect": {"host_redirect": host, "port_redirect": port, **redirect}},
        )
        for scheme, port in (("http", options.http_port), ("https", options.https_port))
    ]
