"""The keys of the global ConfigMap that change behaviour, one row a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from gen.dialects import values
from gen.dialects.ingress_nginx.balance import algorithm
from gen.dialects.ingress_nginx.external_auth import METHODS, cache_key, durations, url_text
from gen.dialects.ingress_nginx.headers import location, pair
from gen.dialects.ingress_nginx.protocol import ciphers, protocols
from gen.dialects.ingress_nginx.tuning import conditions
from gen.dialects.target import signin_url, target
from gen.errors import BadValue


class Setting(Struct, frozen=True):
    """One key.

    Shape: `default` is ingress-nginx's, as text; `in_spec` the one of the spec profile where it differs, which is how
    the proxy behaves anyway.
    """

    name: str
    parse: values.Parser
    default: str
    doc: str
    in_spec: str | None = None


def _seconds(text: str) -> float:
    """A number of seconds, perhaps with s, m or h."""
    found = re.fullmatch(r"([0-9]{1,7})(s|m|h)?", text)
    if not found:
        raise BadValue("ConfigInvalid", f"{values.shown(text)} is not a time")
    return float(int(found[1]) * {None: 1, "s": 1, "m": 60, "h": 3600}[found[2]])


def _workers(text: str) -> int:
    """A number of processes; 0 is one a CPU."""
    if text == "auto":
        return 0
    count = values.integer(text)
    if not 1 <= count <= 1024:
        raise BadValue(
            "ConfigInvalid", f"{values.shown(text)} is not a number of processes, expected 1 to 1024 or auto"
        )
    return count


def _code(text: str) -> int:
    code = values.integer(text)
    if code not in {301, 302, 307, 308}:
        raise BadValue("ConfigInvalid", f"{values.shown(text)} is none of 301, 302, 307 and 308")
    return code


def _statuses(text: str) -> tuple[int, ...]:
    return tuple(values.natural(item, least=300, most=599) for item in values.words(text))


def _buffers(text: str) -> tuple[int, int]:
    parts = text.split()
    if len(parts) != 2:
        raise BadValue("ConfigInvalid", f"{values.shown(text)} is not a number and a size")
    return values.natural(parts[0], least=1, most=1024), values.size(parts[1])


def _paths(text: str) -> tuple[str, ...]:
    return tuple(values.plain(item) for item in values.words(text))


def _patterns(text: str) -> tuple[tuple[bool, str], ...]:
    """As in nginx's `map`: plain texts, or regexes behind `~` or `~*`."""
    found = []
    for item in values.words(values.plain(text, limit=16384)):
        is_regex = item.startswith("~")
        pattern = item.removeprefix("~").removeprefix("*") if is_regex else item
        try:
            re.compile(pattern if is_regex else "")
        except re.error as error:
            raise BadValue("ConfigInvalid", f"{values.shown(item)} is not a regular expression") from error
        found.append((is_regex, pattern))
    return tuple(found)


def _optional(parse: values.Parser) -> values.Parser:
    return lambda text: parse(text) if text else None


def _method(text: str) -> str:
    return values.one_of(*METHODS)(text)


def _signin(text: str) -> str:
    signin_url(text, "rd")
    return text


_flag, _natural, _list = values.boolean, values.natural, values.words
_failure = partial(_natural, least=400, most=599)
_reference = _optional(values.reference)
_levels = values.one_of("Low", "Medium", "High", "Critical")
_parameter = values.matching(r"[A-Za-z0-9._~-]{1,64}", "the name of a parameter")
_type = r"[A-Za-z0-9.+-]{1,127}/[A-Za-z0-9.+-]{1,127}"
_types = values.matching(rf"(?:{_type}(?: +{_type})*)?", "a list of media types", limit=4096)
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
)
GZIP_TYPES = (
    "application/atom+xml application/javascript application/x-javascript application/json application/rss+xml "
    "application/vnd.ms-fontobject application/x-font-ttf application/x-web-app-manifest+json application/xhtml+xml "
    "application/xml font/opentype image/svg+xml image/x-icon text/css text/javascript text/plain text/x-component"
)
CHALLENGE = "/.well-known/acme-challenge"


