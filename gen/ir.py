"""The model: what a proxy shall do, said in no proxy's words.

translate builds it from Kubernetes objects, backends render it.  Everything here is frozen, and an unchanged part
stays the very same object from one Config to the next: identity means "unchanged".

Units, once and for all: durations are seconds (float), sizes are bytes, instants are seconds since the epoch (UTC),
hosts are lower-case ASCII without port or final dot, paths are decoded text, weights are relative.

`gc=False`: frozen values cannot form cycles, so the collector need not walk hundreds of thousands of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote

from msgspec import Struct

from gen.policy import NO_HOST_POLICY as NO_HOST_POLICY
from gen.policy import NO_POLICY as NO_POLICY
from gen.policy import Balance as Balance
from gen.policy import Buffering, Forwarded, Gzip, Text
from gen.policy import HostPolicy as HostPolicy
from gen.policy import Policy as Policy

Severity = Literal["error", "warning", "info"]
MatchKind = Literal["exact", "prefix", "regex"]

CATCH_ALL = ""
"""The name of the host that answers for every name without a host of its own."""


class Source(Struct, frozen=True, gc=False, order=True):
    """Whom to blame: a field of an object.

    Shape: `field` is a path such as `spec.rules[0].http.paths[1].path`, or `metadata.annotations[KEY]`.  Only input
    that never became an object (a file that does not parse) carries `file` and `line` itself; for the others the
    manifests know where the object stands.
    """

    kind: str
    namespace: str
    name: str
    field: str = ""
    file: str = ""
    line: int = 0

    def at(self, field: str) -> Source:
        """The same object, another field."""
        return Source(self.kind, self.namespace, self.name, field, self.file, self.line)

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}" + (f", {self.field}" if self.field else "")


class Issue(Struct, frozen=True, gc=False, order=True):
    """A user's fault, or something that a user should know.

    Shape: `code` is a stable word (`ServiceNotFound`), `message` one sentence that says what was wrong and what was
    expected.  error: what the object asks for is not served; warning: it is served, though perhaps not as meant.
    """

    source: Source
    code: str
    message: str
    severity: Severity = "error"


# ------------------------------------------------------------------ routes


class Match(Struct, frozen=True, gc=False, order=True):
    """Which requests of a host a route takes.

    exact: the path is equal.  prefix: the path is equal or continues after a `/`; "/foo/" therefore takes what lies
    below it but not "/foo" itself, and "/" takes everything.  regex: anchored at the start, case-insensitive.
    Paths are compared decoded, with dot segments resolved and slashes merged; the query never counts.
    """

    kind: MatchKind
    path: str

    @property
    def encoded(self) -> str:
        """The path as it stands in a request line: percent-encoded where RFC 3986 asks for it."""
        return quote(self.path, safe="/!$&'()*+,:@-._~=")


class Weighted(Struct, frozen=True, gc=False):
    """A part of the traffic of a route."""

    upstream: str
    weight: int = 1


class Forward(Struct, frozen=True, gc=False, tag="forward"):
    """Proxy to upstreams, by weight; an upstream without endpoints answers 503."""

    split: tuple[Weighted, ...]


class Redirect(Struct, frozen=True, gc=False, tag="redirect"):
    """Answer with a Location.

    Shape: either `url`, an absolute URL that is sent as it is; or what differs from the URL of the request: `path`,
    decoded ("": the client's), `query`, raw (None: the client's), and `host`, with which the port of the listener is
    always written.  `cut_slash` takes one trailing slash from the end of the client's path and query.  `is_relative`
    leaves out scheme, host and port.
    """

    status: int
    url: str = ""
    path: str = ""
    query: str | None = None
    host: str = ""
    cut_slash: bool = False
    is_relative: bool = False


class Respond(Struct, frozen=True, gc=False, tag="respond"):
    """Answer from the proxy itself, with a short plain text."""

    status: int
    body: str = ""


Action = Forward | Redirect | Respond


class Route(Struct, frozen=True, gc=False):
    """One entry of a host's routing table."""

    match: Match
    action: Action
    source: Source
    policy: Policy = NO_POLICY


class Host(Struct, frozen=True, gc=False):
    """A virtual host.

    Shape: `name` is exact, `*.x` (exactly one label more than x) or "" (the catch-all, always present).  `routes`
    are complete and in match order: exact paths, then regexes, then prefixes, longest first; the last one is the
    prefix "/".  A host never falls through to another host.  `certificate` is an id, "" means the default one;
    every host answers on HTTP and on HTTPS.  `aliases` are further names, exact or `*.x`, which no other host has;
    `alias_patterns` regexes for names, tried after all exact and wildcard names.  An alias gets the certificate only
    where that is for it (`Certificate.is_for`), else the default one.

    Where one route is a regex, all are but for exact and prefix "/": then the order of the regexes is that of `routes`.
    """

    name: str
    routes: tuple[Route, ...]
    certificate: str = ""
    sources: tuple[Source, ...] = ()
    policy: HostPolicy = NO_HOST_POLICY
    aliases: tuple[str, ...] = ()
    alias_patterns: tuple[str, ...] = ()

    @property
    def is_wildcard(self) -> bool:
        """Whether the name stands for one label more than it has."""
        return self.name.startswith("*.")


# ------------------------------------------------------------------ upstreams


class Endpoint(Struct, frozen=True, gc=False, order=True):
    """One server of an upstream; the address is an IP, IPv6 without brackets."""

    address: str
    port: int
    weight: int = 1
    draining: bool = False
    zone: str = ""


