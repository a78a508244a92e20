"""Hosts as rows of maps, and the backends that these rows name.

One lookup of `host` + canonical path + `|` in a tree of prefixes decides: the longest row wins.

    prefix /foo     rows  host/foo/  and  host/foo|     the path itself and what lies below
    prefix /foo/    row   host/foo/                     only what lies below
    exact  /foo     row   host/foo|                     first come, first served: exact routes come first

Where a host has regexes, its prefixes stand under `~host`, which is looked up when exact paths and regexes found none.
A split is a number from 1000000 to 1999999 and rows of its leading digits: again a tree decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from backends.haproxy import chains, syntax
from backends.haproxy.syntax import Encoded
from gen.errors import BadValue, Rejected
from gen.ir import NO_POLICY, Forward, Host, Match, Policy, Redirect, Respond, Route, Source
from gen.policy import Canary, ClientCertificate, Text, UpstreamTls, Variable, literal

Row = tuple[bytes, Source]
SHARES = 1_000_000
NOBODY = Source("", "", "")


class Target(Struct, frozen=True, gc=False):
    """What one backend section is made of; `action` is an upstream's id where requests are forwarded."""

    name: Encoded
    action: str | Redirect | Respond
    policy: Policy
    source: Source
    regex: str = ""


class Choices(Struct, frozen=True, gc=False):
    """What the canaries and fallbacks of one host add: rows by the name they belong to, names of headers, cookies."""

    canaries: tuple[tuple[Encoded, tuple[Row, ...]], ...] = ()
    patterns: tuple[tuple[Encoded, tuple[Row, ...]], ...] = ()
    fallbacks: tuple[tuple[Encoded, tuple[Row, ...]], ...] = ()
    schemes: tuple[tuple[Encoded, tuple[Row, ...]], ...] = ()
    headers: frozenset[Encoded] = frozenset()
    cookies: frozenset[Encoded] = frozenset()


class HostRows(Struct, frozen=True, gc=False):
    """All that one host adds to the maps; `splits` are names and rows, `targets` the backends that the rows name."""

    exact: tuple[Row, ...]
    wildcard: tuple[Row, ...]
    routes: tuple[Row, ...]
    regexes: tuple[Row, ...]
    splits: tuple[tuple[Encoded, tuple[Row, ...]], ...]
    targets: tuple[Target, ...]
    choices: Choices = Choices()
    clients: tuple[Row, ...] = ()
    subjects: tuple[Row, ...] = ()
    patterns: tuple[Row, ...] = ()
    site: Encoded = Encoded("")


def rows_of(host: Host) -> HostRows:
    """The rows of one host.  Raises Rejected, with the route to blame, for what cannot be written."""
    site = syntax.host(host.name or "*")
    below = syntax.deferred(site) if any(route.match.kind == "regex" for route in host.routes) else site
    routes: dict[Encoded, Row] = {}
    regexes: list[Row] = []
    splits: dict[Encoded, tuple[Row, ...]] = {}
    targets: list[Target] = []
    chooser = Chooser()
    for route in host.routes:
        try:
            keys = [key for key in keys_of(route.match, site, below) if key not in routes]
            if not keys:
                continue  # routes before it take all that it would take
            parts = targets_of(route)
            names = parts
            if route.policy is not NO_POLICY:
                targets.extend(inner_targets(route))
                names = [(chooser.named(target, route), weight) for target, weight in parts]
                targets.extend(chooser.others(route))
            value = names[0][0].name
            if len(names) > 1:
                value = syntax.split(*(f"{target.name}={weight}" for target, weight in names))
                splits[value] = tuple(split_rows(value, names))
            rows = [(key, (syntax.row(key, value), route.source)) for key in keys]
        except BadValue as error:
            raise refusal(route.source, error) from error
        if route.match.kind == "regex":
            regexes.extend(row for _, row in rows)
        else:
            routes.update(rows)
        targets.extend(target for target, _ in parts)
    return HostRows(
        exact=tuple(name_row(host, name, site) for name in names_of(host) if not name.startswith("*.")),
        wildcard=tuple(name_row(host, name, site) for name in names_of(host) if name.startswith("*.")),
        routes=tuple(routes.values()),
        regexes=tuple(regexes),
        splits=tuple(splits.items()),
        targets=tuple({target.name: target for target in reversed(targets)}.values()),
        choices=chooser.choices(),
        **host_rows(host, site),
    )


def refusal(source: Source, error: BadValue) -> Rejected:
    """What to raise when a value of an object cannot be written."""
    return Rejected(f"{source}: {error}", (source,))


