"""One host, one upstream, one certificate as nginx has it: the grain of all rendering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backends.nginx import options as own_options
from backends.nginx import snippets, syntax
from backends.nginx.memory import Lines, Rendered
from backends.nginx.parts import Base, Target
from backends.nginx.policy import Written
from backends.nginx.routes import NO_POLICIES, PERSISTENT, Location, locations
from backends.nginx.servers import certificate_lines, names_of, pattern_names
from backends.nginx.syntax import NOTHING, Word
from backends.nginx.template import macro
from gen.backend import digest_of, digest_of_files, object_name
from gen.errors import BadValue, Rejected
from gen.ir import CATCH_ALL, Certificate, Endpoint, Host, Upstream

ROUTE_MARK = "\n    # "
Surroundings = tuple[Mapping[str, Target], Word, Base, Mapping[str, Word], tuple[bool, ...]]
"""What a host has around it: the targets of its routes, its certificate, the base, other certificates by id, and for
which of its aliases its certificate is."""
LISTEN, LISTEN_DEFAULT = syntax.name("listen.conf"), syntax.name("listen-default.conf")


LIVE = "live"
"""The kind of a group whose endpoints change while nginx runs."""


def live_group(upstream: Upstream, name: Word, context: object, peers: Sequence[tuple[Word, int]]) -> Rendered | None:
    """The row of endpoints.map of a group, None where nginx cannot hold it in one."""
    text = " ".join(f"{address}*{weight}" if weight != 1 else address for address, weight in peers)
    if upstream.balance != "round_robin" or len(text) > syntax.WORD_LIMIT:
        return None
    row = f'"{name}" "{text}";\n'.encode()
    target = Target(name, is_live=True, is_empty=not peers)
    return Rendered(upstream, context, digest_of(row), text=row, lines=1, name=name, target=target)


def group(upstream: Upstream, context: tuple[int, bool, tuple[Word, ...], str]) -> Rendered:
    """The group of an upstream; one without endpoints has none, and neither has a name that nginx resolves."""
    size, can_resolve, idle, kind = context
    kind, is_live = kind.removeprefix(LIVE), kind == LIVE
    balance, _, speech = kind.partition("/")
    fields = tuple(field for field in (balance, speech) if field)
    slug, _, digest = object_name(upstream.id, *fields).rpartition("-")
    name = syntax.name(f"{digest}-{slug}")  # nginx compares the names of all groups with each `proxy_pass`
    try:
        if upstream.dns:
            target = Target(syntax.dns_target(upstream.dns), is_dns=True) if can_resolve else Target()
            return Rendered(upstream, context, name=name, target=target)
        peers = [(syntax.address(endpoint), endpoint.weight) for endpoint in live(upstream.endpoints)]
    except BadValue as error:
        raise Rejected(f"{upstream.source}: {error}", (upstream.source,)) from error
    if is_live and (row := live_group(upstream, name, context, peers)):
        return row
    if not peers:
        return Rendered(upstream, context, name=name)
    if speech.startswith("as_client"):  # what is idle there may be plain or not
        idle = ()
    is_named = balance == PERSISTENT  # then its servers are also named one by one
    kind = upstream.balance if is_named or not balance else balance
    text = macro("upstreams.conf", "upstream")(name, size, kind, peers, idle).encode()
    lines, source = text.count(b"\n"), upstream.source
    target = Target(name, servers=tuple(server for server, _ in peers) if is_named else ())
    return Rendered(upstream, context, digest_of(text), name=name, text=text, lines=lines, source=source, target=target)


def live(endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """The endpoints that get requests: those that drain only when there are no others."""
    weighted = [endpoint for endpoint in endpoints if endpoint.weight > 0]
    return [endpoint for endpoint in weighted if not endpoint.draining] or weighted


def certificate(unit: Certificate, context: None) -> Rendered:
    """The files of a certificate."""
    name = syntax.name(object_name(unit.id))
    files = {f"certificates/{name}.crt": unit.chain, f"certificates/{name}.key": unit.key}
    origins = dict.fromkeys(files, ((1, unit.source),))
    return Rendered(unit, context, digest_of_files(files), files, origins, name)


def server(host: Host, context: Surroundings) -> Rendered:
    """The server of a host, another for names that its certificate is not for, and one for patterns."""
    targets, own_certificate, base, certificates, aliases = context
    snippet = host.policy.directives or ()
    try:
        base = snippets.base_with(base, snippet) if snippet else base
        found = locations(host, targets, base, certificates)
        servers = names_of(host, own_certificate, aliases)
        patterns = pattern_names(host)
        own, own_files = certificate_lines(host)
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
    name = file_name(host)
    first = ((1, host.sources[0]),) if host.sources else ()
    files = {f"hosts/{name}.conf": text.encode(), **own_files, **beside.files}
    origins = {f"hosts/{name}.conf": first + route_lines(text, found)}
    if patterns:
        files[f"patterns/{name}.conf"] = text_of(LISTEN, patterns, NOTHING).encode()
        origins[f"patterns/{name}.conf"] = first
    return Rendered(
        host,
        context,
        digest_of_files(files),
        files,
        origins,
        variables=len(splits) + beside.variables,
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
