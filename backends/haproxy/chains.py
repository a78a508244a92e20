"""How long the chains of clients' certificates may be: HAProxy itself does not limit them, so the script counts.

The script knows what a client presents.  What it cannot know is how far an authority of ours is from its root when
that is not presented: this is worked out here.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from hashlib import sha256

from backends.haproxy.syntax import Encoded
from gen.errors import BadValue

NAME_DIGITS = 16
MOST = 400  # authorities; more would not fit into a row


@lru_cache(maxsize=256)
def heights(authorities: bytes) -> Encoded:
    """`NAME=HEIGHT,` for each authority.  Raises BadValue.

    Shape: NAME are hex digits of the SHA-256 of the subject; HEIGHT counts the steps to the root.
    """
    from cryptography import x509  # not needed by those who only render hosts without certificates of clients

    try:
        with warnings.catch_warnings(action="ignore"):
            certificates = x509.load_pem_x509_certificates(authorities)
    except ValueError:
        raise BadValue("InvalidPem", "the authorities are not certificates in PEM") from None
    issuers: dict[bytes, set[bytes]] = {}
    for each in certificates:
        issuers.setdefault(each.subject.public_bytes(), set()).add(each.issuer.public_bytes())
    found = {name_of(name): height(name, issuers, frozenset()) for name in issuers}
    rows = [f"{name}={steps}," for name, steps in sorted(found.items())]
    if len(rows) > MOST:
        raise BadValue("TooManyAuthorities", f"at most {MOST} authorities may be trusted")
    return Encoded("".join(rows))


def height(name: bytes, issuers: dict[bytes, set[bytes]], below: frozenset[bytes]) -> int:
    """How many steps it is at most from an authority to the highest one of these."""
    above = [each for each in issuers.get(name, ()) if each != name and each in issuers and each not in below]
    return max((1 + height(each, issuers, below | {name}) for each in above), default=0)


def name_of(subject: bytes) -> str:
    """What the script calls a subject."""
    return sha256(subject).hexdigest()[:NAME_DIGITS]
