"""A Config as nginx configuration: pure, and no more work than what changed since the last time.

nginx.conf              what holds for all: workers, timeouts, headers, upstream rules
digest.conf             the location by which nginx reports what it runs
listen.conf             addresses and ports; listen-default.conf is the same for the catch-all
upstreams.conf          one group for each upstream that has endpoints
policies.conf           what policies need beside the servers: zones, a cache
hosts/NAME-ID.conf      one server for each host; default.conf is the catch-all
patterns/NAME-ID.conf   the same for the names of a host that are patterns: nginx tries them last
policies/               passwords and certificates that policies name
certificates/NAME-ID    .crt and .key
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
from msgspec import Struct

from backends.nginx import options as own_options
from backends.nginx import phrases, snippets, syntax
from backends.nginx.parts import Base, Target, Zone, base_of
from backends.nginx.phrases import directive
from backends.nginx.policy import Written
from backends.nginx.routes import NO_POLICIES, PERSISTENT, Location, locations, variant, variant_name
from backends.nginx.servers import certificate_lines, names_of, pattern_names
from backends.nginx.syntax import NOTHING, Word
from backends.nginx.version import Version
from gen.backend import Bundle, digest_of_files, object_name
from gen.errors import BadValue, Rejected
from gen.ir import (
    CATCH_ALL,
    NO_POLICY,
    Certificate,
    Config,
    Endpoint,
    Forward,
    Host,
    Options,
    Policy,
    Route,
    Source,
    Upstream,
)
from gen.policy import certificates_of
from gen.policy import upstreams_of as policy_upstreams

HTTP2_DIRECTIVE: Version = (1, 25, 1)
KEEPALIVE_MIN_TIMEOUT: Version = (1, 27, 4)
KEEPALIVE_MIN_SECONDS = 10.0
ROUTE_MARK = "\n    # "
NO_FILES: Mapping[str, bytes] = {}
LISTEN, LISTEN_DEFAULT = syntax.name("listen.conf"), syntax.name("listen-default.conf")

Lines = tuple[tuple[int, Source], ...]


class Rendered(Struct, frozen=True):
    """One host, upstream or certificate as text, and what that was made of: it holds for the very same alone.

    Shape: `name` is that of its file or group; `origins` are (line, object); `variables` counts those it defines.
    """

    unit: object
    context: object
    name: Word
    text: bytes = b""
    origins: Lines = ()
    target: Target = Target()
    variables: int = 0
    patterns: bytes = b""
    files: Mapping[str, bytes] = NO_FILES
    zones: tuple[Zone, ...] = ()
    needs: frozenset[str] = frozenset()


class Memory:
    """What was rendered before; the next rendering takes from it what has not changed, also after one that failed."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Rendered] = {}
        self._next: dict[tuple[str, str], Rendered] = {}

    def recall(self, name: str, unit: Any, context: object, write: Callable[[Any, Any], Rendered]) -> Rendered:
        """The unit as it was rendered last time, or rendered now."""
        key = (type(unit).__name__, name)
        found = self._last.get(key)
        if found is None or found.unit is not unit or found.context != context:
            found = self._last[key] = write(unit, context)
        self._next[key] = found
        return found

    def turn(self) -> None:
        """Forget what this rendering had no use for."""
        self._last, self._next = self._next, {}


def render(config: Config, version: Version, memory: Memory | None = None) -> Bundle:
    """The bundle for a Config.  Raises Rejected, with the object to blame, for a value that nginx cannot hold."""
    memory = memory or Memory()
    options, base = config.options, base_of(config.options)
    variants = [(kind, name) for kind, name in sorted(variants_of(config)) if kind]
    size = zone_size([*config.upstreams.values(), *(config.upstreams[name] for _, name in variants)])
    idle = idle_lines(options)
    groups: dict[str, Rendered] = {}
    for kind, name in [*(("", name) for name in config.upstreams), *variants]:
        context = (size, bool(options.resolvers), idle, kind)
        groups[variant_name(kind, name)] = memory.recall(f"{kind} {name}", config.upstreams[name], context, group)
    certificates = {name: memory.recall(name, it, None, certificate) for name, it in config.certificates.items()}
    servers = []
    for host in config.hosts.values():
        own = host.certificate or (options.default_certificate if host.name == CATCH_ALL else "")
        targets = {name: groups[name].target for name in upstreams_of(host)}
        pems = {name: certificates[name].name for policy in policies_of(host) for name in certificates_of(policy)}
        aliases = tuple(map(config.certificates[own].is_for, host.aliases)) if own and host.aliases else ()
        context_of_host = (targets, certificates[own].name if own else NOTHING, base, pems, aliases)
        servers.append(memory.recall(host.name, host, context_of_host, server))
    memory.turn()

    files: dict[str, bytes] = {}
    origins: dict[str, Lines] = {}
    for it in servers:
        files[f"hosts/{it.name}.conf"], origins[f"hosts/{it.name}.conf"] = it.text, it.origins
        if it.patterns:
            files[f"patterns/{it.name}.conf"], origins[f"patterns/{it.name}.conf"] = it.patterns, it.origins[:1]
        files.update(it.files)
    for name, it in certificates.items():
        pem = config.certificates[name]
        for path, content in ((f"certificates/{it.name}.crt", pem.chain), (f"certificates/{it.name}.key", pem.key)):
            files[path], origins[path] = content, it.origins
    files["upstreams.conf"], origins["upstreams.conf"] = concatenated(groups.values())
    needs = frozenset[str]().union(*(it.needs for it in servers))
    policies = own_options.policy_lines((zone for it in servers for zone in it.zones), needs)
    if policies:
        files["policies.conf"] = "".join(f"{line}\n" for line in policies).encode()
    variables = sum(it.variables for it in servers) + len(policies)
    files["nginx.conf"] = main_file(config, version, variables, base, files)
    files["listen.conf"] = listen_file(options, version, is_default=False)
    files["listen-default.conf"] = listen_file(options, version, is_default=True)
    digest = digest_of_files({**files, "digest.conf": digest_file(options, "")})
    files["digest.conf"] = digest_file(options, digest)
    secrets = {f"certificates/{it.name}.key" for it in certificates.values()}
    secrets |= {path for path in files if path.endswith(".htpasswd")}
    return Bundle(dict(sorted(files.items())), digest, config, frozenset(secrets), origins)


