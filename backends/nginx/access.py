"""Who may pass, how often, and how much of it."""

from __future__ import annotations

from backends.nginx import phrases
from backends.nginx.parts import Parts, Target, Zone, reaching
from backends.nginx.phrases import EMPTY, directive
from backends.nginx.syntax import Word, literal, seconds, value
from gen.backend import digest_of
from gen.errors import BadValue
from gen.policy import BasicAuth, ExternalAuth, RateLimit

ESCAPE = (
    ("%", " ", 4),
    *((sign, f"%{ord(sign):02X}", {"/": 4, "&": 3, "=": 3}.get(sign, 1)) for sign in "/&=?+:@,;!$'()*[]\"<>|\\^{}`"),
    (" ", "%25", 4),
)
"""Signs that a query may not hold as they are, what becomes of them, and by how many maps.

A blank, which no request line has within its target, stands for % meanwhile.
"""


def limits(parts: Parts) -> None:
    """Requests at a time, then requests in a time; one zone for all routes that share it."""
    policy = parts.route.policy
    if limit := policy.connection_limit:
        zone = _zone(parts, limit.zone, "", limit.exempt)
        parts.lines += [directive("limit_conn", zone, limit.most), directive("limit_conn_status", limit.status)]
    for rate in policy.rate_limits or ():
        zone = _zone(parts, rate.zone, _rate(rate), rate.exempt)
        burst = [Word(f"burst={int(rate.burst)}"), Word("nodelay")] if rate.burst > 0 else []
        parts.lines.append(directive("limit_req", Word(f"zone={zone}"), *burst))
    if policy.rate_limits:
        parts.lines.append(directive("limit_req_status", policy.rate_limits[0].status))


def _zone(parts: Parts, name: str, rate: str, exempt: tuple[str, ...]) -> Word:
    zone = Zone(Word(f"limit_{digest_of(name.encode())}"), rate, exempt)
    parts.zones.append(zone)
    return zone.name


def _rate(limit: RateLimit) -> str:
    """The rate in whole requests, a second or a minute."""
    if limit.period == 1:
        return f"{limit.rate}r/s"
    return f"{max(round(limit.rate * 60 / limit.period), 1)}r/m"


def zone_lines(zones: list[Zone]) -> list[Word]:
    """The shared memory for limits; a client that is exempt has no key."""
    lines: list[Word] = []
    for zone in {each.name: each for each in sorted(zones, reverse=True)}.values():
        networks = [directive(phrases.network(each), EMPTY) for each in zone.exempt]
        exempt = Word(f"$gen_exempt_{zone.name}")
        lines += phrases.block(Word(f"geo {exempt}"), [Word("default 1;"), *networks])
        lines += phrases.block(Word(f"map {exempt} {zone.key}"), [Word("1 $binary_remote_addr;"), Word('default "";')])
        kind = "limit_req_zone" if zone.rate else "limit_conn_zone"
        rate = [Word(f"rate={zone.rate}")] if zone.rate else []
        lines.append(directive(kind, zone.key, Word(f"zone={zone.name}:1m"), *rate))
    return lines


def networks(parts: Parts) -> None:
    """Deny counts before allow, and who is not allowed is denied."""
    policy = parts.route.policy
    parts.lines += [directive("deny", phrases.network(each)) for each in policy.deny or ()]
    if policy.allow is not None:
        parts.lines += [directive("allow", phrases.network(each)) for each in policy.allow]
        parts.lines.append(Word("deny all;"))
    if policy.satisfy_any:
        parts.lines.append(Word("satisfy any;"))


def basic(parts: Parts, auth: BasicAuth) -> None:
    """Passwords; the realm "off" would switch them off, so it is written with a blank."""
    content = "".join(f"{name}:{hashed}\n" for name, hashed in auth.users)
    if any(set(f"{name}{hashed}") & set("\r\n") or ":" in name for name, hashed in auth.users):
        raise BadValue("AuthFileInvalid", "expected names and hashes without line breaks")
    path = f"passwords/{parts.identity}-{digest_of(content.encode())}.htpasswd"
    parts.files[path] = content.encode()
    realm = phrases.quoted_string("off " if auth.realm == "off" else auth.realm)
    parts.lines += [directive("auth_basic", realm), directive("auth_basic_user_file", literal(path))]
    parts.sent["Authorization"] = EMPTY


def external(parts: Parts, auth: ExternalAuth) -> None:
    """A sub-request to a location whose name no request can have: it does not begin with a slash."""
    asked = parts.name("auth")
    parts.lines.append(directive("auth_request", asked))
    parts.locations += phrases.block(Word(f"location = {asked}"), _question(parts, auth))
    for number, name in enumerate(auth.response_headers):
        kept = parts.variable(f"auth{number}")
        parts.lines.append(directive("auth_request_set", kept, phrases.header_variable(name, "upstream_http")))
        parts.sent[name] = kept
    cookie = parts.variable("auth_cookie")
    parts.lines.append(directive("auth_request_set", cookie, Word("$upstream_http_set_cookie")))
    (parts.added if auth.always_set_cookie else parts.added_on_success).append(("Set-Cookie", cookie))
    if auth.signin:
        place = parts.name("signin")
        parts.lines.append(Word(f"error_page 401 = @{place};"))
        answer = [*parts.response_lines(), directive("return", 302, phrases.text(auth.signin))]
        parts.locations += phrases.block(Word(f"location @{place}"), answer)


