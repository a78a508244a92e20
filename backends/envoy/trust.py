"""Whom the proxy believes: who the client is, and what another proxy says of it.

Unless the options say otherwise, the peer is the client, and nothing that it says of itself counts.
"""

from __future__ import annotations

from backends.envoy import syntax
from backends.envoy.filters import EXTENSION
from backends.envoy.handshakes import mark
from backends.envoy.networks import ANYTHING, cidr
from backends.envoy.syntax import Format, Json
from gen.ir import Options
from gen.policy import Forwarded

EVERYBODY = frozenset(("0.0.0.0/0", "::/0"))
NOBODY: Json = {"address_prefix": "255.255.255.255", "prefix_len": 32}
MUTATION = f"{EXTENSION}http.early_header_mutation.header_mutation.v3.HeaderMutation"
XFF, ORIGINAL, LIST = "x-forwarded-for", "x-original-forwarded-for", Format("%REQ(X-FORWARDED-FOR)%")
CLIENT, ADDRESSES = Format("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"), Format("%DYNAMIC_METADATA(gen:addresses)%")
STEERING: Json = {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}}
"""Takes headers away by which a client could tell the router what to do."""


def of_manager(options: Options, told_port: int, rule: str) -> Json:
    """How a connection manager finds the client; `rule` is that by which its chain asks for certificates.

    Raises: BadValue.
    """
    port = Format("%DOWNSTREAM_LOCAL_PORT%" if options.proxy_protocol is not None else str(int(told_port)))
    forwarded = options.forwarded
    if forwarded is None:
        return {
            "use_remote_address": True,
            "skip_xff_append": True,
            "internal_address_config": {"cidr_ranges": [NOBODY]},
            "early_header_mutation_extensions": [
                mutation([mark(rule), {"append": syntax.set_header("x-forwarded-port", port)}]),
            ],
        }
    trusted = [cidr(each) for each in forwarded.networks] or [NOBODY]
    detection = {
        "@type": f"{EXTENSION}http.original_ip_detection.xff.v3.XffConfig",
        "xff_trusted_cidrs": {"cidrs": trusted},
        "skip_xff_append": True,
    }
    return {
        "use_remote_address": False,
        "skip_xff_append": True,
        "internal_address_config": {"cidr_ranges": [NOBODY]},
        "original_ip_detection_extensions": [
            {"name": "envoy.http.original_ip_detection.xff", "typed_config": detection},
        ],
        "early_header_mutation_extensions": [
            mutation([mark(rule), STEERING, *claims(forwarded), told_port_of(forwarded, port)]),
        ],
    }


def claims(forwarded: Forwarded) -> list[Json]:
    """What is made of the headers of another proxy before Envoy looks at them."""
    made: list[Json] = [{"remove": ORIGINAL}]
    if not forwarded.headers:
        made.append({"remove": "x-forwarded-proto"})
    name = syntax.header_name(forwarded.address_header)
    if name != XFF:
        made += [{"remove": XFF}, {"append": syntax.set_header(XFF, Format(f"%REQ({name})%"))}]
    return [*made, {"append": syntax.set_header(ORIGINAL, LIST)}]


def told_port_of(forwarded: Forwarded, port: Format) -> Json:
    """X-Forwarded-Port: the other proxy's, else ours."""
    entry = syntax.set_header("x-forwarded-port", port)
    return {"append": entry | ({"append_action": "ADD_IF_ABSENT"} if forwarded.headers else {})}


def mutation(mutations: list[Json]) -> Json:
    """Changes of headers before anything else looks at the request."""
    config = {"@type": MUTATION, "mutations": mutations}
    return {"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": config}


def of_script(options: Options) -> Json:
    """What request.lua has to know of it."""
    forwarded = options.forwarded or Forwarded()
    wanted = {
        "believes": forwarded.headers,
        "appends": forwarded.append,
        "is_behind": options.proxy_protocol is not None,
        "is_nameless": options.request_id is False,
    }
    return {name: True for name, is_wanted in wanted.items() if is_wanted}


def headers(options: Options) -> Json:
    """What the route table tells upstreams of the client: its address, or the list as it came with the peer behind it.

    Envoy puts addresses of its own into a list that it does not trust, so that is kept aside before.
    """
    told = [syntax.set_header(XFF, ADDRESSES if options.forwarded and options.forwarded.append else CLIENT)]
    if options.forwarded:
        return {"request_headers_to_add": told, "request_headers_to_remove": []}
    kept = syntax.set_header(ORIGINAL, LIST)
    return {"request_headers_to_add": [kept, *told], "request_headers_to_remove": [ORIGINAL]}


def listener_filters(options: Options) -> list[Json]:
    """What reads the beginning of a connection: the address of the client."""
    if options.proxy_protocol is None:
        return []
    config = {"@type": f"{EXTENSION}filters.listener.proxy_protocol.v3.ProxyProtocol"}
    return [{"name": "envoy.filters.listener.proxy_protocol", "typed_config": config}]


def network_filters(options: Options) -> list[Json]:
    """What refuses peers that may not say who the client is.  Raises BadValue."""
    if options.proxy_protocol is None or not EVERYBODY.isdisjoint(options.proxy_protocol):
        return []
    peers = [{"direct_remote_ip": cidr(each)} for each in options.proxy_protocol] or [{"not_id": ANYTHING}]
    policy = {"permissions": [ANYTHING], "principals": peers}
    rules = {"action": "ALLOW", "policies": {"peers": policy}}
    config = {"@type": f"{EXTENSION}filters.network.rbac.v3.RBAC", "rules": rules, "stat_prefix": "peers"}
    return [{"name": "envoy.filters.network.rbac", "typed_config": config}]
