"""A self-signed certificate for hosts that have none of their own: made once, then kept by whoever asked for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gen.ir import Certificate, Source

_NAMES = {
    "ingress-nginx": ("Acme Co", "Kubernetes Ingress Controller Fake Certificate", "ingress.local"),
    "spec": ("gen", "gen self-signed certificate", "gen.invalid"),
}


def self_signed(profile: str, *, days: int = 365) -> Certificate:
    """A new certificate and key (ECDSA, P-256), valid from now on for some days.

    Shape: `id` is "default"; the ingress-nginx profile has that controller's names on it.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    organization, common_name, dns_name = _NAMES[profile]
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    begin = datetime.now(UTC).replace(microsecond=0)
    end = begin + timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        "default",
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        (dns_name,),
        end.timestamp(),
        Source("gen", "", "self-signed"),
        begin.timestamp(),
    )
