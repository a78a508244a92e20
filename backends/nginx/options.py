"""The options that hold for the whole proxy, as lines of the main file; none where they are all left alone."""

from __future__ import annotations

from collections.abc import Iterable

from backends.nginx import access, phrases, tuning
from backends.nginx.parts import Base, Zone, port_of
from backends.nginx.phrases import directive
from backends.nginx.syntax import Word, literal, seconds, value
from gen.ir import Options

AUTH_CACHE = (
    "proxy_cache_path auth_cache_temp levels=1:2 keys_zone=gen_auth:10m max_size=128m inactive=30m use_temp_path=off;"
)

NEEDS = ("$gen_balance_key", "proxy_cache gen_auth", "gen_escaped_request_uri")
"""Signs in the text of a host that something constant has to be beside it."""


def lines(options: Options, base: Base) -> list[Word]:
    """Everything that the options add to `http`."""
    found = [*_headers(options, base), *_clients(options), *_forwarded(options), *_blocked(options)]
    if options.tells_other_port:
        ports = [directive("default", port_of(options)), directive(str(options.https_port), options.told_https_port)]
        found += phrases.block(Word(f"map {port_of(options)} $gen_told_port"), ports)
    if options.gzip:
        found += [Word("gzip on;"), Word("gzip_proxied any;"), Word("gzip_vary on;")]
        found.append(directive("gzip_comp_level", options.gzip.level))
        found.append(directive("gzip_min_length", options.gzip.min_length))
        if options.gzip.types:
            found.append(directive("gzip_types", *map(phrases.plain, options.gzip.types)))
    if options.access_log:
        found.append(Word("access_log /dev/stderr combined;"))
    return found


def _headers(options: Options, base: Base) -> list[Word]:
    found = [
        directive("add_header", phrases.header(name), word, Word("always")) for name, word in base.response_headers
    ]
    found += [directive("proxy_hide_header", phrases.header(name)) for name in dict.fromkeys(base.hidden)]
    if options.hsts:
        secure = [Word('default "";'), directive("https", value(options.hsts))]
        found += phrases.block(Word(f"map {base.scheme} $gen_hsts"), secure)
    return found


def _clients(options: Options) -> list[Word]:
    found: list[Word] = []
    for name, wanted in (
        ("client_header_timeout", options.header_timeout),
        ("client_body_timeout", options.body_timeout),
    ):
        if wanted is not None:
            found.append(directive(name, seconds(wanted)))
    if options.underscores_in_headers:
        found.append(Word("underscores_in_headers on;"))
    if options.header_buffers:
        found.append(directive("large_client_header_buffers", *options.header_buffers))
    if options.idle_requests is not None:
        found.append(directive("keepalive_requests", options.idle_requests))
    if options.http2_streams is not None:
        found.append(directive("http2_max_concurrent_streams", options.http2_streams))
    if options.tls_ciphers:
        found += [directive("ssl_ciphers", literal(options.tls_ciphers)), Word("ssl_prefer_server_ciphers on;")]
    if options.retry_timeout is not None:
        found.append(directive("proxy_next_upstream_timeout", seconds(options.retry_timeout)))
    return found


def _forwarded(options: Options) -> list[Word]:
    found: list[Word] = []
    trusted = options.forwarded
    networks = (trusted.networks if trusted else ()) or options.proxy_protocol or ()
    found += [directive("set_real_ip_from", phrases.network(each)) for each in networks]
    if options.proxy_protocol and not (trusted and trusted.networks):
        found.append(Word("real_ip_header proxy_protocol;"))
    elif trusted and networks:
        found += [directive("real_ip_header", phrases.header(trusted.address_header)), Word("real_ip_recursive on;")]
    if trusted and trusted.append:
        cases = [Word('default "$http_x_forwarded_for, $realip_remote_addr";'), Word('"" $realip_remote_addr;')]
        found += phrases.block(Word("map $http_x_forwarded_for $gen_forwarded_for"), cases)
    if options.proxy_protocol:
        ports = [Word("default $scheme;"), Word("443 https;")]
        found += phrases.block(Word("map $proxy_protocol_server_port $gen_proxied_scheme"), ports)
    own = Word("$gen_proxied_scheme" if options.proxy_protocol else "$scheme")
    if trusted and trusted.headers:
        port = Word("$proxy_protocol_server_port" if options.proxy_protocol else "$server_port")
        found += _trusted_headers(own, port)
    elif options.proxy_protocol:
        found += phrases.block(Word("map $scheme $gen_scheme"), [Word(f"default {own};")])
    return found