def names_of(host: Host) -> tuple[str, ...]:
    """All names of a host but patterns; none for the catch-all."""
    return (host.name, *host.aliases) if host.name else host.aliases


def name_row(host: Host, name: str, site: Encoded) -> Row:
    """The row that finds a host by a name, a wildcard by what follows its first label."""
    return syntax.row(syntax.parent(syntax.host(name)), site), owner(host)


def owner(host: Host) -> Source:
    """Whom to blame for a host."""
    return host.sources[0] if host.sources else NOBODY


def host_rows(host: Host, site: Encoded) -> dict[str, Any]:
    """The rows of what only few hosts have.  Raises Rejected."""
    client = host.policy.client_certificate
    if not client and not host.alias_patterns:
        return {}
    try:
        patterns = [syntax.row(Encoded(f"(?i:{syntax.pattern(each)})"), site) for each in host.alias_patterns]
        rows = client_rows(client, site) if client else {}
        clients = [syntax.row(Encoded(key), value) for key, value in rows.items()]
        subjects = []
        if client and client.match_subject:
            key = searched_after(site, client.match_subject)
            subjects = [syntax.row(key, Encoded("1"))]
    except BadValue as error:
        raise refusal(owner(host), error) from error
    tables = {"clients": clients, "subjects": subjects, "patterns": patterns}
    return {"site": site, **{name: tuple((row, owner(host)) for row in rows) for name, rows in tables.items()}}


def searched_after(name: Encoded, pattern: str) -> Encoded:
    r"""The key for `name=\n` and a text where a pattern is found; `^` is its begin.  Raises BadValue."""
    return Encoded(rf"^{re.escape(name)}=\n(?ms:.*?(?:{syntax.pattern(pattern)}))")


def client_rows(client: ClientCertificate, site: Encoded) -> dict[str, Encoded]:
    """What the head looks up of a host that asks for certificates.  Raises BadValue."""
    rows = {f"{site}/mode": Encoded(client.verify if client.ca else "closed")}
    rows[f"{site}/id"] = Encoded(sha256(client.ca + b"|" + client.crl).hexdigest()[:20])
    if client.ca and client.verify != "unchecked":
        rows[f"{site}/depth"] = syntax.whole(client.depth)
        rows[f"{site}/heights"] = chains.heights(client.ca)
    if client.error_page:
        rows[f"{site}/page"] = syntax.word_of_key(client.error_page)
    if client.pass_upstream:
        rows[f"{site}/pass"] = Encoded("1")
    if client.match_subject:
        rows[f"{site}/subject"] = Encoded("1")
    return rows


def keys_of(match: Match, site: Encoded, below: Encoded) -> Iterator[Encoded]:
    """The keys of the maps that stand for a match."""
    if match.kind == "regex":
        yield syntax.regex(site, match.path)
        return
    path = syntax.path(match.path)
    if match.kind == "prefix":
        yield syntax.key_below(below, path)
    if match.kind == "exact" or not path.endswith("/"):
        yield syntax.key_of(site if match.kind == "exact" else below, path)


def targets_of(route: Route) -> list[tuple[Target, int]]:
    """The targets of a route with their weights; at least one."""
    if not isinstance(route.action, Forward):
        return [(target(route.action, route), 1)]
    parts = [(target(part.upstream, route), part.weight) for part in route.action.split if part.weight > 0]
    return parts or [(target(Respond(503), route), 1)]


def target(action: str | Redirect | Respond, route: Route) -> Target:
    """The backend for an action under the policy of a route; equal ones have one name."""
    policy = policy_of(action, route.policy)
    regex = route.match.path if route.match.kind == "regex" and has_captures(policy) else ""
    return Target(target_name(action, policy, regex), action, policy, route.source, regex)


@lru_cache(maxsize=4096)
def has_captures(policy: Policy) -> bool:
    """Whether a policy names a group of the regex."""
    return policy is not NO_POLICY and b'"capture"' in msgspec.json.encode(policy, enc_hook=repr)


def policy_of(action: str | Redirect | Respond, policy: Policy) -> Policy:
    """What of a policy counts for an action."""
    if policy is NO_POLICY:
        return policy
    match action:
        case Redirect():
            return Policy(cors=policy.cors, response_headers=policy.response_headers)
        case Respond():
            return Policy(**{name: getattr(policy, name) for name in BEFORE_THE_UPSTREAM})
        case _ if policy.canary or policy.fallback:
            return msgspec.structs.replace(policy, canary=None, fallback=None)
    return policy


