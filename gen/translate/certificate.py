"""The certificate unit: from a Secret to a chain and a key that were parsed, checked and written anew."""

from __future__ import annotations

import binascii
from base64 import b64decode

from gen.errors import BadValue
from gen.ir import Certificate, Issue, Source
from gen.k8s import Secret
from gen.translate.units import Result, UnitReader


def certificate(read: UnitReader, full_name: str) -> Result[Certificate | None]:
    """The certificate of a Secret `namespace/name`, None when it is missing or cannot be used."""
    namespace, _, name = full_name.partition("/")
    secret = read.get(Secret, namespace, name)
    if secret is None:
        missing = f"Secret {full_name} was not found, the default certificate is served"
        return Result(None, faults=(("SecretNotFound", missing),))
    source = Source("Secret", namespace, name)
    try:
        return Result(_parsed(secret, full_name, source))
    except BadValue as fault:
        return Result(None, (Issue(source, fault.code, f"{fault}; the default certificate is served"),))


def _parsed(secret: Secret, full_name: str, source: Source) -> Certificate:
    chain, key = secret_value(secret, "tls.crt"), secret_value(secret, "tls.key")
    from gen.translate import pem

    pair = pem.parse(chain, key)
    return Certificate(full_name, pair.chain, pair.key, pair.names, pair.not_after, source, pair.not_before)


def secret_value(secret: Secret, key: str) -> bytes:
    """A value of a Secret; `stringData` counts before `data`, as the API server merges them."""
    plain = (secret.string_data or {}).get(key)
    if plain is not None:
        return plain.encode(errors="replace")
    try:
        return b64decode((secret.data or {}).get(key) or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadValue("SecretDecode", f"{key} is not base64") from error
