"""The bootstrap of an Envoy that gets everything else from gen's xDS server."""

from __future__ import annotations

import msgspec

from backends.envoy.syntax import Json
from gen.errors import UsageError

RUNTIME: Json = {"layers": [{"name": "gen", "static_layer": {"re2.max_program_size.error_level": 4096}}]}
"""Settings that validation must share, or it would judge by other rules."""

XDS_CLUSTER = "gen-xds"
ADS: Json = {"ads": {}, "resource_api_version": "V3"}
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(xds: str, admin: str) -> bytes:
    """The file for `envoy -c`: find gen at one socket, be asked at another.

    Shape: `xds` is `unix:/path` or `tcp:IP:port`; `admin` a path.  Envoy keeps what it has while gen is away, starts
    to serve only once it has been given listeners, and comes back to gen within half a second.
    """
    wait_for_ever = ADS | {"initial_fetch_timeout": "0s"}
    content = {
        "node": {"id": "gen", "cluster": "gen"},
        "admin": {"address": {"pipe": {"path": admin, "mode": 0o600}}},
        "layered_runtime": RUNTIME,
        "stats_flush_on_admin": True,
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": XDS_CLUSTER,
                            "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}},
                        }
                    }
                ],
            },
            "cds_config": wait_for_ever,
            "lds_config": wait_for_ever,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": XDS_CLUSTER,
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        HTTP_OPTIONS: {
                            "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": XDS_CLUSTER,
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(xds)}}]}],
                    },
                }
            ]
        },
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def address(xds: str) -> Json:
    """Where Envoy finds the xDS server.  Raises UsageError."""
    if xds.startswith("unix:/"):
        return {"pipe": {"path": xds.removeprefix("unix:")}}
    host, port = tcp_address(xds)
    return {"socket_address": {"address": host, "port_value": port}}


def tcp_address(xds: str) -> tuple[str, int]:
    """Host and port of a `tcp:` address; only loopback, for nothing there is encrypted.  Raises UsageError."""
    host, _, port = xds.removeprefix("tcp:").rpartition(":")
    host = host.strip("[]")
    if not xds.startswith("tcp:") or not port.isdecimal() or not is_loopback(host):
        raise UsageError(f"{xds!r} is not unix:/PATH or tcp:IP:PORT with a loopback address")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether this machine alone can reach the address."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
