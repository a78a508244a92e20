"""Clusters: the upstreams, their endpoints or their name."""

from __future__ import annotations

from backends.envoy import syntax
from backends.envoy.filters import EXTENSION
from backends.envoy.protocols import KEY_HEADER, protocol
from backends.envoy.syntax import Json
from backends.envoy.text import Piece, line, piece
from backends.envoy.ways import KEY, Way
from gen.errors import BadValue, Rejected
from gen.ir import Certificate, Endpoint, Options, Upstream

UNLIMITED = 2**32 - 1
LIMITS: Json = {
    "thresholds": [
        dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNLIMITED),
    ]
}
"""By default Envoy answers 503 beyond 1024 requests at a time, and never has more than three retries under way."""

BALANCE = {"round_robin": "ROUND_ROBIN", "least_connections": "LEAST_REQUEST", "random": "RANDOM"}


def cluster(name: str, upstream: Upstream, way: Way, certificate: Certificate | None, options: Options) -> Piece:
    """One cluster: an upstream reached in a way.  Raises Rejected, with the object to blame."""
    try:
        connect = options.connect_timeout if way.connect is None else way.connect
        head = {"name": syntax.plain(name), "connect_timeout": syntax.duration(connect)}
        targets = endpoints(upstream)
        members = {"cluster_name": name, **({"endpoints": [{"lb_endpoints": targets}]} if targets else {})}
        settings = {**discovery(upstream, options), **balance(upstream, way), "circuit_breakers": LIMITS}
        content = {**head, **settings, **protocol(way, upstream, certificate), "load_assignment": members}
        return piece([line(content, upstream.source)])
    except BadValue as error:
        raise Rejected(f"{upstream.source}: {error}", (upstream.source,)) from error


def endpoints(upstream: Upstream) -> list[Json]:
    """Where requests go; to those that are being drained only where there are no others."""
    if upstream.dns:
        return [{"endpoint": {"address": syntax.dns_address(upstream.dns)}}]
    able = [each for each in upstream.endpoints if each.weight > 0]
    return [endpoint(each) for each in able if not each.draining] or [endpoint(each) for each in able]


def endpoint(endpoint: Endpoint) -> Json:
    """One server."""
    weight = {"load_balancing_weight": endpoint.weight} if endpoint.weight != 1 else {}
    return {"endpoint": {"address": syntax.address(endpoint.address, endpoint.port)}, **weight}


def balance(upstream: Upstream, way: Way) -> Json:
    """How requests are spread."""
    chosen = way.balance or upstream.balance
    if chosen == KEY:
        return hashed("ring_hash", "RingHash", {"header": {"header_name": KEY_HEADER}})
    if chosen == "source_hash":
        return hashed("maglev", "Maglev", {"connection_properties": {"source_ip": True}})
    return {"lb_policy": BALANCE[chosen]}


def hashed(name: str, message: str, key: Json) -> Json:
    """Consistent hashing of a key."""
    config = {
        "@type": f"{EXTENSION}load_balancing_policies.{name}.v3.{message}",
        "consistent_hashing_lb_config": {"hash_policy": [key]},
    }
    policy = {"typed_extension_config": {"name": f"envoy.load_balancing_policies.{name}", "typed_config": config}}
    return {"load_balancing_policy": {"policies": [policy]}}


def discovery(upstream: Upstream, options: Options) -> Json:
    """How Envoy learns the addresses: it has them, or resolves a name."""
    if not upstream.dns:
        return {"type": "STATIC"}
    resolvers = {"resolvers": [syntax.resolver(each) for each in options.resolvers]} if options.resolvers else {}
    resolver = {
        "@type": f"{EXTENSION}network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        **resolvers,
        "dns_resolver_options": {"no_default_search_domain": True},
        "query_timeout_seconds": 1,  # a change waits for the first answer about a new name
        "query_tries": 2,
    }
    dns = {
        "@type": f"{EXTENSION}clusters.dns.v3.DnsCluster",
        "respect_dns_ttl": True,
        "dns_lookup_family": "V4_PREFERRED",
        "typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": resolver},
    }
    return {"cluster_type": {"name": "envoy.clusters.dns", "typed_config": dns}}