def variants_of(config: Config) -> set[tuple[str, str]]:
    """The upstreams that a policy balances or speaks to in another way."""
    found = {
        (kind, name)
        for host in config.hosts.values()
        for route in host.routes
        if route.policy is not NO_POLICY and (kind := variant(route.policy))
        for name in upstreams_of_route(route)
    }
    # Where an endpoint is named directly, it is one of the group without that.
    found |= {(kind.removeprefix(PERSISTENT), name) for kind, name in found if kind.startswith(f"{PERSISTENT}/")}
    return found


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


def concatenated(parts: Iterable[Rendered]) -> tuple[bytes, Lines]:
    """The texts of several units one after the other, and where each begins."""
    texts: list[bytes] = []
    origins: list[tuple[int, Source]] = []
    line = 1
    for part in parts:
        texts.append(part.text)
        origins.extend((line + offset, source) for offset, source in part.origins)
        line += part.text.count(b"\n")
    return b"".join(texts), tuple(origins)


# ------------------------------------------------------------------ units


def group(upstream: Upstream, context: tuple[int, bool, tuple[Word, ...], str]) -> Rendered:
    """The group of an upstream; one without endpoints has none, and neither has a name that nginx resolves."""
    size, can_resolve, idle, kind = context
    balance, _, speech = kind.partition("/")
    fields = tuple(field for field in (balance.removeprefix(PERSISTENT), speech) if field)
    name = syntax.name(object_name(upstream.id, *fields))
    try:
        if upstream.dns:
            target = Target(syntax.dns_target(upstream.dns), is_dns=True) if can_resolve else Target()
            return Rendered(upstream, context, name, target=target)
        peers = [(syntax.address(endpoint), endpoint.weight) for endpoint in live(upstream.endpoints)]
    except BadValue as error:
        raise Rejected(f"{upstream.source}: {error}", (upstream.source,)) from error
    if not peers:
        return Rendered(upstream, context, name)
    if balance == PERSISTENT:  # the same group, whose servers are named one by one
        return Rendered(upstream, context, name, target=Target(name, servers=tuple(server for server, _ in peers)))
    if speech.startswith("as_client"):  # what is idle there may be plain or not
        idle = ()
    text = macro("upstreams.conf", "upstream")(name, size, balance or upstream.balance, peers, idle).encode()
    return Rendered(upstream, context, name, text, ((0, upstream.source),), Target(name))