def _trusted_headers(scheme: Word, port: Word) -> list[Word]:
    first = r'"~^\\s*([^,\\s]+)" $1;'
    return [
        *phrases.block(Word("map $http_x_forwarded_proto $gen_scheme"), [Word(f"default {scheme};"), Word(first)]),
        *phrases.block(Word("map $http_x_forwarded_port $gen_port"), [Word(f"default {port};"), Word(first)]),
        *phrases.block(Word("map $gen_host $gen_host_name"),
                       [Word("default $gen_host;"), Word(r'"~^(\\[[^\\]]*\\]|[^:]*)(?::[0-9]*)?$" $1;')]),
    ]  # fmt: skip


def _blocked(options: Options) -> list[Word]:
    found: list[Word] = []
    if options.block_networks:
        networks = [directive(phrases.network(each), Word("1")) for each in options.block_networks]
        found += phrases.block(Word("geo $gen_blocked_network"), [Word("default 0;"), *networks])
    for name, header, rules in (("agent", "user_agent", options.block_user_agents),
                                ("referer", "referer", options.block_referers)):  # fmt: skip
        if rules:
            cases = [directive(_pattern(*rule), Word("1")) for rule in rules]
            found += phrases.block(Word(f"map $http_{header} $gen_blocked_{name}"), [Word("default 0;"), *cases])
    return found


def _pattern(is_regex: bool, text: str) -> Word:
    return literal(f"~*{text}") if is_regex else literal(f"~*^{phrases.escaped(text)}\\z")


def server_lines(options: Options, *, is_default: bool) -> list[Word]:
    """What the options add to every server."""
    found = []
    if is_default and options.reject_unknown_names:
        found.append(Word("ssl_reject_handshake on;"))
    for name, wanted in (("network", options.block_networks), ("agent", options.block_user_agents),
                         ("referer", options.block_referers)):  # fmt: skip
        if wanted:
            found.append(Word(f"if ($gen_blocked_{name}) {{ return 403; }}"))
    return found


def policy_lines(zones: Iterable[Zone], needs: frozenset[str]) -> list[Word]:
    """What policies anywhere need in `http`."""
    found = access.zone_lines(list(zones))
    if "$gen_balance_key" in needs:
        found.append(Word('map $host $gen_balance_key { default ""; }'))
    if "proxy_cache gen_auth" in needs:
        found.append(Word(AUTH_CACHE))
    if "gen_escaped_request_uri" in needs:
        found += access.escape_lines()
    return found


def retry_line(options: Options) -> list[Word]:
    """When another endpoint is tried."""
    words = ("error", "timeout") if options.retry_conditions is None else options.retry_conditions or ("off",)
    return list(map(phrases.plain, words))


def buffer_lines(options: Options) -> list[Word]:
    """Buffers of the whole proxy."""
    if not options.buffering:
        return [Word("proxy_buffering off;"), Word("proxy_buffer_size 16k;"), Word("proxy_buffers 4 16k;")]
    lines = tuning.buffering(options.buffering)
    if not options.buffering.response:
        lines = [Word("proxy_buffering off;"), *(each for each in lines if not each.startswith("proxy_buffering"))]
    if not any(each.startswith("proxy_buffer_size") for each in lines):
        lines += [Word("proxy_buffer_size 16k;"), Word("proxy_buffers 4 16k;")]
    return lines
