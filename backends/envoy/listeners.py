"""The two listeners: how connections become requests, and which certificate a server name gets.

Changing a listener drains connections, so everything that may change often is kept out of it: it names a route table
and certificates, which are resources of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from backends.envoy import access, bodies, handshakes, limits, proxywide, syntax, trust
from backends.envoy.filters import AFTER_ACCESS, BEFORE_ACCESS
from backends.envoy.handshakes import Handshake, Name
from backends.envoy.routes import NAME
from backends.envoy.syntax import Json
from backends.envoy.text import Line, block, line, listed
from gen.ir import Certificate, Config, Options

EXTENSION = "type.googleapis.com/envoy.extensions."
CONNECTION_MANAGER = f"{EXTENSION}filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTES_FILE = "routes.json"
NAMELESS = "unnamed.invalid"  # the host of an HTTP/1.0 request that names none

BROKEN: Json = {
    "filter": {"response_flag_filter": {"flags": ["UF", "UC", "UR", "UPE"]}},
    "status_code": 502,
    "body": {"inline_string": "Bad Gateway"},
}
"""What is said where an upstream could not be reached, broke off, or made no sense; Envoy's own text tells too much."""

TLS_INSPECTOR: Json = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {"@type": f"{EXTENSION}filters.listener.tls_inspector.v3.TlsInspector"},
}
ROUTER: Json = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{EXTENSION}filters.http.router.v3.Router", "suppress_envoy_headers": True},
}


def http(options: Options) -> list[Line]:
    """The listener for plain HTTP."""
    chain = {"name": "http", "filters": network_filters("http", options, options.http_port)}
    return block(listener("http", options.http_port, options) | {"filter_chains": [chain]})


def https(config: Config, found: Mapping[Handshake, Sequence[Name]]) -> list[Line]:
    """The listener for TLS.  Raises Rejected, with the object to blame, for names that Envoy cannot hold."""
    head = listener("https", config.options.https_port, config.options, TLS_INSPECTOR)
    chains = [[chain(each, own, config)] for each, own in found.items()]
    rest: list[Line] = []
    if not config.options.reject_unknown_names:
        others = handshakes.for_others(config)
        text, source = line({"name": "default", **what_happens(others, config)}, certificate_of(others, config).source)
        rest = [(b'"default_filter_chain": ' + text + b",", source)]
    return [(line(head)[0][:-1] + b",", None), *rest, (b'"filter_chains": [', None), *listed(chains), (b"]}", None)]


def chain(found: Handshake, own: Iterable[Name], config: Config) -> Line:
    """What some names get.  Raises Rejected."""
    names = [handshakes.server_name(*name) for name in own]
    head = {"name": found.name, "filter_chain_match": {"server_names": names}}
    return line(head | what_happens(found, config), certificate_of(found, config).source)


def what_happens(found: Handshake, config: Config) -> Json:
    """A handshake, and what the requests go through that come after it."""
    options = config.options
    return {
        "transport_socket": handshakes.socket(found, options),
        "filters": network_filters("https", options, options.told_https_port or options.https_port, found.rule),
    }


def certificate_of(found: Handshake, config: Config) -> Certificate:
    """The certificate that is shown."""
    return config.certificates[found.certificate]


def listener(name: str, port: int, options: Options, *inspectors: Json) -> Json:
    """A port on all addresses, without what happens there."""
    inspect = [*trust.listener_filters(options), *inspectors]
    first, *others = [{"address": syntax.address(each, port)} for each in options.bind]
    return {
        "name": name,
        **first,
        **({"additional_addresses": others} if others else {}),
        "tcp_backlog_size": 1024,
        **({"listener_filters": inspect} if inspect else {}),
    }


def network_filters(name: str, options: Options, told_port: int, rule: str = "") -> list[Json]:
    """What a connection goes through.  Raises BadValue."""
    return [*trust.network_filters(options), connection_manager(name, options, told_port, rule)]


def connection_manager(name: str, options: Options, told_port: int, rule: str) -> Json:
    """How requests are read and sent on; the same on both ports but for what upstreams are told of these."""
    manager = {
        "@type": CONNECTION_MANAGER,
        "stat_prefix": name,
        "rds": {"route_config_name": NAME, "config_source": {"path_config_source": {"path": f"./{ROUTES_FILE}"}}},
        **trust.of_manager(options, told_port, rule),
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": proxywide.protocol(options),
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": NAMELESS},
        "http2_protocol_options": {
            "allow_connect": True,  # websockets by HTTP/2
            "max_concurrent_streams": options.http2_streams or 128,
            "initial_stream_window_size": 1 << 16,
            "initial_connection_window_size": 1 << 20,
        },
        "request_headers_timeout": "60s",
        # Envoy has one clock for both directions: it runs while a response is awaited, and while a client is.
        "stream_idle_timeout": syntax.duration(options.read_timeout),
        **proxywide.connections(options),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "local_reply_config": {"mappers": [BROKEN]},
        "http_filters": [
            *proxywide.filters(options, is_secure=name == "https"),
            *(*BEFORE_ACCESS, *limits.CHAIN, *access.CHAIN, *bodies.CHAIN, *AFTER_ACCESS, ROUTER),
        ],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
