"""What happens to a request on its way: one small value a feature, in no proxy's words.

`Policy` (of a route) and `HostPolicy` (of a virtual host) have one optional field each, ir.Options has some more; None
or empty means that the feature is off.  gen.fit compares the fields that are set with the `features` of a backend.
Units as in gen.ir.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from gen.errors import BadValue

Balance = Literal["round_robin", "least_connections", "source_hash", "random"]

# ------------------------------------------------------------------ text that holds values of the request


class Variable(Struct, frozen=True, gc=False, order=True):
    """A value of the request, filled in by the proxy.

    Shape: `name` is one of VARIABLES; or `header`, `cookie`, `query` with the name in `argument`; or `capture` with
    the number of a regex group in `argument`.
    """

    name: str
    argument: str = ""


VARIABLES = frozenset(
    (
        "host",
        "http_host",
        "scheme",
        "uri",
        "request_uri",
        "escaped_request_uri",
        "args",
        "is_args",
        "remote_addr",
        "remote_user",
        "request_method",
        "request_id",
        "server_port",
    )
)
"""Variables without an argument.

host: the Host header without port, lower case; http_host: as sent; uri: the decoded path; request_uri: raw, with the
query; escaped_request_uri: the same percent-encoded, to stand in a query; args: the raw query; is_args: "?" where there
is one.
"""

Text = tuple[str | Variable, ...]
"""Literal pieces and variables; () is the empty text."""


def literal(text: Text) -> str:
    """A text that holds no variables.  Raises: BadValue (VariableUnsupported) where it holds one."""
    for piece in text:
        if isinstance(piece, Variable):
            raise BadValue("VariableUnsupported", f"the variable {piece.name} cannot stand here")
    return "".join(str(piece) for piece in text)


# ------------------------------------------------------------------ who may pass


class BasicAuth(Struct, frozen=True, gc=False):
    """HTTP basic (or digest) authentication.

    Shape: `users` are (name, hash) in htpasswd's forms, sorted; nobody passes where it is empty.
    """

    realm: str
    users: tuple[tuple[str, str], ...]
    scheme: Literal["basic", "digest"] = "basic"

    def __repr__(self) -> str:
        return f"BasicAuth(realm={self.realm!r}, users={[name for name, _ in self.users]!r}, scheme={self.scheme!r})"


class ExternalAuth(Struct, frozen=True, gc=False):
    """A sub-request decides: 2xx passes, 401 and 403 are passed on, anything else is 500.

    Shape: `upstream` is where the sub-request goes, over TLS or not, with `host` as its Host header and `path` (with
    query) as its target; it has no body.  `signin` is where a 401 is redirected to (302), complete with its parameter;
    () passes the 401 on. `response_headers` are copied from the answer to the request for the upstream, replacing or
    clearing the client's. `request_headers` are set on the sub-request, after those that it always has.
    `request_redirect` is its X-Auth-Request-Redirect.  `cache_key` () means no cache; `cache_valid` are (statuses,
    seconds).  `keepalive` 0 leaves it to the proxy.
    """

    upstream: str
    host: Text
    path: Text
    tls: bool = False
    method: str = "GET"
    signin: Text = ()
    response_headers: tuple[str, ...] = ()
    request_headers: tuple[tuple[str, Text], ...] = ()
    request_redirect: Text = (Variable("request_uri"),)
    always_set_cookie: bool = False
    cache_key: Text = ()
    cache_valid: tuple[tuple[tuple[int, ...], float], ...] = ()
    keepalive: int = 0


class RateLimit(Struct, frozen=True, gc=False):
    """At most `rate` requests in `period` seconds from one client address, `burst` more at once; beyond: `status`.

    Shape: routes with the same `zone` share their buckets; the networks in `exempt` are never limited.
    """

    zone: str
    rate: int
    period: float
    burst: int
    status: int = 503
    exempt: tuple[str, ...] = ()


class ConnectionLimit(Struct, frozen=True, gc=False):
    """At most `most` requests at a time from one client address; beyond: `status`."""

    zone: str
    most: int
    status: int = 503
    exempt: tuple[str, ...] = ()


class ClientCertificate(Struct, frozen=True, gc=False):
    """Certificates that clients of a host show.

    Shape: `ca` and `crl` are PEM; where `ca` is empty the host answers 403 to everything.  `verify`: on asks for a
    valid one (400 without), optional checks one that is shown, unchecked only passes it on.  `match_subject` is a regex
    searched in the subject (403 without a match, on plain HTTP too).  `error_page` is a URL: 302 instead of 400.
    """

    ca: bytes
    crl: bytes = b""
    verify: Literal["on", "optional", "unchecked"] = "on"
    depth: int = 1
    error_page: str = ""
    pass_upstream: bool = False
    match_subject: str = ""


class Waf(Struct, frozen=True, gc=False):
    """ModSecurity with the recommended rules, perhaps with OWASP's core rules."""

    core_rules: bool = False
    transaction_id: Text = ()


class Bandwidth(Struct, frozen=True, gc=False):
    """Bytes a second for one response, once `after` bytes have been sent at full speed."""

    rate: int
    after: int = 0