BEFORE_THE_UPSTREAM = (
    *("allow", "deny", "auth_basic", "auth_external", "satisfy_any", "rate_limits", "connection_limit"),
    *("https_redirect", "cors", "response_headers", "error_pages"),
)


@lru_cache(maxsize=4096)
def mark(policy: Policy) -> str:
    """What tells a policy from others."""
    return sha256(msgspec.msgpack.encode(policy)).hexdigest()[:20]


def is_plain(policy: Policy) -> bool:
    """Whether a policy is nothing but another name for the upstream."""
    if policy is NO_POLICY or policy == NO_POLICY:
        return True
    if policy.upstream_host is None or any(isinstance(piece, Variable) for piece in policy.upstream_host):
        return False
    return policy == Policy(upstream_host=policy.upstream_host)


def target_name(action: str | Redirect | Respond, policy: Policy, regex: str = "") -> Encoded:
    """A name that tells the reader what the backend does."""
    fields = fields_of(action)
    if is_plain(policy):
        return syntax.identifier(*fields, *([literal(policy.upstream_host or ())] if isinstance(action, str) else []))
    return syntax.own(*fields, mark(policy), regex)


def fields_of(action: str | Redirect | Respond) -> tuple[str, ...]:
    """What an action is made of."""
    match action:
        case Redirect():
            query = "" if action.query is None else f"?{action.query}"
            flags = ("cut" if action.cut_slash else "", "relative" if action.is_relative else "")
            return "redirect", str(action.status), action.url, action.host, action.path, query, *flags
        case Respond():
            return "respond", str(action.status), action.body
        case upstream:
            return (upstream,)


# ------------------------------------------------------------------ requests of our own


def inner_target(upstream: str, tls: bool, host: Text, source: Source = NOBODY) -> Target:
    """The backend through which our own requests reach an upstream."""
    policy = Policy()
    if tls:
        name = "" if any(isinstance(piece, Variable) for piece in host) else literal(host).partition(":")[0]
        is_name = bool(syntax.DNS_NAME.fullmatch(name)) and not syntax.IPV4.fullmatch(name)
        wanted = UpstreamTls(server_name=name, send_name=True) if is_name else UpstreamTls()
        policy = Policy(protocol="https", upstream_tls=wanted)
    return Target(target_name(upstream, policy), upstream, policy, source)


def inner_targets(route: Route) -> Iterator[Target]:
    """The backends that the script asks for a route."""
    policy = route.policy
    for part in (policy.auth_external, policy.mirror):
        if part:
            yield inner_target(part.upstream, part.tls, part.host, route.source)
    if policy.error_pages and policy.error_pages.upstream:
        yield inner_target(policy.error_pages.upstream, False, (), route.source)


# ------------------------------------------------------------------ canaries and fallbacks


def cookie_mark(upstream: str) -> Encoded:
    """What an affinity cookie says of the upstream that set it."""
    return Encoded(sha256(upstream.encode()).hexdigest()[:16])


