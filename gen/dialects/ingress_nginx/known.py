"""Every annotation that ingress-nginx 1.15 knows, with its risk and what it would mean to ignore it.

What gen honours is a row in one of the families; the rest of this table decides how loudly it says no.
"""

from __future__ import annotations

from gen.dialects.annotation import Risk

_LOW = """
    affinity affinity-canary-behavior auth-always-set-cookie auth-keepalive auth-keepalive-requests
    auth-keepalive-share-vars auth-keepalive-timeout auth-method auth-secret-type
    auth-tls-pass-certificate-to-upstream auth-tls-verify-client auth-tls-verify-depth auth-type
    backend-protocol canary canary-weight canary-weight-total connection-proxy-header cors-allow-credentials
    cors-max-age custom-http-errors default-backend disable-proxy-intercept-errors enable-access-log enable-cors
    enable-global-auth enable-modsecurity enable-opentelemetry enable-owasp-core-rules enable-rewrite-log
    from-to-www-redirect http2-push-preload limit-allowlist limit-burst-multiplier limit-connections limit-rate
    limit-rate-after limit-rpm limit-rps load-balance mirror-request-body opentelemetry-trust-incoming-span
    permanent-redirect-code proxy-buffer-size proxy-buffering proxy-buffers-number proxy-busy-buffers-size
    proxy-connect-timeout proxy-http-version proxy-max-temp-file-size proxy-next-upstream-timeout
    proxy-next-upstream-tries proxy-read-timeout proxy-request-buffering proxy-send-timeout proxy-ssl-protocols
    proxy-ssl-server-name proxy-ssl-verify proxy-ssl-verify-depth relative-redirects satisfy service-upstream
    session-cookie-change-on-failure session-cookie-conditional-samesite-none session-cookie-samesite
    session-cookie-secure ssl-ciphers ssl-passthrough ssl-prefer-server-ciphers ssl-redirect
    temporal-redirect-code upstream-hash-by-subset upstream-hash-by-subset-size upstream-vhost
    use-port-in-redirects use-regex
"""
_MEDIUM = """
    affinity-mode allowlist-source-range app-root auth-cache-duration auth-cache-key auth-proxy-set-headers
    auth-realm auth-request-redirect auth-response-headers auth-secret auth-signin-redirect-param
    auth-tls-secret canary-by-cookie canary-by-header canary-by-header-pattern canary-by-header-value
    client-body-buffer-size cors-allow-headers cors-allow-methods cors-allow-origin cors-expose-headers
    custom-headers denylist-source-range fastcgi-index fastcgi-params-configmap force-ssl-redirect
    opentelemetry-operation-name permanent-redirect preserve-trailing-slash proxy-body-size proxy-cookie-domain
    proxy-cookie-path proxy-next-upstream proxy-redirect-from proxy-redirect-to proxy-ssl-ciphers
    proxy-ssl-secret rewrite-target session-cookie-domain session-cookie-expires session-cookie-max-age
    session-cookie-name session-cookie-path temporal-redirect x-forwarded-prefix
"""
_HIGH = """
    auth-signin auth-tls-error-page auth-tls-match-cn auth-url mirror-host mirror-target
    modsecurity-transaction-id proxy-ssl-name server-alias upstream-hash-by
"""
_CRITICAL = """
    auth-snippet configuration-snippet modsecurity-snippet server-snippet stream-snippet
"""

_BY_RISK: tuple[tuple[Risk, str], ...] = (
    ("low", _LOW),
    ("medium", _MEDIUM),
    ("high", _HIGH),
    ("critical", _CRITICAL),
)
RISKS = {name: risk for risk, names in _BY_RISK for name in names.split()}

ALIASES = {"whitelist-source-range": "allowlist-source-range", "limit-whitelist": "limit-allowlist"}

_SECURITY = """
    allowlist-source-range denylist-source-range enable-modsecurity enable-owasp-core-rules limit-connections
    limit-rate limit-rpm limit-rps proxy-ssl-ciphers proxy-ssl-protocols proxy-ssl-verify-depth ssl-ciphers
"""
SECURITY = frozenset((*_SECURITY.split(), *(name for name in RISKS if name.startswith("auth-"))))
"""Ignoring one of these would let more traffic in than its owner allows, so its routes are closed instead.

Not here, though near: the HTTPS redirects (what they hide is public on HTTPS) and modifiers that do nothing alone.
"""

OFF = frozenset(("", "0", "f", "F", "FALSE", "false", "False", "off"))
"""Values by which a security annotation asks for nothing."""

SNIPPETS = frozenset(_CRITICAL.split())
"""Raw configuration: never rendered, and what depends on it is not served without it."""
