"""The two listeners: how connections become requests, and which certificate a server name gets.

Changing a listener drains connections, so everything that may change often is kept out of it: it names a route table
and certificates, which are resources of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backends.envoy import access, bodies, limits, syntax, trust
from backends.envoy.filters import AFTER_ACCESS, BEFORE_ACCESS
from backends.envoy.routes import NAME
from backends.envoy.syntax import Json
from backends.envoy.text import Line, block, line, listed
from gen.errors import BadValue, Rejected
from gen.ir import CATCH_ALL, Certificate, Config, Host, Options, Source

EXTENSION = "type.googleapis.com/envoy.extensions."
CONNECTION_MANAGER = f"{EXTENSION}filters.network.http_connection_manager.v3.HttpConnectionManager"
DOWNSTREAM_TLS = f"{EXTENSION}transport_sockets.tls.v3.DownstreamTlsContext"
Name = tuple[str, Host]
ROUTES_FILE = "routes.json"
NAMELESS = "unnamed.invalid"  # the host of an HTTP/1.0 request that names none

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


def https(config: Config) -> list[Line]:
    """The listener for TLS.  Raises Rejected, with the object to blame, for names that Envoy cannot hold."""
    options, default = config.options, config.certificates[certificate_for_others(config)]
    filters = network_filters("https", options, options.told_https_port or options.https_port)
    head = listener("https", options.https_port, options, TLS_INSPECTOR)
    rest = {"name": "default", "filters": filters, "transport_socket": tls(default)}
    chains = [
        [chain(config.certificates[certificate], filters, own)]
        for certificate, own in sorted(server_names(config).items())
    ]
    return [
        (line(head)[0][:-1] + b",", None),
        (b'"default_filter_chain": ' + line(rest)[0] + b",", default.source),
        (b'"filter_chains": [', None),
        *listed(chains),
        (b"]}", None),
    ]


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


def network_filters(name: str, options: Options, told_port: int) -> list[Json]:
    """What a connection goes through.  Raises BadValue."""
    return [*trust.network_filters(options), connection_manager(name, options, told_port)]


def connection_manager(name: str, options: Options, told_port: int) -> Json:
    """How requests are read and sent on; the same on both ports but for what upstreams are told of these."""
    manager = {
        "@type": CONNECTION_MANAGER,
        "stat_prefix": name,
        "rds": {"route_config_name": NAME, "config_source": {"path_config_source": {"path": f"./{ROUTES_FILE}"}}},
        **trust.of_manager(options, told_port),
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {
            "idle_timeout": syntax.duration(options.idle_timeout),
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": NAMELESS},
        "http2_protocol_options": {
            "allow_connect": True,  # websockets by HTTP/2
            "max_concurrent_streams": 128,
            "initial_stream_window_size": 1 << 16,
            "initial_connection_window_size": 1 << 20,
        },
        "request_headers_timeout": "60s",
        # Envoy has one clock for both directions: it runs while a response is awaited, and while a client is.
        "stream_idle_timeout": syntax.duration(options.read_timeout),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [*BEFORE_ACCESS, *limits.CHAIN, *access.CHAIN, *bodies.CHAIN, *AFTER_ACCESS, ROUTER],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


# ------------------------------------------------------------------ TLS


def chain(certificate: Certificate, filters: list[Json], names: Iterable[Name]) -> Line:
    """What the hosts of one certificate get.  Raises Rejected."""
    return line(
        {
            "name": certificate.id,
            "filter_chain_match": {"server_names": [server_name(*name) for name in names]},
            "transport_socket": tls(certificate),
            "filters": filters,
        },
        certificate.source,
    )


def server_name(name: str, host: Host) -> str:
    """The name in the client's greeting.  Raises Rejected."""
    try:
        return syntax.domain(name)
    except BadValue as error:
        raise Rejected(f"{blamed(host)}: {error}", (blamed(host),)) from error


def blamed(host: Host) -> Source:
    """The object that a host is made from."""
    return host.sources[0] if host.sources else host.routes[0].source


def tls(certificate: Certificate) -> Json:
    """The transport socket that shows a certificate."""
    context = {
        "@type": DOWNSTREAM_TLS,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [{"name": certificate.id}],
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def certificates_in_use(config: Config) -> list[Certificate]:
    """The certificates that the listeners name; an Envoy never asks for another one."""
    return [config.certificates[each] for each in sorted({certificate_for_others(config), *server_names(config)})]


def certificate_for_others(config: Config) -> str:
    """The certificate for connections without a name, or with one that is nobody's."""
    return config.hosts[CATCH_ALL].certificate or config.options.default_certificate


def server_names(config: Config) -> Mapping[str, list[Name]]:
    """The names that must be told apart: those whose certificate is not the one they would get anyway.

    Shape: certificate id -> names.  Envoy takes the exact name, else the longest `*.x`, else the default chain.
    """
    own = {name: (certificate_of(name, host, config), host) for host in config.hosts.values() for name in names(host)}
    wildcards = {name: certificate for name, (certificate, _) in own.items() if name.startswith("*.")}
    others = certificate_for_others(config)
    chosen: dict[str, list[Name]] = {}
    for name, (certificate, host) in own.items():
        if certificate != fallback(name, wildcards, others):
            chosen.setdefault(certificate, []).append((name, host))
    return chosen


def names(host: Host) -> tuple[str, ...]:
    """All names of a host but patterns; none for the catch-all."""
    own = (host.name,) if host.name != CATCH_ALL else ()
    return own + host.aliases


def certificate_of(name: str, host: Host, config: Config) -> str:
    """The certificate of a host under one of its names."""
    default = config.options.default_certificate
    if not host.certificate or name == host.name:
        return host.certificate or default
    return host.certificate if config.certificates[host.certificate].is_for(name) else default


def fallback(name: str, wildcards: Mapping[str, str], default: str) -> str:
    """The certificate that a name would get if it were not listed."""
    labels = name.removeprefix("*.").split(".")
    start = 0 if name.startswith("*.") else 1
    suffixes = ("*." + ".".join(labels[place:]) for place in range(start, len(labels)))
    return next((wildcards[each] for each in suffixes if each in wildcards and each != name), default)
