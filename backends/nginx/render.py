"""A Config as nginx configuration: pure, and no more work than what changed since the last time.

nginx.conf              what holds for all: workers, timeouts, headers, upstream rules
digest.conf             the location by which nginx reports what it runs
listen.conf             addresses and ports; listen-default.conf is the same for the catch-all
upstreams.conf          one group for each upstream that has endpoints
endpoints.conf          with Lua: how endpoints are chosen; endpoints.map has those of most groups
policies.conf           what policies need beside the servers: zones, a cache
hosts/NAME-ID.conf      one server for each host; default.conf is the catch-all
patterns/NAME-ID.conf   the same for the names of a host that are patterns: nginx tries them last
policies/               passwords and certificates that policies name
certificates/NAME-ID    .crt and .key
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import accumulate

from msgspec import Struct

from backends.nginx import options as own_options
from backends.nginx import phrases, syntax
from backends.nginx.memory import Lines, Memory, Rendered, joined
from backends.nginx.modules import Lua
from backends.nginx.parts import Base, base_of
from backends.nginx.phrases import directive
from backends.nginx.routes import variant, variant_name
from backends.nginx.syntax import NOTHING, Word
from backends.nginx.template import fill
from backends.nginx.units import LIVE, Surroundings, certificate, group, server
from backends.nginx.version import Version
from gen.backend import Bundle, digest_of_files
from gen.ir import CATCH_ALL, NO_POLICY, Config, Forward, Host, Options, Policy, Route, Upstream
from gen.policy import certificates_of
from gen.policy import upstreams_of as policy_upstreams

HTTP2_DIRECTIVE: Version = (1, 25, 1)
KEEPALIVE_MIN_TIMEOUT: Version = (1, 27, 4)
KEEPALIVE_MIN_SECONDS = 10.0
ENDPOINTS_FILE = "endpoints.map"
SHARED_IDLE = 1024
"""Idle connections of a worker where all groups share them."""


def render(config: Config, version: Version, memory: Memory | None = None, lua: Lua | None = None) -> Bundle:
    """The bundle for a Config.  Raises Rejected, with the object to blame, for a value that nginx cannot hold."""
    memory = memory or Memory()
    options, base = config.options, base_of(config.options, has_lua=lua is not None)
    groups = groups_of(config, memory, LIVE if lua else "")
    certificates = memory.certificates.update(config.certificates, (), lambda *_: None, certificate)
    servers = servers_of(config, base, groups, certificates, memory)
    hosts = memory.once("hosts", servers, lambda: joined(servers.values()))
    shown = memory.once("certificates", certificates, lambda: joined(certificates.values()))

    shared = {
        "listen.conf": listen_file(options, version, is_default=False),
        "listen-default.conf": listen_file(options, version, is_default=True),
    }
    policies = own_options.policy_lines(hosts.zones, hosts.needs)
    if policies:
        shared["policies.conf"] = "".join(f"{line}\n" for line in policies).encode()
    names = memory.once("names", config.hosts, lambda: lengths_of_names(config.hosts.values()))
    live = [it for it in groups.values() if it.target.is_live]
    maps = power_of_two(2 * len(live), least=2048) if lua else 0
    sizes = hash_sizes(names, hosts.variables + len(policies), maps)
    shared["nginx.conf"] = main_file(
        options, version, base, sizes, lua, has_policies=bool(policies), has_patterns=hosts.has_patterns
    )
    if lua:
        shared["endpoints.conf"] = endpoints_file(options, lua, len(live))
    units = "".join([hosts.digest, shown.digest, *[it.digest for it in groups.values()]])
    digest = digest_of_files({**shared, "digest.conf": digest_file(options, "", lua), "units": units.encode()})
    shared["digest.conf"] = digest_file(options, digest, lua)
    still = [it for it in groups.values() if not it.target.is_live] if live else groups.values()
    shared["upstreams.conf"] = b"".join([it.text for it in still])
    if lua:
        shared[ENDPOINTS_FILE] = b"".join([it.text for it in live])
    files = {**hosts.files, **shown.files, **shared}
    origins = {**hosts.origins, **shown.origins, "upstreams.conf": group_origins(still)}
    return Bundle(files, digest, config, hosts.secrets | shown.secrets, origins)


# ------------------------------------------------------------------ units


def groups_of(config: Config, memory: Memory, kind: str) -> Mapping[str, Rendered]:
    """The group of each upstream, and those that a policy balances in another way."""
    variants = memory.once("variants", config.hosts, lambda: variants_of(config))
    more = {variant_name(kind, name): config.upstreams[name] for kind, name in variants}
    size = zone_size([*(() if kind else config.upstreams.values()), *more.values()])
    shared = (size, bool(config.options.resolvers), idle_lines(config.options))
    plain = (*shared, kind)
    groups = memory.groups.update(config.upstreams, plain, lambda *_: plain, group)
    if not more:
        return groups
    kinds = {variant_name(kind, name): kind for kind, name in variants}
    return {**groups, **memory.variants.update(more, (shared, kinds), lambda name, _: (*shared, kinds[name]), group)}


def servers_of(
    config: Config,
    base: Base,
    groups: Mapping[str, Rendered],
    certificates: Mapping[str, Rendered],
    memory: Memory,
) -> Mapping[str, Rendered]:
    """The servers of each host."""
    targets = {name: it.target for name, it in groups.items()}
    default = config.options.default_certificate

    def context_of(_: str, host: Host) -> Surroundings:
        own = host.certificate or (default if host.name == CATCH_ALL else "")
        used = {name: targets[name] for name in upstreams_of(host)}
        pems = {name: certificates[name].name for policy in policies_of(host) for name in certificates_of(policy)}
        aliases = tuple(map(config.certificates[own].is_for, host.aliases)) if own and host.aliases else ()
        return used, certificates[own].name if own else NOTHING, base, pems, aliases

    return memory.servers.update(config.hosts, (targets, base, default, config.certificates), context_of, server)


def variants_of(config: Config) -> list[tuple[str, str]]:
    """The upstreams that a policy balances or speaks to in another way."""
    found = {
        (kind, name)
        for host in config.hosts.values()
        for route in host.routes
        if route.policy is not NO_POLICY and (kind := variant(route.policy))
        for name in upstreams_of_route(route)
    }
    return sorted(found)


def policies_of(host: Host) -> list[Policy]:
    """The policies of its routes."""
    return [route.policy for route in host.routes if route.policy is not NO_POLICY]


def upstreams_of(host: Host) -> Iterator[str]:
    """The groups that the routes of a host name."""
    for route in host.routes:
        if route.policy is NO_POLICY:
            if isinstance(route.action, Forward):
                yield from (part.upstream for part in route.action.split)
            continue
        kind = variant(route.policy)
        if isinstance(route.action, Forward):
            yield from (variant_name(kind, part.upstream) for part in route.action.split)
        yield from policy_upstreams(route.policy)
        if kind and route.policy.canary:
            yield variant_name(kind, route.policy.canary.upstream)


def upstreams_of_route(route: Route) -> Iterator[str]:
    """The upstreams among which a route chooses."""
    if isinstance(route.action, Forward):
        yield from (part.upstream for part in route.action.split)
    if route.policy.canary:
        yield route.policy.canary.upstream


def group_origins(groups: Collection[Rendered]) -> Lines:
    """Whose the lines of upstreams.conf are."""
    first_lines = accumulate([it.lines for it in groups], initial=1)
    return tuple([(line, it.source) for line, it in zip(first_lines, groups, strict=False) if it.source])


# ------------------------------------------------------------------ files for all


class HashSizes(Struct, frozen=True):
    """What nginx's tables of names need."""

    names: int
    bucket: int
    variables: int
    maps: int = 0