def _question(parts: Parts, auth: ExternalAuth) -> list[Word]:
    headers = {
        **dict.fromkeys(("Content-Length", "X-Forwarded-Proto", "Connection", "Upgrade", "Proxy"), EMPTY),
        "Host": phrases.text(auth.host),
        "X-Original-URL": Word(f'"{parts.base.scheme}://$http_host$request_uri"'),
        "X-Original-Method": Word("$request_method"),
        "X-Sent-From": Word("nginx-ingress-controller"),
        "X-Real-IP": Word("$remote_addr"),
        "X-Forwarded-For": Word("$remote_addr"),
        "X-Auth-Request-Redirect": phrases.text(auth.request_redirect),
        "X-Request-ID": Word("$gen_request_id"),
        **{name: word for name, word in parts.sent.items() if name.startswith("ssl-client-")},
        **{name: phrases.text(pieces) for name, pieces in auth.request_headers},
    }
    lines = [Word("internal;")]
    lines += [directive("proxy_method", phrases.plain(auth.method)), Word("proxy_pass_request_body off;")]
    lines += [directive("proxy_set_header", phrases.header(name), word) for name, word in headers.items()]
    lines += _cache(parts, auth)
    target, path = parts.targets[auth.upstream], phrases.text(auth.path)
    return lines + sub_request(target, path, tls=auth.tls, name=auth.host, has_lua=parts.base.has_lua)


def sub_request(
    target: Target, path: Word, *, tls: bool = False, name: tuple[object, ...] = (), has_lua: bool
) -> list[Word]:
    """Pass to an upstream with a path of its own; nobody there is 503."""
    if not target.word:
        return [Word("return 503;")]
    scheme = "https" if tls else "http"
    lines = [Word("proxy_ssl_server_name on;")] if tls else []
    if tls and all(isinstance(piece, str) for piece in name):
        lines.append(directive("proxy_ssl_name", value("".join(map(str, name)).partition(":")[0])))
    more, reached = reaching(target.word, (target,))
    if has_lua and not more:  # sub-requests have all variables in common with their request
        more = (Word('set $gen_group "";'),)
    lines += [*more, directive("set", Word("$gen_place"), Word(f'"{reached}"'))]
    lines.append(directive("set", Word("$gen_path_there"), path))
    return [*lines, Word(f"proxy_pass {scheme}://$gen_place$gen_path_there;")]


def _cache(parts: Parts, auth: ExternalAuth) -> list[Word]:
    if not auth.cache_key:
        return []
    lines = [Word("proxy_cache gen_auth;"), Word("proxy_buffering on;")]
    lines.append(directive("proxy_cache_key", Word(f'"{parts.identity}{str(phrases.text(auth.cache_key))[1:-1]}"')))
    lines.append(Word("proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;"))
    for statuses, duration in auth.cache_valid:
        lines.append(directive("proxy_cache_valid", *statuses, seconds(duration)))
    return lines


def escape_lines() -> list[Word]:
    """`$gen_escaped_request_uri`: nginx itself has no such variable, so maps replace eight of a sign at a time."""
    lines, source = [], "$request_uri"
    steps = [(sign, written) for sign, written, times in ESCAPE for _ in range(times)]
    for number, (sign, written) in enumerate(steps):
        target = "$gen_escaped_request_uri" if number == len(steps) - 1 else f"$gen_escape_{number}"
        set_of = f"\\\\x{ord(sign):02x}"
        cases = [Word(f"default {source};")]
        for count in range(8, 0, -1):
            pattern = "".join(f"([^{set_of}]*){set_of}" for _ in range(count)) + "(.*)"
            joined = written.join(f"${index}" for index in range(1, count + 2))
            cases.append(Word(f'"~^{pattern}$" "{joined}";'))
        lines += phrases.block(Word(f"map {source} {target}"), cases)
        source = target
    return lines


def passes_access(parts: Parts) -> bool:
    """Whether the access phase has anything to decide, which an answer by `return` would come before."""
    policy = parts.route.policy
    wanted = (policy.allow, policy.deny, policy.auth_basic, policy.auth_external, policy.rate_limits)
    return any(each is not None for each in (*wanted, policy.connection_limit))


def access(parts: Parts) -> None:
    """All of it."""
    policy = parts.route.policy
    limits(parts)
    networks(parts)
    if policy.auth_basic:
        basic(parts, policy.auth_basic)
    if policy.auth_external:
        external(parts, policy.auth_external)
