"""Virtual hosts: which request goes where."""

from __future__ import annotations

from backends.envoy import answers, onwards, syntax
from backends.envoy.syntax import Format, Json
from backends.envoy.text import Line, Memo, line, opened
from gen.errors import BadValue, Rejected
from gen.ir import CATCH_ALL, Config, Forward, Host, Options, Redirect, Route
from gen.policy import Text, literal

NAME = "gen"
BODY_LIMIT = 1 << 20  # the longest text that the proxy itself answers with
SENT_HOST = syntax.set_header("x-forwarded-host", Format("%DYNAMIC_METADATA(gen:host)%"))  # upstream.lua replaced it
CLIENT, SCHEME = Format("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"), Format("%REQ(X-FORWARDED-PROTO)%")

TABLE: Json = {
    "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    "name": NAME,
    "ignore_port_in_host_matching": True,
    "most_specific_header_mutations_wins": True,
    "max_direct_response_body_size_bytes": BODY_LIMIT,
    "request_headers_to_add": [
        syntax.set_header("x-original-forwarded-for", Format("%REQ(X-FORWARDED-FOR)%")),
        syntax.set_header("x-original-forwarded-host", Format("%REQ(X-FORWARDED-HOST)%")),
        syntax.set_header("x-forwarded-for", CLIENT),
        syntax.set_header("x-real-ip", CLIENT),
        syntax.set_header("x-forwarded-host", Format("%REQ(:AUTHORITY)%")),
        syntax.set_header("x-forwarded-scheme", SCHEME),
        syntax.set_header("x-scheme", SCHEME),
    ],
    "request_headers_to_remove": [
        *("x-original-forwarded-for", "x-original-forwarded-host", "proxy", "x-envoy-external-address"),
    ],
}
"""The one RouteConfiguration, apart from its virtual hosts.  Values are taken from the request as it came."""


def table(config: Config, memo: Memo) -> list[Line]:
    """The RouteConfiguration of all hosts."""
    catch_all = config.hosts[CATCH_ALL]
    hosts = [
        memo.recall(f"host {name}", virtual_host, host, config.options, catch_all if host.is_wildcard else None)
        for name, host in config.hosts.items()
    ]
    hidden = [syntax.header_name(name) for name in config.options.hidden_headers or ()]
    return opened(TABLE | ({"response_headers_to_remove": hidden} if hidden else {}), "virtual_hosts", hosts, None)


def virtual_host(host: Host, options: Options, catch_all: Host | None) -> list[Line]:
    """One host.  Raises Rejected, with the object to blame, for what Envoy has no words for.

    Envoy gives a request to the longest `*.x` that fits, whatever stands for the `*`, and never to another host after
    that; so a wildcard host begins with the routes of the catch-all, for requests with more than one label there.
    """
    source = host.sources[0] if host.sources else host.routes[0].source
    try:
        domain = syntax.domain(host.name)
        guard = [syntax.not_one_label(host.name)] if catch_all else []
    except BadValue as error:
        raise Rejected(f"{source}: {error}", (source,)) from error
    head = {"name": domain, "domains": [domain], "retry_policy": retries(options)}
    strangers = [[route_line(each, guard)] for each in catch_all.routes] if catch_all else []
    return opened(head, "routes", strangers + [[route_line(each, [])] for each in host.routes], source)


def retries(options: Options) -> Json:
    """What is tried again, whatever the method; request.lua adds resets for those methods that may be repeated."""
    previous_hosts = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": max(options.tries - 1, 0),
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": previous_hosts}}
        ],
        "host_selection_retry_max_attempts": 5,
    }


def route_line(route: Route, guard: list[Json]) -> Line:
    """One route, which takes only requests that a guard lets pass.  Raises Rejected."""
    try:
        match = syntax.path_match(route.match) | ({"headers": guard} if guard else {})
        return line({"match": match, **what_is_done(route)}, route.source)
    except BadValue as error:
        raise Rejected(f"{route.source}: {error}", (route.source,)) from error


def what_is_done(route: Route) -> Json:
    """The action of a route, and what belongs to it.  Raises BadValue."""
    filters = per_filter(route)
    return {**action(route), **({"typed_per_filter_config": filters} if filters else {})}


def per_filter(route: Route) -> Json:
    """What the filters have to do for a route, in the order of the chain.

    Shape: filter -> its configuration; see backends.envoy.filters for what must not be done here.
    """
    return {**answers.per_filter(route), **onwards.per_filter(route)}


def action(route: Route) -> Json:
    """Proxying, or an answer; redirects never get as far as to theirs."""
    if isinstance(route.action, Redirect):
        return {"direct_response": {"status": route.action.status}}
    if isinstance(route.action, Forward):
        return forward(route.action, route.policy.upstream_host)
    return syntax.respond(route.action)


def forward(action: Forward, host: Text | None) -> Json:
    """Proxying, without a limit on the whole: a response may take its time as long as something moves."""
    parts = [part for part in action.split if part.weight > 0]
    if not parts:
        return {"direct_response": {"status": 503}}
    target: Json = {"timeout": "0s"}
    if len(parts) == 1:
        target["cluster"] = parts[0].upstream
    else:
        target["weighted_clusters"] = {"clusters": [{"name": part.upstream, "weight": part.weight} for part in parts]}
    if host is None:
        return {"route": target}
    if onwards.is_made(host):
        return {"route": target, "request_headers_to_add": [SENT_HOST]}
    return {"route": target | {"host_rewrite_literal": syntax.header_value(literal(host))}}