def lengths_of_names(hosts: Iterable[Host]) -> tuple[int, int]:
    """How many names there are that are no patterns, and the length of the longest."""
    names = [name for host in hosts for name in (host.name, *host.aliases) if name and name[:2] != "*."]
    return len(names), max(map(len, names), default=0)


def hash_sizes(names: tuple[int, int], variables: int, maps: int) -> HashSizes:
    """Sizes that change seldom; a bucket holds the longest name, and others for a hash that is quick to build."""
    count, longest = names
    bucket = max(256, -(-(longest + 32) // 64) * 64)
    return HashSizes(power_of_two(2 * count, least=512), bucket, power_of_two(2 * variables, least=1024), maps)


def main_file(
    options: Options,
    version: Version,
    base: Base,
    sizes: HashSizes,
    lua: Lua | None,
    *,
    has_policies: bool,
    has_patterns: bool,
) -> bytes:
    """The file that nginx is started with."""
    return fill(
        "nginx.conf",
        workers=options.workers or syntax.name("auto"),
        connections=options.max_connections or 16384,
        drain_timeout=syntax.seconds(options.drain_timeout),
        names_hash_size=sizes.names,
        names_hash_bucket=sizes.bucket,
        variables_hash_size=sizes.variables,
        idle_timeout=syntax.seconds(options.idle_timeout),
        keepalive_min_timeout=syntax.seconds(min(KEEPALIVE_MIN_SECONDS, options.idle_timeout)),
        has_keepalive_min_timeout=version >= KEEPALIVE_MIN_TIMEOUT,
        has_http2_directive=version >= HTTP2_DIRECTIVE,
        http2=syntax.name("off" if options.http2 is False else "on"),
        tls_protocols=[syntax.name(each) for each in options.tls_protocols or ("TLSv1.2", "TLSv1.3")],
        tickets=syntax.name("on" if options.tls_session_tickets else "off"),
        body_limit=options.body_limit,
        connect_timeout=syntax.seconds(options.connect_timeout),
        read_timeout=syntax.seconds(options.read_timeout),
        send_timeout=syntax.seconds(options.send_timeout),
        tries=max(options.tries, 0 if options.retry_conditions is not None else 1),
        retry=own_options.retry_line(options),
        buffers=own_options.buffer_lines(options),
        resolvers=[syntax.resolver(address) for address in options.resolvers],
        trusts_headers=bool(options.forwarded and options.forwarded.headers),
        makes_request_id=options.request_id is not False,
        request_headers=[(phrases.header(name), word) for name, word in base.request_headers],
        passes_server="server" not in {name.lower() for name in base.hidden},
        options=own_options.lines(options, base),
        modules=[syntax.literal(module) for module in lua.modules] if lua else (),
        has_lua=lua is not None,
        map_hash_size=sizes.maps,
        has_policies=has_policies,
        has_patterns=has_patterns,
    )


def idle_lines(options: Options, usually: int = 32) -> tuple[Word, ...]:
    """Connections to upstreams that wait for requests."""
    count = usually if options.upstream_idle_connections is None else options.upstream_idle_connections
    seconds = 4.0 if options.upstream_idle_timeout is None else options.upstream_idle_timeout
    if not count:
        return ()
    found = (directive("keepalive", count), directive("keepalive_timeout", syntax.seconds(seconds)))
    requests = options.upstream_idle_requests
    return found if requests is None else (*found, directive("keepalive_requests", requests))


def listen_file(options: Options, version: Version, *, is_default: bool) -> bytes:
    """What every server listens on."""
    return fill(
        "listen.conf",
        plain=[syntax.listen(address, options.http_port) for address in options.bind],
        secure=[syntax.listen(address, options.https_port) for address in options.bind],
        is_default=is_default,
        takes_proxy=bool(options.proxy_protocol),
        says_http2=version < HTTP2_DIRECTIVE and options.http2 is not False,
        lines=own_options.server_lines(options, is_default=is_default),
    )


def digest_file(options: Options, digest: str, lua: Lua | None) -> bytes:
    """The location that reports a digest on a unix socket; with Lua another one takes endpoints."""
    socket = syntax.literal(f"unix:{options.runtime_dir}/nginx.sock")
    return fill("digest.conf", socket=socket, digest=syntax.value(digest), has_lua=lua is not None)


def endpoints_file(options: Options, lua: Lua, groups: int) -> bytes:
    """How endpoints are chosen that change while nginx runs; what is told of them has room for each group."""
    return fill(
        "endpoints.conf",
        libraries=syntax.literal(f"{lua.libraries}/?.lua;;") if lua.libraries else NOTHING,
        size=power_of_two(groups // 1024, least=8),
        idle=idle_lines(options, SHARED_IDLE),
    )


def zone_size(upstreams: Collection[Upstream]) -> int:
    """KiB of shared memory for all groups: nginx needs less than one for a group and for each of its servers."""
    return power_of_two(len(upstreams) + sum([len(upstream.endpoints) for upstream in upstreams]), least=256)


def power_of_two(number: int, *, least: int) -> int:
    """The next power of two, so that sizes change seldom."""
    return max(least, 1 << max(number - 1, 0).bit_length())
