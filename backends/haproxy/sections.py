"""The sections of haproxy.cfg: the head, which never names a tenant, and one backend for each target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jinja2
from msgspec import Struct

from backends.haproxy import proxywide, reach, syntax
from backends.haproxy.decisions import decide
from backends.haproxy.routes import HostRows, Target, is_plain, refusal
from backends.haproxy.syntax import Encoded
from gen.backend import digest_of
from gen.errors import BadValue
from gen.ir import Certificate, Config, Endpoint, Options, Policy, Redirect, Respond, Source, Upstream
from gen.policy import literal

ADMIN_SOCKET, INNER_SOCKET, HOP_SOCKET = "admin.sock", "inner.sock", "hop.sock"
GENERATION = syntax.file("maps/generation.map")
DURATIONS = ("connect_timeout", "read_timeout", "send_timeout", "idle_timeout", "drain_timeout")

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("backends.haproxy"),
    undefined=jinja2.StrictUndefined,
    finalize=syntax.only_encoded,
    trim_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - no HTML; `finalize` refuses what no encoder made
)
SCRIPT = jinja2.PackageLoader("backends.haproxy").get_source(TEMPLATES, "gen.lua")[0].encode()
"""The Lua script, the same for every configuration."""
HEAD = TEMPLATES.get_template("haproxy.cfg.j2")
BACKEND: Callable[..., str] = TEMPLATES.get_template("backend.cfg.j2").module.backend  # type: ignore[attr-defined]


class Section(Struct, frozen=True, gc=False):
    """A section as text, and whom its lines belong to, counted from 0."""

    text: bytes
    lines: int
    origins: tuple[tuple[int, Source], ...]
    files: tuple[tuple[str, bytes], ...] = ()
    parts: tuple[tuple[Encoded, tuple[Encoded, ...]], ...] = ()
    has_script: bool = False
    has_limit: bool = False


class Features(Struct, frozen=True, gc=False):
    """What the head has to hold for the hosts of a configuration."""

    has_policies: bool = False
    has_script: bool = False
    has_limits: bool = False
    has_canaries: bool = False
    has_fallbacks: bool = False
    has_schemes: bool = False
    has_clients: bool = False
    has_name_patterns: bool = False
    headers: tuple[Encoded, ...] = ()
    cookies: tuple[Encoded, ...] = ()


def features_of(hosts: list[HostRows], sections: Iterable[Section], options: Options) -> Features:
    """What the rows, the sections and the options need."""
    choices = [each.choices for each in hosts]
    has_clients = any(each.clients for each in hosts)
    has_limits = options.body_limit > 0 or any(each.has_limit for each in sections)
    return Features(
        has_policies=any(target.name.startswith("policy:") for each in hosts for target in each.targets),
        has_script=has_limits or has_clients or any(each.has_script for each in sections),
        has_limits=has_limits,
        has_canaries=any(each.canaries for each in choices),
        has_fallbacks=any(each.fallbacks for each in choices),
        has_schemes=any(each.schemes for each in choices),
        has_clients=has_clients,
        has_name_patterns=any(each.patterns for each in hosts),
        headers=tuple(sorted({name for each in choices for name in each.headers})),
        cookies=tuple(sorted({name for each in choices for name in each.cookies})),
    )


# ------------------------------------------------------------------ the head


def head(config: Config, features: Features, files: dict[str, bytes]) -> bytes:
    """All sections but the backends.

    Shape: `files` gets the files that the head names.
    """
    options = config.options
    text = HEAD.render(
        generation=GENERATION,
        admin_socket=syntax.word(f"{options.runtime_dir}/{ADMIN_SOCKET}"),
        inner_socket=syntax.word(f"{options.runtime_dir}/{INNER_SOCKET}"),
        hop_socket=syntax.word(f"{options.runtime_dir}/{HOP_SOCKET}"),
        features=features,
        options=proxywide.values(options, files),
        workers=options.workers,
        retries=reach.further_tries(options.tries),
        body_limit=options.body_limit,
        http_port=options.http_port,
        https_port=options.https_port,
        told_https_port=options.told_https_port if options.tells_other_port else 0,
        http_addresses=syntax.addresses(options.bind, options.http_port),
        https_addresses=syntax.addresses(options.bind, options.https_port),
        ipv6=any(":" in address for address in options.bind),
        resolve=any(upstream.dns for upstream in config.upstreams.values()),
        name_servers=[syntax.name_server(text) for text in options.resolvers],
        **{field: syntax.duration(getattr(options, field)) for field in DURATIONS},
    )
    return text.encode()


# ------------------------------------------------------------------ backends


def section(target: Target, subject: Upstream | Redirect | Respond, certificate: Certificate | None) -> Section:
    """The backend section of a target.  Raises Rejected, with the object to blame, for what cannot be written."""
    servers: dict[str, Any] = upstream_values(subject) if isinstance(subject, Upstream) else {}
    try:
        answer = policy_values(target.policy) if isinstance(subject, Upstream) else answer_values(subject)
        draft = decide(target, subject, certificate)
    except BadValue as error:
        raise refusal(target.source, error) from error
    if any(line.startswith(("balance ", "hash-type ")) for line in draft.lines):
        servers |= {"balance": None, "consistent": False}
    if isinstance(subject, Upstream):
        is_hashed = servers["consistent"] or any(line.startswith("hash-type ") for line in draft.lines)
        servers["servers"] = server_lines(subject, is_hashed=is_hashed)
    text = BACKEND(target.name, **{**ABSENT, "rules": draft.lines, **answer, **servers})
    lines = text.count("\n")
    owners = [(0, target.source)]
    if isinstance(subject, Upstream):
        owners.append((lines - len(servers["servers"]), subject.source))
    named, parts = tuple(draft.files.items()), tuple(draft.parts.items())
    return Section(text.encode(), lines, tuple(owners), named, parts, draft.has_script, draft.has_limit)


def shared_parts(sections: Iterable[Section]) -> bytes:
    """The sections that backends name, each one once."""
    parts = {first: lines for each in sections for first, lines in each.parts}
    return "".join(
        f"\n{first}\n" + "".join(f"    {line}\n" for line in parts[first]) for first in sorted(parts)
    ).encode()


ABSENT: dict[str, Any] = dict.fromkeys(
    ("status", "location", "body", "upstream_host", "balance", "consistent", "dns"), None
) | {"servers": (), "rules": ()}


def answer_values(answer: Redirect | Respond) -> dict[str, Any]:
    """What the template prints of an answer.  Raises BadValue."""
    if isinstance(answer, Respond):
        return {"status": answer.status, "body": syntax.body(answer.body) if answer.body else None}
    return {"status": answer.status, "location": syntax.redirected(answer)}


def policy_values(policy: Policy) -> dict[str, Any]:
    """What the template prints of a policy.  Raises BadValue."""
    plain = is_plain(policy) and policy.upstream_host
    return {"upstream_host": syntax.header(literal(plain)) if plain else None}


def upstream_values(upstream: Upstream) -> dict[str, Any]:
    """What the template prints of an upstream.  Raises Rejected."""
    try:
        return {
            "balance": syntax.balance(upstream.balance),
            "consistent": upstream.balance == "source_hash",
            "dns": upstream.dns and syntax.dns_name(upstream.dns.name, upstream.dns.port),
        }
    except BadValue as error:
        raise refusal(upstream.source, error) from error


def server_lines(upstream: Upstream, *, is_hashed: bool) -> list[Encoded]:
    """The servers of an upstream, each as the words of its line.  Raises Rejected."""
    try:
        return servers_of(upstream.endpoints, is_hashed=is_hashed)
    except BadValue as error:
        raise refusal(upstream.source, error) from error


def servers_of(endpoints: tuple[Endpoint, ...], *, is_hashed: bool) -> list[Encoded]:
    """One server for each address and port; draining ones get no new requests while there are others.

    Shape: where requests are shared out by a hash, each server has a number of its own, which stays the same whoever
    else comes or goes.
    """
    distinct = {(endpoint.address, endpoint.port): endpoint for endpoint in reversed(endpoints)}
    found = [distinct[key] for key in sorted(distinct)]
    all_drain = all(endpoint.draining for endpoint in found)
    weights = syntax.scaled(0 if endpoint.draining and not all_drain else endpoint.weight for endpoint in found)
    lines = []
    numbers: set[int] = set()
    for each, weight in zip(found, weights, strict=True):
        address = syntax.address(each.address, each.port)
        words = [syntax.server_name(each.address, each.port), address]
        if weight != 1:
            words.append(syntax.rule("weight %s", weight))
        if is_hashed:
            words.append(syntax.rule("id %s", number_of(address, numbers)))
        lines.append(Encoded(" ".join(words)))
    return lines


def number_of(address: Encoded, taken: set[int]) -> int:
    """A number for a server, made from its address; the next one where that is taken."""
    number = int(digest_of(address.encode())[:7], 16) + 1
    while number in taken:
        number += 1
    taken.add(number)
    return number