# ------------------------------------------------------------------ what the request and the answer become


class HttpsRedirect(Struct, frozen=True, gc=False):
    """Plain HTTP is redirected to the same URL on HTTPS.

    Shape: `port` 0 leaves the port out; `keep_slash` False cuts one trailing slash, as ingress-nginx does.
    """

    status: int = 308
    port: int = 0
    keep_slash: bool = False


class Cors(Struct, frozen=True, gc=False):
    """Cross-origin headers; any OPTIONS request of an allowed origin is answered with 204.

    Shape: `origins` are `scheme://host[:port]`, where the host may begin with `*.` (one label), or `null`; () means
    any, answered as `*`.
    """

    origins: tuple[str, ...]
    methods: str
    headers: str
    expose: str = ""
    credentials: bool = True
    max_age: int = 1728000


class CookieRewrite(Struct, frozen=True, gc=False):
    """The Domain or Path of the upstream's cookies: `old` (exactly, or as a prefix for paths) becomes `new`."""

    attribute: Literal["domain", "path"]
    old: str
    new: str


class RedirectRewrite(Struct, frozen=True, gc=False):
    """A prefix `old` of the upstream's Location and Refresh becomes `new`."""

    old: str
    new: Text


class Gzip(Struct, frozen=True, gc=False):
    """Compression of answers of these types (text/html always) from `min_length` bytes on."""

    level: int = 1
    min_length: int = 256
    types: tuple[str, ...] = ()


class Mirror(Struct, frozen=True, gc=False):
    """A copy of each request goes to another upstream, its answer is ignored."""

    upstream: str
    host: Text
    path: Text
    tls: bool = False
    body: bool = True


class ErrorPages(Struct, frozen=True, gc=False):
    """Answers with one of `statuses` are replaced by what `upstream` says, status included.

    Shape: it is asked at "/" with the query, method and body of the request, with `headers` and with X-Code (the
    status), X-Format (Accept), X-Original-URI, X-Request-ID.  `upstream` "" answers 404 to all of them.
    `intercept_upstream` False leaves the upstream's own answers alone.
    """

    statuses: tuple[int, ...]
    upstream: str
    headers: tuple[tuple[str, str], ...] = ()
    intercept_upstream: bool = True


class Fallback(Struct, frozen=True, gc=False):
    """Who gets the requests of a route while none of its upstreams has endpoints.

    Shape: path, method and body stay; `headers` are added, with X-Code: 503 and as for ErrorPages.
    """

    upstream: str
    headers: tuple[tuple[str, str], ...] = ()


# ------------------------------------------------------------------ how the upstream is reached


class Timeouts(Struct, frozen=True, gc=False):
    """Seconds; None keeps the proxy-wide value."""

    connect: float | None = None
    read: float | None = None
    send: float | None = None


class Retries(Struct, frozen=True, gc=False):
    """When the next endpoint is tried.

    Shape: `conditions` are nginx's words (error, timeout, invalid_header, http_502, non_idempotent, ...); () never.
    """

    conditions: tuple[str, ...]
    tries: int = 3
    timeout: float = 0.0


class Affinity(Struct, frozen=True, gc=False):
    """A cookie keeps a client at its endpoint.

    Shape: `path` is the cookie's; `secure` None means on HTTPS only; `expires`, `max_age` are seconds or None.
    `persistent` never moves a client while its endpoint lives; else the cookie is hashed over the endpoints.
    """

    cookie: str = "INGRESSCOOKIE"
    path: str = "/"
    domain: str = ""
    secure: bool | None = None
    same_site: str = ""
    conditional_same_site_none: bool = False
    expires: int | None = None
    max_age: int | None = None
    persistent: bool = False
    change_on_failure: bool = False


class UpstreamTls(Struct, frozen=True, gc=False):
    """TLS to the upstream.

    Shape: `ca` is PEM; `certificate`, the one that we show, is an id in Config.certificates ("" none) and not to be
    offered to clients.  `server_name` ("": the name of the upstream) is verified and, when `send_name`, sent.
    """

    verify: bool = False
    verify_depth: int = 1
    ca: bytes = b""
    certificate: str = ""
    server_name: str = ""
    send_name: bool = False
    protocols: tuple[str, ...] = ()
    ciphers: str = ""


class Canary(Struct, frozen=True, gc=False):
    """Another upstream for some requests; tried in the order header, cookie, weight.

    Shape: `header_value` (exact) or `header_pattern` (regex, searched) replace the words always and never.
    """

    upstream: str
    header: str = ""
    header_value: str = ""
    header_pattern: str = ""
    cookie: str = ""
    weight: int = 0
    weight_total: int = 100
    sticky: bool = True


class Buffering(Struct, frozen=True, gc=False):
    """What is held back before it goes on; None keeps the default, sizes are bytes."""

    request: bool | None = None
    response: bool | None = None
    request_memory: int | None = None
    buffer_size: int | None = None
    buffers: int | None = None
    busy_size: int | None = None
    file_size: int | None = None