class DnsName(Struct, frozen=True, gc=False):
    """A name that the proxy itself resolves, again and again."""

    name: str
    port: int


class Upstream(Struct, frozen=True, gc=False):
    """Where requests go: the endpoints behind one port of one Service.

    Shape: `id` is `namespace/service:port`.  Either `endpoints`, sorted, perhaps empty (503); or `dns`.
    """

    id: str
    endpoints: tuple[Endpoint, ...] = ()
    dns: DnsName | None = None
    balance: Balance = "round_robin"
    source: Source = Source("Service", "", "")


# ------------------------------------------------------------------ certificates, listeners, options


class Certificate(Struct, frozen=True):
    """A certificate with its key, parsed, checked and written anew by us.

    Shape: `id` is `namespace/secret`, or "default"; `chain` and `key` are PEM, the leaf first; `names` its DNS names;
    `not_before` and `not_after` are instants.
    """

    id: str
    chain: bytes
    key: bytes
    names: tuple[str, ...] = ()
    not_after: float = 0.0
    source: Source = Source("Secret", "", "")
    not_before: float = 0.0

    def is_for(self, host: str) -> bool:
        """Whether one of its names, perhaps `*.x`, stands for a host: one label, no more."""
        wildcard = host if host.startswith("*.") else f"*.{host.partition('.')[2]}"
        return host in self.names or wildcard in self.names

    def __repr__(self) -> str:
        return f"Certificate(id={self.id!r}, names={self.names!r}, not_after={self.not_after!r})"


class Listener(Struct, frozen=True):
    """A port for layer 4: `protocol` is tcp, udp or tls-passthrough; `server_names` choose by SNI for the last."""

    protocol: Literal["tcp", "udp", "tls-passthrough"]
    port: int
    upstream: str
    accept_proxy: bool = False
    send_proxy: bool = False
    server_names: tuple[str, ...] = ()


class Options(Struct, frozen=True):
    """What holds for the whole proxy.

    Shape: `bind` are IP addresses; `runtime_dir` is an absolute directory for sockets and pid files; `workers` 0 means
    one a CPU; `resolvers` are `IP` or `IP:port` of name servers, empty where no upstream has `dns`.  Upstreams are told
    that requests over TLS came in at `told_https_port`; 0 is `https_port` itself.
    """

    http_port: int = 80
    https_port: int = 443
    told_https_port: int = 0
    bind: tuple[str, ...] = ("0.0.0.0",)
    runtime_dir: str = "/run/gen"
    workers: int = 0
    resolvers: tuple[str, ...] = ()
    default_certificate: str = "default"
    body_limit: int = 0
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    send_timeout: float = 60.0
    idle_timeout: float = 75.0
    drain_timeout: float = 240.0
    tries: int = 3

    hsts: str | None = None
    """Strict-Transport-Security for every answer over HTTPS."""
    tls_protocols: tuple[str, ...] | None = None
    """TLSv1.2 and TLSv1.3, or others."""
    tls_ciphers: str | None = None
    tls_session_tickets: bool | None = None
    reject_unknown_names: bool | None = None
    """The TLS handshake fails for names that no host has, and without a name."""
    forwarded: Forwarded | None = None
    proxy_protocol: tuple[str, ...] | None = None
    """Both ports take the PROXY protocol, its addresses count when the peer is in one of these networks."""
    request_headers: tuple[tuple[str, Text], ...] | None = None
    """Set on every request for an upstream."""
    response_headers: tuple[tuple[str, str], ...] | None = None
    """Set on every answer."""
    hidden_headers: tuple[str, ...] | None = None
    """Taken from the answers of upstreams."""
    underscores_in_headers: bool | None = None
    """Headers with underscores are passed on instead of dropped."""
    request_id: bool | None = None
    """False: X-Request-ID is not made up."""
    block_networks: tuple[str, ...] | None = None
    """403 for clients from there."""
    block_user_agents: tuple[tuple[bool, str], ...] | None = None
    """403 for these: (True, a regex to search) or (False, the whole text), both case-insensitive."""
    block_referers: tuple[tuple[bool, str], ...] | None = None
    gzip: Gzip | None = None
    buffering: Buffering | None = None
    retry_conditions: tuple[str, ...] | None = None
    """As in policy.Retries; None is error and timeout."""
    retry_timeout: float | None = None
    header_timeout: float | None = None
    """For a client to send its headers."""
    body_timeout: float | None = None
    """Between two pieces of a client's body."""
    header_buffers: tuple[int, int] | None = None
    """Number and size of the buffers for large request headers."""
    idle_requests: int | None = None
    """Requests over one connection of a client."""
    http2: bool | None = None
    http2_streams: int | None = None
    upstream_idle_connections: int | None = None
    upstream_idle_timeout: float | None = None
    upstream_idle_requests: int | None = None
    max_connections: int | None = None
    """Of one worker."""
    access_log: bool | None = None

    @property
    def tells_other_port(self) -> bool:
        """Whether upstreams are told another port for TLS than that of the listener."""
        return self.told_https_port not in {0, self.https_port}


class Config(Struct, frozen=True):
    """Everything one proxy needs.

    Shape: all mappings are sorted by key.  `hosts` has the catch-all ""; every upstream and certificate that is named
    anywhere is present, and none that is not named.
    """

    hosts: Mapping[str, Host]
    upstreams: Mapping[str, Upstream]
    certificates: Mapping[str, Certificate]
    listeners: Mapping[str, Listener]
    options: Options
