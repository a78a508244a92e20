"""Which clusters there are: one for each way in which the routes reach an upstream."""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from gen.backend import digest_of
from gen.errors import BadValue
from gen.ir import NO_POLICY, Policy
from gen.policy import Text, UpstreamTls, Variable, literal

KEY = "key"
"""The balance that hashes what upstream.lua says."""

SERVER_NAME = re.compile(r"(?=.*[a-z])[a-z0-9-]+(\.[a-z0-9-]+)*", re.IGNORECASE)


class Way(Struct, frozen=True, gc=False):
    """How an upstream is reached, as far as a policy wants it otherwise than the upstream itself has it.

    Shape: `protocol` "" is HTTP/1.1; `balance` is one of gen.ir.Balance, or KEY.
    """

    protocol: str = ""
    tls: UpstreamTls | None = None
    connect: float | None = None
    balance: str = ""


OWN_WAY = Way()


def way_of(policy: Policy) -> Way:
    """The way that a policy asks for."""
    if policy is NO_POLICY:
        return OWN_WAY
    is_secure = policy.protocol in ("https", "grpcs")
    way = Way(
        protocol=policy.protocol or "",
        tls=(policy.upstream_tls or UpstreamTls()) if is_secure else None,
        connect=policy.timeouts.connect if policy.timeouts else None,
        balance=balance(policy),
    )
    return OWN_WAY if way == OWN_WAY else way


def balance(policy: Policy) -> str:
    """What chooses among the endpoints; a persistent cookie does so itself, and needs nothing here."""
    if policy.affinity:
        return "" if policy.affinity.persistent else KEY
    return KEY if policy.hash_by else policy.balance or ""


def way_of_our_own(is_secure: bool, host: Text) -> Way:
    """The way of a request that we make ourselves, to a host."""
    if not is_secure:
        return OWN_WAY
    name = "" if any(isinstance(piece, Variable) for piece in host) else literal(host).partition(":")[0]
    named = UpstreamTls(server_name=name, send_name=True) if SERVER_NAME.fullmatch(name) else UpstreamTls()
    return Way(protocol="https", tls=named)


def mark(way: Way) -> str:
    """What tells a way from others.  Raises BadValue."""
    try:
        return digest_of(msgspec.json.encode(way))
    except UnicodeEncodeError as error:
        raise BadValue("NotUnicode", "expected text that UTF-8 can hold") from error


class Clusters:
    """The clusters that the routes of one host name, gathered while the routes are written.

    Shape: `idle` are the upstreams that have no endpoints; `named` name -> upstream and way; `read_timeout` is how
    long a stream may stand still where its route does not say otherwise.
    """

    def __init__(self, idle: frozenset[str] = frozenset(), read_timeout: float = 60.0) -> None:
        self.idle, self.read_timeout = idle, read_timeout
        self.named: dict[str, tuple[str, Way]] = {}

    def name(self, upstream: str, way: Way = OWN_WAY) -> str:
        """The name of the cluster for an upstream that is reached in a way.  Raises BadValue."""
        name = upstream if way is OWN_WAY else f"{upstream}|{mark(way)}"
        self.named[name] = (upstream, way)
        return name
