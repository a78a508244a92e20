"""Virtual hosts: which request goes where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from backends.envoy import access, answers, bodies, handshakes, limits, onwards, pages, patience, syntax, trust
from backends.envoy.bodies import REQUEST
from backends.envoy.choices import Choice, choices
from backends.envoy.memory import Kept
from backends.envoy.patience import retries
from backends.envoy.syntax import Format, Json
from backends.envoy.text import Line, Piece, Section, line, opened, piece, section
from backends.envoy.ways import Clusters, Way, way_of
from gen.errors import BadValue, Rejected
from gen.ir import CATCH_ALL, NO_POLICY, Config, Forward, Host, HostPolicy, Options, Policy, Redirect, Route, Upstream
from gen.policy import ClientCertificate, RateLimit, Text, upstreams_of

Headers = tuple[tuple[str, Text], ...]
NAME = "gen"
BODY_LIMIT = 1 << 20  # the longest text that the proxy itself answers with
CLIENT, SCHEME = Format("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"), Format("%REQ(X-FORWARDED-PROTO)%")

Reached = tuple[str, Way]


class Written(Struct, frozen=True):
    """One host: its virtual hosts, the clusters that these name, and the limits of its routes."""

    pieces: tuple[Piece, ...]
    clusters: Mapping[str, Reached]
    limits: frozenset[RateLimit]


TABLE: Json = {
    "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    "name": NAME,
    "ignore_port_in_host_matching": True,
    "most_specific_header_mutations_wins": True,
    "max_direct_response_body_size_bytes": BODY_LIMIT,
    "request_headers_to_add": [
        syntax.set_header("x-original-forwarded-host", Format("%REQ(X-FORWARDED-HOST)%")),
        syntax.set_header("x-real-ip", CLIENT),
        syntax.set_header("x-forwarded-host", Format("%REQ(:AUTHORITY)%")),
        syntax.set_header("x-forwarded-scheme", SCHEME),
        syntax.set_header("x-scheme", SCHEME),
    ],
    "request_headers_to_remove": [
        *("x-original-forwarded-host", "proxy", "x-envoy-external-address"),
        handshakes.CLIENT,
    ],
}
"""The one RouteConfiguration, apart from its virtual hosts.  Values are taken from the request as it came."""


def hosts_of(config: Config, kept: Kept[Host, Written]) -> Mapping[str, Written]:
    """All hosts as Envoy has them; the very same mapping as the last time where nothing differs."""
    idle = frozenset([name for name, upstream in config.upstreams.items() if is_idle(upstream)])
    patterned = tuple(host for host in config.hosts.values() if host.alias_patterns)
    strangers = (*patterned, config.hosts[CATCH_ALL])

    def others(host: Host) -> tuple[Host, ...]:
        return strangers if has_strangers(host) else ()

    def concerned(host: Host) -> frozenset[str]:
        return idle & named_by_policies(host, others(host))

    return kept.update(
        config.hosts,
        (config.options, strangers, idle),
        lambda _, host: (config.options, others(host), concerned(host)),
        lambda _, host: virtual_hosts(host, config.options, others(host), concerned(host)),
    )


def table(hosts: Mapping[str, Written], options: Options) -> tuple[Section, ...]:
    """The file of the RouteConfiguration, with its virtual hosts as the second of three sections.  Raises BadValue."""
    zones = frozenset().union(*[each.limits for each in hosts.values() if each.limits])
    hidden = [syntax.header_name(name) for name in options.hidden_headers or ()]
    head = TABLE | {"typed_per_filter_config": of_all_hosts(options, zones)}
    head |= {name: [*TABLE[name], *more] for name, more in trust.headers(options).items()}
    head |= {"response_headers_to_remove": hidden} if hidden else {}
    first, *_, last = opened(head, "virtual_hosts", (), None)
    before = section([piece([(b'{"resources": [', None)]), piece([first])], between=b"")
    after = section([piece([last]), piece([(b"]}", None)])], between=b"")
    return before, section(each for host in hosts.values() for each in host.pieces), after


def reached_by(hosts: Mapping[str, Written]) -> Mapping[str, Reached]:
    """The clusters that hosts name, sorted."""
    found: dict[str, Reached] = {}
    for host in hosts.values():
        found.update(host.clusters)
    return {name: found[name] for name in sorted(found)}


def of_all_hosts(options: Options, zones: Iterable[RateLimit]) -> Json:
    """What the filters do for all routes that do not say otherwise.  Raises BadValue."""
    told = {**({"body_limit": options.body_limit} if options.body_limit else {}), **trust.of_script(options)}
    script = {REQUEST: {"@type": f"{syntax.LUA}PerRoute", "filter_context": told}} if told else {}
    return {**script, **limits.of_table(zones), **bodies.of_table(options)}


def is_idle(upstream: Upstream) -> bool:
    """Whether an upstream has nobody who could answer."""
    for each in upstream.endpoints:  # asked of all upstreams at each change, and the first one tells mostly
        if each.weight > 0:
            return False
    return upstream.dns is None


def has_strangers(host: Host) -> bool:
    """Whether requests may come to a virtual host of a host that are for none of its names."""
    return host.name == CATCH_ALL or any(name.startswith("*.") for name in (host.name, *host.aliases))


def named_by_policies(host: Host, strangers: tuple[Host, ...]) -> frozenset[str]:
    """The upstreams of those routes for which it matters whether they have endpoints."""
    special = [route for each in (host, *strangers) for route in each.routes if route.policy is not NO_POLICY]
    actions = [route.action for route in special if isinstance(route.action, Forward)]
    own = (part.upstream for action in actions for part in action.split)
    return frozenset((*own, *(name for route in special for name in upstreams_of(route.policy))))


def virtual_hosts(host: Host, options: Options, strangers: tuple[Host, ...], idle: frozenset[str]) -> Written:
    """One host: all its exact names together, then each wildcard.  Raises Rejected, with the object to blame.

    Envoy gives a request to the longest `*.x` that fits, whatever stands for the `*`, and never to another host after
    that; so a wildcard begins with the routes for all others, for requests with more than one label there.  `strangers`
    are those others: hosts whose names are patterns, and the catch-all.
    """
    if options.request_headers:
        host, *others = (told_to_all(each, options.request_headers) for each in (host, *strangers))
        strangers = tuple(others)
    source = host.sources[0] if host.sources else host.routes[0].source
    clusters = Clusters(idle, options.read_timeout)
    names = [host.name, *host.aliases]
    exact = [name for name in names if not name.startswith("*.")]
    groups = [exact] if exact else []
    groups += [[name] for name in names if name.startswith("*.")]
    try:
        written = [virtual_host(host, group, options, strangers, clusters) for group in groups]
    except BadValue as error:
        raise Rejected(f"{source}: {error}", (source,)) from error
    pieces = [piece(opened(head, "routes", [[each] for each in lines], source)) for head, lines in written]
    return Written(tuple(pieces), clusters.named, limits.limits_of(host))


def told_to_all(host: Host, headers: Headers) -> Host:
    """A host whose upstreams get these headers too, before those of its routes."""
    replace = msgspec.structs.replace
    policies = [
        replace(each.policy, request_headers=(*headers, *(each.policy.request_headers or ()))) for each in host.routes
    ]
    routes = [replace(route, policy=policy) for route, policy in zip(host.routes, policies, strict=True)]
    return replace(host, routes=tuple(routes))


def virtual_host(
    host: Host, names: list[str], options: Options, strangers: tuple[Host, ...], clusters: Clusters
) -> tuple[Json, list[Line]]:
    """What Envoy calls a virtual host, and its routes.  Raises BadValue; Rejected, with the route to blame."""
    domains = [syntax.domain(name) for name in names]
    lines: list[Line] = []
    if names[0].startswith("*."):
        for other in strangers:
            lines += lines_of(other, [syntax.not_one_label(names[0])], clusters)
    elif host.name == CATCH_ALL:
        for other in strangers[:-1]:
            lines += lines_of(other, [], clusters)
    lines += [each for route in host.routes for each in route_lines(route, host, [], clusters)]
    return {"name": domains[0], "domains": domains, "retry_policy": retries(options)}, lines


def lines_of(other: Host, guard: list[Json], clusters: Clusters) -> list[Line]:
    """The routes of another host within a virtual host: under its patterns, or of the catch-all."""
    guards = [[*guard, syntax.host_has(pattern)] for pattern in other.alias_patterns] or [guard]
    return [each for guard in guards for route in other.routes for each in route_lines(route, other, guard, clusters)]


def route_lines(route: Route, host: Host, guard: list[Json], clusters: Clusters) -> list[Line]:
    """One route, as all those that stand for it, which take only requests that a guard lets pass.  Raises Rejected."""
    try:
        chosen = choices(pages.instead(route, clusters.idle), clusters.idle)
        return [line(envoy_route(choice, host.policy, guard, clusters), route.source) for choice in chosen]
    except BadValue as error:
        raise Rejected(f"{route.source}: {error}", (route.source,)) from error


def envoy_route(choice: Choice, policy: HostPolicy, guard: list[Json], clusters: Clusters) -> Json:
    """What Envoy calls a route.  Raises BadValue."""
    special = choice.match()
    headers = [*guard, *special.pop("headers", ())]
    match = syntax.path_match(choice.route.match) | ({"headers": headers} if headers else {}) | special
    filters = per_filter(choice.route, clusters, policy.client_certificate)
    done = action(choice.route, clusters)
    told = bodies.of_route(choice.route)
    return {"match": match, **told, **done, **({"typed_per_filter_config": filters} if filters else {})}


def per_filter(route: Route, clusters: Clusters, client: ClientCertificate | None) -> Json:
    """What the filters have to do for a route, in the order of the chain.

    Shape: filter -> its configuration; see backends.envoy.filters for what must not be done here.
    """
    return {
        **answers.per_filter(route, clusters, client),
        **limits.per_filter(route.policy),
        **access.per_filter(route, clusters, client),
        **bodies.per_filter(route.policy),
        **onwards.per_filter(route, clusters),
    }


def action(route: Route, clusters: Clusters) -> Json:
    """Proxying, or an answer; redirects never get as far as to theirs."""
    if isinstance(route.action, Redirect):
        return {"direct_response": {"status": route.action.status}}
    if isinstance(route.action, Forward):
        return forward(route.action, route.policy, clusters)
    return syntax.respond(route.action)


def forward(action: Forward, policy: Policy, clusters: Clusters) -> Json:
    """Proxying, without a limit on the whole: a response may take its time as long as something moves."""
    parts = [part for part in action.split if part.weight > 0]
    if not parts:
        return {"direct_response": {"status": 503}}
    way = way_of(policy)
    targets = [{"name": clusters.name(part.upstream, way), "weight": part.weight} for part in parts]
    target: Json = {"timeout": "0s"}
    if len(targets) == 1:
        target["cluster"] = targets[0]["name"]
    else:
        target["weighted_clusters"] = {"clusters": targets}
    if policy is NO_POLICY:
        return {"route": target}
    target |= patience.of_route(policy, clusters.read_timeout) | limits.of_route(policy)
    headers = onwards.late_headers(policy)
    late = {"request_headers_to_add": headers} if headers else {}
    return {"route": target, **late, **pages.of_route(policy)}