class Tracing(Struct, frozen=True, gc=False):
    """OpenTelemetry; None keeps the proxy-wide value."""

    enabled: bool | None = None
    trust_incoming: bool | None = None
    operation: str = ""


class FastCgi(Struct, frozen=True, gc=False):
    """FastCGI to the upstream; `params` may hold variables."""

    index: str = ""
    params: tuple[tuple[str, Text], ...] = ()


# ------------------------------------------------------------------ raw configuration


class Directive(Struct, frozen=True, gc=False):
    """One directive of nginx, parsed and checked; `block` None where it has none."""

    name: str
    arguments: tuple[str, ...] = ()
    block: tuple[Directive, ...] | None = None


# ------------------------------------------------------------------ whom the proxy believes


class Forwarded(Struct, frozen=True, gc=False):
    """What is believed of a request that has been through another proxy.

    Shape: `headers`: X-Forwarded-Proto, -Host (the first item) and -Port count, from anybody.  `networks` may say in
    `address_header` who the client is: the last address in it that is not one of them, the first where all are; ()
    leaves the peer's address.
    `append` puts the peer behind X-Forwarded-For instead of replacing it.
    """

    headers: bool = False
    networks: tuple[str, ...] = ()
    address_header: str = "X-Forwarded-For"
    append: bool = False


# ------------------------------------------------------------------ the whole


class Policy(Struct, frozen=True, gc=False, omit_defaults=True):
    """What happens to the requests of a route; None: nothing special."""

    allow: tuple[str, ...] | None = None
    """Networks that may pass (403 for the rest)."""
    deny: tuple[str, ...] | None = None
    """Networks that may not pass (403); they count before `allow`."""
    auth_basic: BasicAuth | None = None
    auth_external: ExternalAuth | None = None
    satisfy_any: bool | None = None
    """True: one of networks, basic and external authentication is enough."""
    rate_limits: tuple[RateLimit, ...] | None = None
    connection_limit: ConnectionLimit | None = None
    waf: Waf | None = None

    https_redirect: HttpsRedirect | None = None
    cors: Cors | None = None
    rewrite: Text | None = None
    """The path for the upstream; its captures are those of the route's regex.  The query stays."""
    forwarded_prefix: Text | None = None
    """X-Forwarded-Prefix for the upstream."""
    upstream_host: Text | None = None
    """The Host header for the upstream; None keeps the client's."""
    request_headers: tuple[tuple[str, Text], ...] | None = None
    """Set on the request for the upstream."""
    response_headers: tuple[tuple[str, str], ...] | None = None
    """Set on every answer, in the place of the upstream's."""
    cookie_rewrites: tuple[CookieRewrite, ...] | None = None
    redirect_rewrites: tuple[RedirectRewrite, ...] | None = None
    error_pages: ErrorPages | None = None
    fallback: Fallback | None = None
    mirror: Mirror | None = None

    canary: Canary | None = None
    affinity: Affinity | None = None
    hash_by: Text | None = None
    """Consistent hashing over the endpoints by this text; `affinity` beats it, and it beats `balance`."""
    hash_subset: int | None = None
    """The text chooses so many endpoints, chance one of them."""
    balance: Balance | None = None
    """None keeps the balance of the upstream."""
    protocol: Literal["https", "grpc", "grpcs", "fcgi", "as_client"] | None = None
    """What the upstream speaks; None is HTTP/1.1."""
    upstream_tls: UpstreamTls | None = None
    fastcgi: FastCgi | None = None
    timeouts: Timeouts | None = None
    retries: Retries | None = None

    body_limit: int | None = None
    """Bytes of a request body (413 beyond); 0 is unlimited."""
    buffering: Buffering | None = None
    bandwidth: Bandwidth | None = None
    http_version: Literal["1.0"] | None = None
    """Of requests for the upstream; None is 1.1."""
    connection_header: Literal["close", "keep-alive"] | None = None
    """The Connection header for the upstream; upgrades fail with it."""
    access_log: bool | None = None
    tracing: Tracing | None = None
    directives: tuple[Directive, ...] | None = None
    """Raw configuration of nginx, by the administrator's leave."""


NO_POLICY = Policy()


class HostPolicy(Struct, frozen=True, gc=False, omit_defaults=True):
    """What holds for all requests of a host."""

    client_certificate: ClientCertificate | None = None
    ciphers: str | None = None
    """A list in OpenSSL's syntax."""
    prefer_server_ciphers: bool | None = None
    directives: tuple[Directive, ...] | None = None


NO_HOST_POLICY = HostPolicy()


def upstreams_of(policy: Policy) -> Iterator[str]:
    """The ids of the upstreams that a policy names."""
    for part in (policy.auth_external, policy.canary, policy.mirror, policy.error_pages, policy.fallback):
        if part is not None and part.upstream:
            yield part.upstream


def certificates_of(policy: Policy) -> Iterator[str]:
    """The ids of the certificates that a policy names."""
    if policy.upstream_tls is not None and policy.upstream_tls.certificate:
        yield policy.upstream_tls.certificate
