"""How loudly gen says no: which annotations protect, and which of their values ask for nothing."""

from __future__ import annotations

_SECURITY = """
    allowlist-source-range denylist-source-range enable-modsecurity enable-owasp-core-rules limit-connections
    limit-rate limit-rpm limit-rps proxy-ssl-ciphers proxy-ssl-protocols proxy-ssl-verify proxy-ssl-verify-depth
    proxy-ssl-secret proxy-body-size satisfy ssl-ciphers
"""
SECURITY = frozenset(_SECURITY.split())
"""Ignoring one of these, or one that begins with auth-, would let more traffic in than its owner allows."""

OFF = frozenset(("", "0", "f", "F", "FALSE", "false", "False", "off"))
"""Values by which an annotation asks for nothing."""


def is_security(name: str) -> bool:
    """Whether an annotation protects something."""
    return name in SECURITY or name.startswith("auth-")
