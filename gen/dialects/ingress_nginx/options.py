"""From the keys of the global ConfigMap to the options of the proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gen.dialects.ingress_nginx.configmap import Effective
from gen.policy import Buffering, Forwarded, Gzip

Settings = Mapping[str, Effective]

_FIELDS = {
    "ssl-protocols": "tls_protocols",
    "ssl-ciphers": "tls_ciphers",
    "ssl-session-tickets": "tls_session_tickets",
    "proxy-body-size": "body_limit",
    "proxy-connect-timeout": "connect_timeout",
    "proxy-read-timeout": "read_timeout",
    "proxy-send-timeout": "send_timeout",
    "client-header-timeout": "header_timeout",
    "client-body-timeout": "body_timeout",
    "large-client-header-buffers": "header_buffers",
    "keep-alive": "idle_timeout",
    "keep-alive-requests": "idle_requests",
    "use-http2": "http2",
    "http2-max-concurrent-streams": "http2_streams",
    "upstream-keepalive-connections": "upstream_idle_connections",
    "upstream-keepalive-timeout": "upstream_idle_timeout",
    "upstream-keepalive-requests": "upstream_idle_requests",
    "proxy-next-upstream-tries": "tries",
    "block-cidrs": "block_networks",
    "block-user-agents": "block_user_agents",
    "block-referers": "block_referers",
    "worker-processes": "workers",
    "worker-shutdown-timeout": "drain_timeout",
    "max-worker-connections": "max_connections",
}
"""Keys that are one field of Options each."""

_BUFFERS = {
    "proxy-request-buffering": "request",
    "proxy-buffering": "response",
    "client-body-buffer-size": "request_memory",
    "proxy-buffer-size": "buffer_size",
    "proxy-buffers-number": "buffers",
    "proxy-busy-buffers-size": "busy_size",
    "proxy-max-temp-file-size": "file_size",
}


def fields(settings: Settings) -> Mapping[str, Any]:
    """The fields of Options that the ConfigMap or the profile sets; what is left out keeps the proxy's default."""
    found: dict[str, Any] = {
        field: settings[key].value for key, field in _FIELDS.items() if settings[key].origin != "default"
    }
    found |= _switches(settings) | _forwarding(settings)
    buffers = {field: settings[key].value for key, field in _BUFFERS.items() if settings[key].origin != "default"}
    if buffers:
        found["buffering"] = Buffering(**buffers)
    if _is_given(settings, ("proxy-next-upstream", "retry-non-idempotent")):
        more = ("non_idempotent",) if settings["retry-non-idempotent"].value else ()
        found["retry_conditions"] = (*settings["proxy-next-upstream"].value, *more)
    if seconds := settings["proxy-next-upstream-timeout"].value:
        found["retry_timeout"] = float(seconds)
    return {name: value for name, value in found.items() if value != ()}


def _is_given(settings: Settings, keys: tuple[str, ...]) -> bool:
    return any(settings[key].origin != "default" for key in keys)


def _switches(settings: Settings) -> dict[str, Any]:
    """What is None as long as it is off."""
    hidden = settings["hide-headers"].value
    if not settings["allow-backend-server-header"].value:
        hidden = (*hidden, "Server")
    found = {
        "hsts": _hsts(settings),
        "gzip": _gzip(settings),
        "hidden_headers": hidden or None,
        "reject_unknown_names": settings["ssl-reject-handshake"].value or None,
        "underscores_in_headers": settings["enable-underscores-in-headers"].value or None,
        "request_id": None if settings["generate-request-id"].value else False,
        "access_log": False if settings["disable-access-log"].value else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _hsts(settings: Settings) -> str | None:
    if not settings["hsts"].value:
        return None
    subdomains = "; includeSubDomains" if settings["hsts-include-subdomains"].value else ""
    preload = "; preload" if settings["hsts-preload"].value else ""
    return f"max-age={settings['hsts-max-age'].value}{subdomains}{preload}"


def _gzip(settings: Settings) -> Gzip | None:
    if not settings["use-gzip"].value:
        return None
    types = tuple(settings["gzip-types"].value.split())
    return Gzip(settings["gzip-level"].value, settings["gzip-min-length"].value, types)


def _forwarding(settings: Settings) -> dict[str, Any]:
    """Who says where a request comes from: with the PROXY protocol its line, with forwarded headers these."""
    headers, networks = settings["use-forwarded-headers"].value, settings["proxy-real-ip-cidr"].value
    found: dict[str, Any] = {}
    if settings["use-proxy-protocol"].value:
        found["proxy_protocol"] = networks
    trusts_address = headers or settings["enable-real-ip"].value
    forwarded = Forwarded(
        headers=headers,
        networks=networks if trusts_address else (),
        address_header=settings["forwarded-for-header"].value if trusts_address else "X-Forwarded-For",
        append=settings["compute-full-forwarded-for"].value,
    )
    if forwarded != Forwarded():
        found["forwarded"] = forwarded
    return found
