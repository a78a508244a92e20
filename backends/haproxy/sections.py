"""The sections of haproxy.cfg: the head, which never names a tenant, and one backend for each target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jinja2
from msgspec import Struct

from backends.haproxy import syntax
from backends.haproxy.routes import Target
from backends.haproxy.syntax import Encoded
from gen.errors import BadValue, Rejected
from gen.ir import Config, Endpoint, Redirect, Respond, Source, Upstream

ADMIN_SOCKET = "admin.sock"
DURATIONS = ("connect_timeout", "read_timeout", "send_timeout", "idle_timeout", "drain_timeout")

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("backends.haproxy"),
    undefined=jinja2.StrictUndefined,
    finalize=syntax.only_encoded,
    trim_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - no HTML; `finalize` refuses what no encoder made
)
HEAD = TEMPLATES.get_template("haproxy.cfg.j2")
BACKEND: Callable[..., str] = TEMPLATES.get_template("backend.cfg.j2").module.backend  # type: ignore[attr-defined]


class Section(Struct, frozen=True):
    """A section as text, and whom its lines belong to, counted from 0."""

    text: bytes
    lines: int
    origins: tuple[tuple[int, Source], ...]


# ------------------------------------------------------------------ the head


def head(config: Config, digest: str) -> bytes:
    """All sections but the backends; `digest` is what HAProxy reports as its description."""
    options = config.options
    text = HEAD.render(
        digest=syntax.name(digest),
        admin_socket=syntax.word(f"{options.runtime_dir}/{ADMIN_SOCKET}"),
        workers=options.workers,
        retries=max(options.tries - 1, 0),
        body_limit=options.body_limit,
        http_port=options.http_port,
        https_port=options.https_port,
        http_addresses=syntax.addresses(options.bind, options.http_port),
        https_addresses=syntax.addresses(options.bind, options.https_port),
        ipv6=any(":" in address for address in options.bind),
        resolve=any(upstream.dns for upstream in config.upstreams.values()),
        name_servers=[syntax.name_server(text) for text in options.resolvers],
        **{field: syntax.duration(getattr(options, field)) for field in DURATIONS},
    )
    return text.encode()


# ------------------------------------------------------------------ backends


def section(target: Target, subject: Upstream | Redirect | Respond) -> Section:
    """The backend section of a target.  Raises Rejected, with the object to blame, for what cannot be written."""
    owner = subject.source if isinstance(subject, Upstream) else target.source
    try:
        values = values_of(target, subject)
    except BadValue as error:
        raise Rejected(f"{owner}: {error}", (owner,)) from error
    text = BACKEND(target.name, **{**ABSENT, **values})
    lines = text.count("\n")
    servers = len(values.get("servers", ()))
    return Section(text.encode(), lines, ((0, target.source), (lines - servers, owner)) if servers else ((0, owner),))


ABSENT: dict[str, Any] = dict.fromkeys(
    ("status", "location", "body", "upstream_host", "balance", "consistent", "dns"), None
) | {"servers": ()}


def values_of(target: Target, subject: Upstream | Redirect | Respond) -> dict[str, Any]:
    """What the template of a backend prints, apart from the name.  Raises BadValue."""
    match subject:
        case Redirect():
            location = syntax.header(subject.url) if subject.url else syntax.same_origin(subject.path)
            return {"status": subject.status, "location": location}
        case Respond():
            return {"status": subject.status, "body": syntax.body(subject.body) if subject.body else None}
    host = target.policy.upstream_host
    return {
        "upstream_host": syntax.header(host) if host else None,
        "balance": syntax.balance(subject.balance),
        "consistent": subject.balance == "source_hash",
        "dns": subject.dns and syntax.dns_name(subject.dns.name, subject.dns.port),
        "servers": servers_of(subject.endpoints),
    }


def servers_of(endpoints: tuple[Endpoint, ...]) -> list[tuple[Encoded, Encoded, int]]:
    """One server for each address and port; draining ones get no new requests while there are others."""
    distinct = {(endpoint.address, endpoint.port): endpoint for endpoint in reversed(endpoints)}
    found = [distinct[key] for key in sorted(distinct)]
    all_drain = all(endpoint.draining for endpoint in found)
    weights = syntax.scaled(0 if endpoint.draining and not all_drain else endpoint.weight for endpoint in found)
    return [
        (syntax.server_name(each.address, each.port), syntax.address(each.address, each.port), weight)
        for each, weight in zip(found, weights, strict=True)
    ]
