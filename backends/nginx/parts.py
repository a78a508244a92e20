"""What the policies of one route add to the configuration, while it is gathered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from backends.nginx import phrases
from backends.nginx.phrases import directive
from backends.nginx.syntax import NOTHING, Word, literal, value
from gen.backend import digest_of
from gen.ir import Host, Match, Options, Route

Headers = tuple[tuple[str, Word], ...]

REQUEST_HEADERS: Headers = tuple(
    (name, Word(text))
    for name, text in (
        ("Host", "$gen_upstream_host"),
        ("Connection", "$gen_connection"),
        ("Upgrade", "$gen_upgrade"),
        ("HTTP2-Settings", '""'),
        ("Proxy", '""'),
        ("X-Request-ID", "$gen_request_id"),
        ("X-Real-IP", "$remote_addr"),
        ("X-Forwarded-For", "$remote_addr"),
        ("X-Forwarded-Host", "$gen_host"),
        ("X-Forwarded-Port", "$server_port"),
        ("X-Forwarded-Proto", "$scheme"),
        ("X-Forwarded-Scheme", "$scheme"),
        ("X-Scheme", "$scheme"),
        ("X-Original-Forwarded-For", "$http_x_forwarded_for"),
        ("X-Original-Forwarded-Host", "$http_x_forwarded_host"),
    )
)
"""What every request for an upstream carries."""


class Base(Struct, frozen=True):
    """What holds for the whole proxy and has to be said again where a location says more of its kind."""

    request_headers: Headers = REQUEST_HEADERS
    response_headers: Headers = ()
    hidden: tuple[str, ...] = ()
    scheme: Word = Word("$scheme")
    host: Word = Word("$host")
    socket: str = ""
    buffering: bool = False
    success_headers: Headers = ()
    has_lua: bool = False


def port_of(options: Options) -> Word:
    """The port at which a request came in."""
    if options.forwarded and options.forwarded.headers:
        return Word("$gen_port")
    return Word("$proxy_protocol_server_port" if options.proxy_protocol else "$server_port")


def base_of(options: Options, *, has_lua: bool = False) -> Base:
    """What the options say of headers."""
    port = Word("$gen_told_port") if options.tells_other_port else port_of(options)
    changed = {"X-Forwarded-Port": port}
    scheme, host = Word("$scheme"), Word("$host")
    forwarded = options.forwarded
    if (forwarded and forwarded.headers) or options.proxy_protocol:
        scheme = Word("$gen_scheme")
        changed |= dict.fromkeys(("X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Scheme"), scheme)
    if forwarded and forwarded.headers:
        host = Word("$gen_host_name")
    if forwarded and forwarded.append:
        changed["X-Forwarded-For"] = Word("$gen_forwarded_for")
    request = {name: changed.get(name, word) for name, word in REQUEST_HEADERS}
    own = {name: phrases.text(text) for name, text in options.request_headers or ()}
    response: Headers = tuple((name, value(text)) for name, text in options.response_headers or ())
    hidden = (*(name for name, _ in options.response_headers or ()), *(options.hidden_headers or ()))
    if options.hsts:
        response += (("Strict-Transport-Security", Word("$gen_hsts")),)
        hidden += ("Strict-Transport-Security",)
    buffering = bool(options.buffering and options.buffering.response)
    return Base(
        overlaid(tuple(request.items()), own), response, hidden, scheme, host, buffering=buffering, has_lua=has_lua
    )


def overlaid(headers: Headers, changes: Mapping[str, Word]) -> Headers:
    """Headers with some replaced, whatever their case, and others added."""
    left = {name.lower(): (name, word) for name, word in headers}
    for name, word in changes.items():
        left[name.lower()] = (left.get(name.lower(), (name,))[0], word)
    return tuple(left.values())


class Target(Struct, frozen=True):
    """What `proxy_pass` is given for an upstream.

    Shape: `word` is the name of a group, or `name:port` where `is_dns`; empty where nothing can answer.  `servers` are
    the addresses of a group.  The endpoints of one that `is_live` change while nginx runs; `is_empty`: now it has none.
    """

    word: Word = Word()
    is_dns: bool = False
    servers: tuple[Word, ...] = ()
    is_live: bool = False
    is_empty: bool = False


ENDPOINTS = Word("gen_endpoints")
"""The group whose endpoints Lua chooses: those of the one that $gen_group names."""


def reaching(chosen: Word, targets: Iterable[Target], main: Word = NOTHING) -> tuple[tuple[Word, ...], Word]:
    """The lines that it takes to reach what was chosen among some targets, and what to pass to.

    Shape: without endpoints in `main` nobody answers, and it answers in the place of others that have none.
    """
    live = {target.is_live for target in targets if target.word}
    if True not in live:
        return (), chosen
    group = chosen if chosen.startswith("$") else Word(f'"{chosen}"')
    lines = (directive("set", Word("$gen_group"), Word(f'"{chosen} {main}"') if main else group),)
    if False not in live:
        return lines, ENDPOINTS
    to = Word("$gen_reached")  # a name that nginx resolves has a port, a group has none
    named = [directive("set", to, group), Word('set $gen_group "";')]
    return (
        *lines,
        directive("set", to, Word(f'"{ENDPOINTS}"')),
        *phrases.block(Word(f'if ({chosen} ~ ":")'), named),
    ), to


class Zone(Struct, frozen=True, order=True):
    """Shared memory that counts the requests of each client address."""

    name: Word
    rate: str = ""
    exempt: tuple[str, ...] = ()

    @property
    def key(self) -> Word:
        """What is counted: the same variable for as long as the zone exists, since a reload cannot change that."""
        return Word(f"$gen_key_{self.name}")


@dataclass
class Parts:
    """One route and what it needs.

    Shape: `first` keeps what the location's own regex captured, `checks` may answer, `last` ends with what ends the
    rewrite phase, `lines` are all other directives; `maps` stand beside the server, `locations` are internal ones of
    it.  `sent` are headers for the upstream that differ, `added` those for the client, `hidden` the upstream's that
    are withheld.
    """

    host: Host
    route: Route
    targets: Mapping[str, Target]
    base: Base
    is_plain_answer: bool = False
    first: list[Word] = field(default_factory=list)
    checks: list[Word] = field(default_factory=list)
    last: list[Word] = field(default_factory=list)
    lines: list[Word] = field(default_factory=list)
    maps: list[Word] = field(default_factory=list)
    locations: list[Word] = field(default_factory=list)
    sent: dict[str, Word] = field(default_factory=dict)
    added: list[tuple[str, Word]] = field(default_factory=list)
    added_on_success: list[tuple[str, Word]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    zones: list[Zone] = field(default_factory=list)
    variables: int = 0
    is_own: bool = False
    """Something of it holds for this route alone, and not for others with the same policy and action."""

    @property
    def match(self) -> Match:
        """Which requests are meant."""
        self.is_own = True
        return self.route.match

    @property
    def identity(self) -> str:
        """Which route this is, in names of ours."""
        match = self.match
        return digest_of(self.host.name.encode(), match.kind.encode(), match.path.encode())

    def name(self, kind: str) -> Word:
        """A name for something of this route."""
        return Word(f"gen_{kind}_{self.identity}")

    def variable(self, kind: str) -> Word:
        """A variable of this route."""
        return Word(f"$gen_{kind}_{self.identity}")

    def map(self, source: Word, kind: str, default: Word, cases: list[tuple[Word, Word]]) -> Word:
        """A variable that follows another one."""
        target = self.variable(kind)
        lines = [directive("default", default), *(directive(str(key), word) for key, word in cases)]
        self.maps += phrases.block(Word(f"map {source} {target}"), lines)
        self.variables += 1
        return target

    def file(self, kind: str, suffix: str, content: bytes) -> Word:
        """A file of this route as an argument."""
        path = f"policies/{kind}-{self.identity}.{suffix}"
        self.files[path] = content
        return literal(path)

    def response_lines(self, more: Headers = ()) -> list[Word]:
        """All headers that are set on the answer."""
        every = overlaid(self.base.response_headers, {}) + tuple(self.added) + more
        return phrases.added(every, (*self.base.success_headers, *self.added_on_success))

    def request_lines(self, module: str, changes: Mapping[str, Word] | None = None) -> list[Word]:
        """All headers that are set on the request for an upstream, where any of them differs."""
        sent = {**self.sent, **(changes or {})}
        if not sent and module == "proxy":
            return []
        headers = overlaid(self.base.request_headers, sent)
        if module != "proxy":
            headers = tuple((name, word) for name, word in headers if name not in {"Connection", "Upgrade"})
        if module == "fastcgi":
            return [_parameter(name, word) for name, word in headers]
        setting = Word(f"{module}_set_header")
        return [directive(setting, phrases.header(name), word) for name, word in headers]

    def hiding_lines(self, module: str) -> list[Word]:
        """All headers of the upstream that are withheld."""
        if not self.hidden and module == "proxy":
            return []
        names = dict.fromkeys(name.lower() for name in (*self.base.hidden, *self.hidden))
        return [directive(f"{module}_hide_header", phrases.header(name)) for name in names]


def _parameter(name: str, word: Word) -> Word:
    """A header as FastCGI has it; one without a value takes the client's away."""
    parameter = Word(f"HTTP_{phrases.plain(name).upper().replace('-', '_')}")
    return directive("fastcgi_param", parameter, word, *([] if word == phrases.EMPTY else [Word("if_not_empty")]))
