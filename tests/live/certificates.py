"""Certificates for tests, made on the spot."""

from __future__ import annotations

import functools

import trustme

from tests.live.manifests import Manifest, tls_secret


@functools.cache
def authority() -> trustme.CA:
    """The authority of this test run."""
    return trustme.CA()


def issue(*names: str) -> tuple[bytes, bytes]:
    """A certificate chain for these DNS names and its key, both PEM."""
    leaf = authority().issue_cert(*names)
    return b"".join(part.bytes() for part in leaf.cert_chain_pems), leaf.private_key_pem.bytes()


def secret(name: str, namespace: str, *names: str) -> Manifest:
    """A TLS Secret with a new certificate for these DNS names."""
    return tls_secret(name, namespace, *issue(*names))