def live(endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """The endpoints that get requests: those that drain only when there are no others."""
    weighted = [endpoint for endpoint in endpoints if endpoint.weight > 0]
    return [endpoint for endpoint in weighted if not endpoint.draining] or weighted


def certificate(unit: Certificate, context: None) -> Rendered:
    """The name and origin of a certificate; its bytes are its own."""
    return Rendered(unit, context, syntax.name(object_name(unit.id)), origins=((1, unit.source),))


def server(
    host: Host,
    context: tuple[Mapping[str, Target], Word, Base, Mapping[str, Word], tuple[bool, ...]],
) -> Rendered:
    """The server of a host, another for names that its certificate is not for, and one for patterns."""
    targets, own_certificate, base, certificates, aliases = context
    snippet = host.policy.directives or ()
    try:
        base = snippets.base_with(base, snippet) if snippet else base
        found = locations(host, targets, base, certificates)
        servers = names_of(host, own_certificate, aliases)
        patterns = pattern_names(host)
        own, files = certificate_lines(host)
        own += snippets.host(base, snippet) if snippet else ()
    except BadValue as error:
        raise Rejected(f"host {host.name[:80]!r}: {error}", host.sources) from error
    write, beside = macro("host.conf", "server"), together(found)
    blocks = [(it.origin, it.matches, it.handler.in_short, it.handler.written.lines) for it in found]
    may_not_resolve = any(it.handler.may_not_resolve for it in found)

    def text_of(listen: Word, names: Sequence[Word], shown: Word) -> str:
        return write(listen, names, shown, own, blocks, beside.locations, may_not_resolve)

    listen = LISTEN if host.name else LISTEN_DEFAULT
    text = "".join([text_of(listen, names, shown) for names, shown in servers])
    splits = [it.handler for it in found if it.handler.shares]
    if splits or beside.maps:
        text = macro("host.conf", "before")(beside.maps, splits) + text
    return Rendered(
        host,
        context,
        file_name(host),
        text.encode(),
        (((1, host.sources[0]),) if host.sources else ()) + route_lines(text, found),
        variables=len(splits) + beside.variables,
        patterns=text_of(LISTEN, patterns, NOTHING).encode() if patterns else b"",
        files={**files, **beside.files} if files or beside.files else NO_FILES,
        zones=tuple(beside.zones),
        needs=frozenset(each for each in own_options.NEEDS if each in text) if beside.lines else frozenset(),
    )


def together(found: Sequence[Location]) -> Written:
    """What the policies of all routes of a host say."""
    written = [it.handler.written for it in found if it.handler.written is not NO_POLICIES]
    if not written:
        return NO_POLICIES
    return Written(
        lines=[line for each in written for line in each.lines],
        maps=[line for each in written for line in each.maps],
        locations=[line for each in written for line in each.locations],
        files={path: content for each in written for path, content in each.files.items()},
        zones=[zone for each in written for zone in each.zones],
        variables=sum(each.variables for each in written),
    )


def file_name(host: Host) -> Word:
    """The name of the file of a host."""
    if host.name == CATCH_ALL:
        return syntax.name("default")
    fields = ("wildcard", host.name[2:]) if host.is_wildcard else (host.name,)
    return syntax.name(object_name(*fields))


def route_lines(text: str, found: Sequence[Location]) -> Lines:
    """The line at which each location begins, which is that of its comment."""
    lines, line, last = [], 2, 0
    for it in found:
        mark = text.index(ROUTE_MARK, last)
        line += text.count("\n", last, mark)
        last = mark + 1
        lines.append((line, it.source))
        line += 1
    return tuple(lines)


# ------------------------------------------------------------------ files for all


def main_file(config: Config, version: Version, variables: int, base: Base, files: Mapping[str, bytes]) -> bytes:
    """The file that nginx is started with."""
    options = config.options
    names = [name for host in config.hosts.values() for name in (host.name, *host.aliases) if name and name[:2] != "*."]
    return fill(
        "nginx.conf",
        workers=options.workers or syntax.name("auto"),
        connections=options.max_connections or 16384,
        drain_timeout=syntax.seconds(options.drain_timeout),
        names_hash_size=power_of_two(2 * len(names), least=512),
        names_hash_bucket=bucket_size(names),
        variables_hash_size=power_of_two(2 * variables, least=1024),
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
        has_policies="policies.conf" in files,
        has_patterns=any(path.startswith("patterns/") for path in files),
    )


def idle_lines(options: Options) -> tuple[Word, ...]:
    """Connections to upstreams that wait for requests."""
    count = 32 if options.upstream_idle_connections is None else options.upstream_idle_connections
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


def digest_file(options: Options, digest: str) -> bytes:
    """The location that reports a digest on a unix socket."""
    return fill(
        "digest.conf", socket=syntax.literal(f"unix:{options.runtime_dir}/nginx.sock"), digest=syntax.value(digest)
    )


def bucket_size(names: Iterable[str]) -> int:
    """Bytes of a bucket that holds the longest name, and enough others for a hash that is quick to build."""
    longest = max(map(len, names), default=0)
    return max(256, -(-(longest + 32) // 64) * 64)


def zone_size(upstreams: Iterable[Upstream]) -> int:
    """KiB of shared memory for all groups: nginx needs less than one for a group and for each of its servers."""
    return power_of_two(sum(1 + len(upstream.endpoints) for upstream in upstreams), least=256)


def power_of_two(number: int, *, least: int) -> int:
    """The next power of two, so that sizes change seldom."""
    return max(least, 1 << max(number - 1, 0).bit_length())


# ------------------------------------------------------------------ templates


@cache
def templates() -> jinja2.Environment:
    """The templates; they print nothing that no encoder wrote."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("backends.nginx"),
        undefined=jinja2.StrictUndefined,
        finalize=syntax.only_encoded,
        autoescape=False,  # noqa: S701 that is for HTML; here `finalize` watches
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def macro(template: str, name: str) -> Callable[..., str]:
    """A macro of a template, which is much cheaper to call than a template."""
    found: Callable[..., str] = getattr(templates().get_template(f"{template}.j2").module, name)
    return found


def fill(template: str, **values: object) -> bytes:
    """A template as a file."""
    return templates().get_template(f"{template}.j2").render(values).encode()