def _namespace_levels(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for item in values.words(text):
        namespace, equals, level = item.partition("=")
        if not equals:
            raise BadValue("ConfigInvalid", f"{values.shown(item)} is not NAMESPACE=LEVEL")
        found[values.name(namespace.strip())] = _levels(level.strip())
    return found


SETTINGS = (
    Setting("ssl-redirect", _flag, "true", "HTTP is redirected to HTTPS where a host has a certificate.", "false"),
    Setting("force-ssl-redirect", _flag, "false", "HTTP is redirected to HTTPS."),
    Setting("http-redirect-code", _code, "308", "The status of these redirects and of those from or to www."),
    Setting("no-tls-redirect-locations", _paths, CHALLENGE, "Prefixes of paths that are not redirected to HTTPS."),
    Setting("preserve-trailing-slash", _flag, "false", "The HTTPS redirect keeps a trailing slash."),
    Setting("relative-redirects", _flag, "false", "Redirects to a path leave out scheme and host."),
    Setting("use-port-in-redirects", _flag, "false", "The HTTPS redirect names the port."),
    Setting("hsts", _flag, "true", "Strict-Transport-Security on HTTPS.", "false"),
    Setting("hsts-max-age", _natural, "31536000", "Its seconds."),
    Setting("hsts-include-subdomains", _flag, "true", "Its includeSubDomains."),
    Setting("hsts-preload", _flag, "false", "Its preload."),
    Setting("ssl-protocols", protocols, "TLSv1.2 TLSv1.3", "Versions of TLS."),
    Setting("ssl-ciphers", ciphers, CIPHERS, "Ciphers in OpenSSL's syntax."),
    Setting("ssl-session-tickets", _flag, "false", "TLS session tickets."),
    Setting("ssl-reject-handshake", _flag, "false", "TLS fails for names that no host has."),
    Setting("use-forwarded-headers", _flag, "false", "X-Forwarded-For, -Proto, -Host and -Port of requests count."),
    Setting("enable-real-ip", _flag, "false", "X-Forwarded-For of requests counts."),
    Setting("proxy-real-ip-cidr", values.networks, "0.0.0.0/0,::/0", "Who may say in it who the client is."),
    Setting("forwarded-for-header", values.header_name, "X-Forwarded-For", "The header with the client's address."),
    Setting("compute-full-forwarded-for", _flag, "false", "The client is appended to X-Forwarded-For."),
    Setting("use-proxy-protocol", _flag, "false", "Both ports take the PROXY protocol."),
    Setting("generate-request-id", _flag, "true", "X-Request-ID is made up where a request has none."),
    Setting("add-headers", _reference, "", "A ConfigMap with headers for all answers."),
    Setting("proxy-set-headers", _reference, "", "A ConfigMap with headers for all requests to upstreams."),
    Setting("hide-headers", values.header_names, "", "Headers that are taken from answers of upstreams."),
    Setting("global-allowed-response-headers", values.header_names, "", "What custom-headers may set."),
    Setting("allow-backend-server-header", _flag, "false", "The Server header of upstreams reaches clients.", "true"),
    Setting("enable-underscores-in-headers", _flag, "false", "Headers with underscores are passed on."),
    Setting("proxy-connect-timeout", values.seconds, "5", "Seconds to connect to an endpoint."),
    Setting("proxy-read-timeout", values.seconds, "60", "Seconds between two reads from an upstream."),
    Setting("proxy-send-timeout", values.seconds, "60", "Seconds between two writes to an upstream."),
    Setting("proxy-body-size", values.size, "1m", "The largest request body; 0 is no limit.", "0"),
    Setting("client-header-timeout", _seconds, "60", "Seconds for a client to send its headers."),
    Setting("client-body-timeout", _seconds, "60", "Seconds between two pieces of a request body."),
    Setting("large-client-header-buffers", _buffers, "4 8k", "Number and size of buffers for request headers."),
    Setting("client-body-buffer-size", values.size, "8k", "Memory for a request body."),
    Setting("keep-alive", _seconds, "75", "Seconds that an idle connection of a client stays."),
    Setting("keep-alive-requests", partial(_natural, least=1), "1000", "Requests over one connection of a client."),
    Setting("limit-rate", _natural, "0", "KB a second of one answer."),
    Setting("limit-rate-after", _natural, "0", "KB of an answer at full speed."),
    Setting("limit-req-status-code", _failure, "503", "The status beyond limit-rps and limit-rpm."),
    Setting("limit-conn-status-code", _failure, "503", "The status beyond limit-connections."),
    Setting("use-http2", _flag, "true", "HTTP/2 for clients."),
    Setting("http2-max-concurrent-streams", partial(_natural, least=1), "128", "Streams of one connection."),
    Setting("upstream-keepalive-connections", _natural, "320", "Idle connections to upstreams."),
    Setting("upstream-keepalive-timeout", _seconds, "60", "Seconds that they stay."),
    Setting("upstream-keepalive-requests", partial(_natural, least=1), "10000", "Requests over one of them."),
    Setting("load-balance", algorithm, "round_robin", "round_robin, or ewma (least connections)."),
    Setting("proxy-next-upstream", conditions, "error timeout", "When the next endpoint is tried."),
    Setting("proxy-next-upstream-tries", partial(_natural, most=1000), "3", "Tries in all."),
    Setting("proxy-next-upstream-timeout", partial(_natural, most=1_000_000), "0", "Seconds for all tries."),
    Setting("retry-non-idempotent", _flag, "false", "POST, LOCK and PATCH are tried again, too."),
    Setting("proxy-buffering", values.switch, "off", "Whether answers are held back."),
    Setting("proxy-request-buffering", values.switch, "on", "Whether request bodies are read before they go on."),
    Setting("proxy-buffer-size", values.size, "4k", "The size of a buffer."),
    Setting("proxy-buffers-number", partial(_natural, least=1, most=1024), "4", "Buffers for an answer."),
    Setting("proxy-busy-buffers-size", _optional(values.size), "", "How much of them may be busy sending."),
    Setting("proxy-max-temp-file-size", values.size, "1024m", "The largest temporary file for an answer."),
    Setting("proxy-cookie-domain", pair, "off", "What the Domain of the upstream's cookies becomes."),
    Setting("proxy-cookie-path", pair, "off", "What the Path of the upstream's cookies becomes."),
    Setting("proxy-redirect-from", location, "off", "The beginning of Location that proxy-redirect-to replaces."),
    Setting("proxy-redirect-to", location, "off", "What replaces it."),
    Setting("service-upstream", _flag, "false", "The Services' own addresses stand for their endpoints."),
    Setting("custom-http-errors", _statuses, "", "Statuses that the default backend replaces."),
    Setting("disable-proxy-intercept-errors", _flag, "false", "Answers of upstreams themselves are left alone."),
    Setting("allow-snippet-annotations", _flag, "false", "Raw configuration in annotations, for nginx."),
    Setting("annotations-risk-level", _levels, "High", "Ingresses with riskier annotations are left out."),
    Setting("annotations-risk-level-namespaces", _namespace_levels, "", "NAMESPACE=LEVEL, comma-separated: the level "
            "of these namespaces."),
    Setting("annotations-allowed", _list, "", "Only these annotations may be used; none named: all."),
    Setting("annotation-value-word-blocklist", _list, "", "Ingresses with these words in annotations are left out."),
    Setting("allow-cross-namespace-resources", _flag, "false", "Annotations may name objects of other namespaces."),
    Setting("whitelist-source-range", values.networks, "", "Only these networks may pass."),
    Setting("denylist-source-range", values.networks, "", "These networks get 403."),
    Setting("block-cidrs", values.networks, "", "These networks get 403, whatever they ask for."),
    Setting("block-user-agents", _patterns, "", "User agents that get 403; `~` or `~*` begins a regex."),
    Setting("block-referers", _patterns, "", "Referers that get 403; `~` or `~*` begins a regex."),
    Setting("no-auth-locations", _paths, CHALLENGE, "Prefixes of paths without authentication."),
    Setting("global-auth-url", _optional(target), "", "auth-url of all Ingresses that have none."),
    Setting("global-auth-method", _optional(_method), "", "Its method."),
    Setting("global-auth-signin", _optional(_signin), "", "Where its 401 is redirected to."),
    Setting("global-auth-signin-redirect-param", _parameter, "rd", "The parameter for the URL of the request."),
    Setting("global-auth-response-headers", values.header_names, "", "Headers that are copied for the upstream."),
    Setting("global-auth-request-redirect", _optional(url_text), "", "Its X-Auth-Request-Redirect."),
    Setting("global-auth-always-set-cookie", _flag, "false", "Its cookies reach the client whatever the status."),
    Setting("global-auth-cache-key", _optional(cache_key), "", "Its answers are kept by this key."),
    Setting("global-auth-cache-duration", durations, "200 202 401 5m", "How long."),
    Setting("use-gzip", _flag, "false", "Answers are compressed."),
    Setting("gzip-level", partial(_natural, least=1, most=9), "1", "How hard."),
    Setting("gzip-min-length", _natural, "256", "From so many bytes on."),
    Setting("gzip-types", _types, GZIP_TYPES, "Media types besides text/html."),
    Setting("disable-access-log", _flag, "false", "Requests are not logged."),
    Setting("worker-processes", _workers, "auto", "Processes of the proxy; auto is one a CPU."),
    Setting("worker-shutdown-timeout", _seconds, "240s", "Seconds that old connections have after a reload."),
    Setting("max-worker-connections", partial(_natural, least=16), "16384", "Connections of one process."),
)  # fmt: skip
BY_NAME: Mapping[str, Setting] = {row.name: row for row in SETTINGS}


class Effective(Struct, frozen=True):
    """The value of a key, its text, and where it comes from: `default`, `profile` or `ConfigMap`."""

    value: Any
    text: str
    origin: str


def effective(
    data: Mapping[str, str], *, is_spec: bool
) -> tuple[Mapping[str, Effective], tuple[tuple[str, str, str], ...]]:
    """Every key with its value, and the faults: the key, a code and a message.

    Shape: a key that gen does not know is only a fault; a bad value leaves the default.
    """
    faults: list[tuple[str, str, str]] = []
    found = dict(_DEFAULTS[is_spec])
    for key, text in sorted(data.items()):
        row = BY_NAME.get(key)
        if row is None:
            faults.append((key, "ConfigUnsupported", f"{values.shown(key)} is not a key that gen reads"))
            continue
        try:
            found[key] = Effective(row.parse(text.strip()), text.strip(), "ConfigMap")
        except BadValue as fault:
            faults.append((key, "ConfigInvalid", f"{fault}; the default stays"))
    return found, tuple(faults)


def _default(row: Setting, *, is_spec: bool) -> Effective:
    text = row.default if row.in_spec is None or not is_spec else row.in_spec
    return Effective(row.parse(text), text, "default" if is_spec or row.in_spec is None else "profile")


_DEFAULTS = {is_spec: {row.name: _default(row, is_spec=is_spec) for row in SETTINGS} for is_spec in (True, False)}