class Chooser:
    """Gathers the rows by which requests go to a canary, or to a fallback."""

    def __init__(self) -> None:
        self._canaries: dict[Encoded, tuple[Row, ...]] = {}
        self._patterns: dict[Encoded, tuple[Row, ...]] = {}
        self._fallbacks: dict[Encoded, tuple[Row, ...]] = {}
        self._schemes: dict[Encoded, tuple[Row, ...]] = {}
        self._headers: set[Encoded] = set()
        self._cookies: set[Encoded] = set()

    def choices(self) -> Choices:
        """All that was gathered."""
        if not self._canaries and not self._fallbacks and not self._schemes:
            return Choices()
        return Choices(
            tuple(self._canaries.items()),
            tuple(self._patterns.items()),
            tuple(self._fallbacks.items()),
            tuple(self._schemes.items()),
            frozenset(self._headers),
            frozenset(self._cookies),
        )

    def others(self, route: Route) -> Iterator[Target]:
        """The backends that only a choice names."""
        if isinstance(route.action, Forward):
            if canary := route.policy.canary:
                yield canary_target(canary, route)
            if fallback := fallback_target(route):
                yield fallback
            if route.policy.protocol == "as_client":
                yield from (secure_target(part.upstream, route) for part in route.action.split)

    def named(self, main: Target, route: Route) -> Target:
        """The target under the name by which the maps know it.  Raises BadValue."""
        if not isinstance(main.action, str):
            return main
        if fallback := fallback_target(route):
            self._fallbacks[main.name] = ((syntax.row(main.name, fallback.name), route.source),)
        if route.policy.protocol == "as_client":
            secure = secure_target(main.action, route)
            self._schemes[main.name] = ((syntax.row(main.name, secure.name), route.source),)
        canary = route.policy.canary
        if canary is None or canary.upstream == main.action:
            return main
        other = canary_target(canary, route)
        name = syntax.canary(main.name, mark(Policy(canary=canary)))
        rows = {f"{name}/main": main.name, f"{name}/canary": other.name}
        rows |= self._by_header(name, canary, main, other, route.source)
        if canary.cookie:
            self._cookies.add(syntax.token(canary.cookie))
            rows |= {
                f"{name}/cookie": syntax.token(canary.cookie),
                f"{name};always": other.name,
                f"{name};never": main.name,
            }
        total = max(canary.weight_total, 1)
        rows[f"{name}/weight"] = Encoded(str(min(max(canary.weight, 0), total) * SHARES // total))
        affinity = route.policy.affinity
        if affinity and canary.sticky:
            self._cookies.add(syntax.token(affinity.cookie))
            rows[f"{name}/sticky"] = syntax.token(affinity.cookie)
            rows[f"{name}@{cookie_mark(main.action)}"] = main.name
            rows[f"{name}@{cookie_mark(canary.upstream)}"] = other.name
        self._canaries[name] = tuple((syntax.row(Encoded(key), value), route.source) for key, value in rows.items())
        return msgspec.structs.replace(main, name=name)

    def _by_header(
        self, name: Encoded, canary: Canary, main: Target, other: Target, source: Source
    ) -> dict[str, Encoded]:
        if not canary.header:
            return {}
        self._headers.add(Encoded(syntax.token(canary.header).lower()))
        rows = {f"{name}/header": Encoded(syntax.token(canary.header).lower())}
        if canary.header_value:
            return rows | {f"{name}={syntax.word_of_key(canary.header_value)}": other.name}
        if canary.header_pattern:
            key = searched_after(name, canary.header_pattern)
            self._patterns[name] = ((syntax.row(key, other.name), source),)
            return rows
        return rows | {f"{name}=always": other.name, f"{name}=never": main.name}


def canary_target(canary: Canary, route: Route) -> Target:
    """The backend of a canary; without stickiness it sets no cookie of its own."""
    policy = policy_of(canary.upstream, route.policy)
    if policy.affinity and not canary.sticky:
        policy = msgspec.structs.replace(policy, affinity=None)
    regex = route.match.path if route.match.kind == "regex" and has_captures(policy) else ""
    return Target(target_name(canary.upstream, policy, regex), canary.upstream, policy, route.source, regex)


def secure_target(upstream: str, route: Route) -> Target:
    """The backend for requests over TLS where the upstream speaks what the client speaks."""
    return target(
        upstream, msgspec.structs.replace(route, policy=msgspec.structs.replace(route.policy, protocol="https"))
    )


def fallback_target(route: Route) -> Target | None:
    """The backend of a fallback, with the headers that it gets."""
    fallback = route.policy.fallback
    if not fallback or not fallback.upstream:
        return None
    own: tuple[tuple[str, Text], ...] = (
        ("X-Code", ("503",)),
        ("X-Format", (Variable("header", "accept"),)),
        ("X-Original-URI", (Variable("request_uri"),)),
        *((name, (value,)) for name, value in fallback.headers),
    )
    kept = policy_of(fallback.upstream, route.policy)
    policy = msgspec.structs.replace(
        kept, request_headers=own, upstream_host=None, rewrite=None, protocol=None, upstream_tls=None, affinity=None
    )
    return Target(target_name(fallback.upstream, policy), fallback.upstream, policy, route.source)


def split_rows(name: Encoded, parts: list[tuple[Target, int]]) -> Iterator[Row]:
    """The rows that share out the numbers of a split."""
    total, passed = sum(weight for _, weight in parts), 0
    for target, weight in parts:
        start, passed = passed, passed + weight
        for digits in blocks(start * SHARES // total, passed * SHARES // total):
            yield syntax.row(syntax.key_of_share(name, digits), target.name), target.source


def blocks(start: int, end: int) -> Iterator[str]:
    """The fewest leading digits that cover the numbers SHARES + start up to, not including, SHARES + end."""
    while start < end:
        zeros = 0
        while start % 10 ** (zeros + 1) == 0 and start + 10 ** (zeros + 1) <= end:
            zeros += 1
        yield str(SHARES + start)[: 7 - zeros]
        start += 10**zeros
