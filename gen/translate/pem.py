"""Certificates and keys as PEM: parsed, checked against each other, and written anew.

What three proxies accept differs; what passes here is accepted by all of them, and none of the tenant's bytes go on.
This is the only module of translation that imports `cryptography`, and it is imported where there is a certificate.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from msgspec import Struct

from gen.errors import BadValue

MAX_CHAIN = 10
MAX_AUTHORITIES = 200
MAX_BYTES = 256 * 1024
MAX_RSA_BITS = 8192
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_KEY_LABELS = frozenset((b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"))
_CURVES = frozenset(("secp256r1", "secp384r1", "secp521r1"))


class Pair(Struct, frozen=True):
    """A chain and its key as canonical PEM, the leaf first; instants in seconds since the epoch."""

    chain: bytes
    key: bytes
    names: tuple[str, ...]
    not_before: float
    not_after: float

    def __repr__(self) -> str:
        return f"Pair(names={self.names!r})"


@lru_cache(maxsize=4096)
def parse(chain: bytes, key: bytes) -> Pair:
    """The pair that two PEM texts hold.

    Raises: BadValue (CertMissing, CertParse, CertChainTooLong, CertNoName, CertKeyMismatch, KeyMissing, KeyParse,
    KeyEncrypted, KeyAmbiguous, KeyTooWeak, KeyTypeUnsupported); no message holds any of the input.
    """
    certificates = _certificates(chain)
    private = _private_key(key)
    _check_strength(private)
    leaf = certificates[0]
    if _public_bytes(leaf.public_key()) != _public_bytes(private.public_key()):
        raise BadValue("CertKeyMismatch", "the key does not belong to the first certificate of tls.crt")
    if isinstance(private, rsa.RSAPrivateKey):
        _prove(private)
    return Pair(
        b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates),
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        _names(leaf),
        leaf.not_valid_before_utc.timestamp(),
        leaf.not_valid_after_utc.timestamp(),
    )


@lru_cache(maxsize=1024)
def authorities(text: bytes) -> bytes:
    """The certificates of a CA bundle as canonical PEM.

    Raises: BadValue (CertMissing, CertParse, CertChainTooLong).
    """
    return b"".join(found.public_bytes(Encoding.PEM) for found in _certificates(text, "ca.crt", MAX_AUTHORITIES))


@lru_cache(maxsize=1024)
def revocations(text: bytes) -> bytes:
    """The revocation lists of a text as canonical PEM.  Raises: BadValue (CertParse)."""
    bodies = [body for label, body in _blocks(text, "ca.crl") if label == b"X509 CRL"]
    try:
        lists = [x509.load_der_x509_crl(b64decode(b"".join(body), validate=True)) for body in bodies]
    except (ValueError, TypeError) as error:
        raise BadValue("CertParse", "ca.crl holds a list that cannot be parsed") from error
    if not lists:
        raise BadValue("CertParse", "ca.crl holds no revocation list in PEM")
    return b"".join(found.public_bytes(Encoding.PEM) for found in lists)


def _certificates(text: bytes, key: str = "tls.crt", most: int = MAX_CHAIN) -> list[x509.Certificate]:
    if not text.strip():
        raise BadValue("CertMissing", f"{key} is missing or empty")
    bodies = list(dict.fromkeys(body for label, body in _blocks(text, key) if label == b"CERTIFICATE"))
    if len(bodies) > most:
        raise BadValue("CertChainTooLong", f"{key} holds more than {most} certificates")
    try:
        found = [x509.load_der_x509_certificate(b64decode(b"".join(body), validate=True)) for body in bodies]
    except (ValueError, TypeError) as error:
        raise BadValue("CertParse", f"{key} holds a certificate that cannot be parsed") from error
    if not found:
        raise BadValue("CertParse", f"{key} holds no certificate in PEM")
    return list(dict.fromkeys(found))


def _blocks(text: bytes, key: str) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
    """The labels and lines of all blocks, whatever stands around them; one pass, for the text may be hostile."""
    if len(text) > MAX_BYTES:
        raise BadValue("CertParse", f"{key} is longer than {MAX_BYTES} bytes")
    label, body = b"", list[bytes]()
    for line in (raw.rstrip(b"\r\t \0") for raw in text.split(b"\n")):
        if begin := _BEGIN.fullmatch(line):
            label, body = begin[1], []
        elif label and line == b"-----END %b-----" % label:
            yield label, tuple(body)
            label = b""
        elif label:
            body.append(line)


def _private_key(text: bytes) -> PrivateKeyTypes:
    if not text.strip():
        raise BadValue("KeyMissing", "tls.key is missing or empty")
    keys = [(label, body) for label, body in _blocks(text, "tls.key") if label in _KEY_LABELS]
    if not keys:
        raise BadValue("KeyParse", "tls.key holds no private key in PEM")
    if len(keys) > 1:
        raise BadValue("KeyAmbiguous", "tls.key holds more than one private key")
    label, body = keys[0]
    if label.startswith(b"ENCRYPTED") or any(b"ENCRYPTED" in line for line in body[:2]):
        raise BadValue("KeyEncrypted", "tls.key is encrypted")
    try:
        whole = b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, b"\n".join(body), label)
        # The primes of RSA would be tested here, for 30 ms; what the key signs says as much in less than one.
        return load_pem_private_key(whole, None, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm as error:
        raise BadValue("KeyTypeUnsupported", "tls.key is of a kind that the proxies do not support") from error
    except (ValueError, TypeError) as error:
        raise BadValue("KeyParse", "tls.key holds a key that cannot be parsed") from error


def _prove(private: rsa.RSAPrivateKey) -> None:
    """Let a key sign something."""
    try:
        signed = private.sign(b"gen", padding.PKCS1v15(), hashes.SHA256())
        private.public_key().verify(signed, b"gen", padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature, InternalError) as error:
        raise BadValue("KeyParse", "tls.key holds a key that cannot sign") from error


def _check_strength(private: PrivateKeyTypes) -> None:
    if isinstance(private, rsa.RSAPrivateKey):
        if private.key_size > MAX_RSA_BITS:
            raise BadValue("KeyTypeUnsupported", f"tls.key is RSA of more than {MAX_RSA_BITS} bits")
        if private.key_size < 2048:
            raise BadValue("KeyTooWeak", f"tls.key is RSA of {private.key_size} bits, expected 2048 or more")
    elif not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in _CURVES:
        raise BadValue("KeyTypeUnsupported", "tls.key is neither RSA nor ECDSA on P-256, P-384 or P-521")


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """The DNS names of a certificate: its alternative names, or the common name where it has none."""
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(name.lower() for name in alternative.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        pass
    except ValueError as error:
        raise BadValue("CertParse", "the extensions of the certificate cannot be parsed") from error
    common = [str(name.value).lower() for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not common:
        raise BadValue("CertNoName", "the certificate has neither an alternative name nor a common name")
    return tuple(common)
