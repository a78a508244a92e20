"""The claims of several Ingresses, the oldest first."""

from __future__ import annotations

from collections.abc import Iterable

from gen.store import IndexName
from gen.translate.ingress import Claim
from gen.translate.settings import Profile
from gen.translate.units import UnitReader


def claims_by(read: UnitReader, rules: Profile, index: IndexName, key: str) -> list[Claim]:
    """The claims of the Ingresses that an index holds under a key, the oldest Ingress first."""
    found = (read.unit("ingress", f"{ref.namespace}/{ref.name}").value for ref in read.refs(index, key))
    claims: list[Claim] = [claim for claim in found if claim]
    if len(claims) > 1:
        claims.sort(key=lambda claim: claim.full_name, reverse=rules.newest_name_first)
        claims.sort(key=lambda claim: claim.age)
    return claims


def primary(claims: Iterable[Claim]) -> list[Claim]:
    """Those that have routes of their own."""
    return [claim for claim in claims if not claim.is_canary]
