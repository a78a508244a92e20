"""More names of a host: its aliases, and the name that only redirects from or to `www.`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gen.ir import Host, Issue, Match, Route
from gen.translate.claims import claims_by, primary
from gen.translate.hosttls import certificate_for
from gen.translate.ingress import Claim, www_of
from gen.translate.settings import Profile
from gen.translate.units import UnitReader

_ROOT = Match("prefix", "/")
Aliases = tuple[tuple[str, ...], tuple[str, ...], tuple[Issue, ...]]


def aliases(read: UnitReader, rules: Profile, name: str, owners: Iterable[Claim]) -> Aliases:
    """The aliases of a host, its alias patterns, and what was wrong with the others.

    Shape: the oldest Ingress that has any counts; a name that is a host of its own, or the alias of an older
    Ingress, is left out.
    """
    claim = next((one for one in owners if one.effects.aliases or one.effects.alias_patterns), None)
    if claim is None or not name:
        return (), (), ()
    kept: list[str] = []
    issues: list[Issue] = []
    for alias in claim.effects.aliases:
        if alias == name:
            continue
        if reason := _taken(read, rules, alias, name, claim):
            issues.append(Issue(claim.source.at("metadata.annotations"), "HostConflict", reason, "warning"))
        else:
            kept.append(alias)
    return tuple(kept), claim.effects.alias_patterns, tuple(issues)


def _taken(read: UnitReader, rules: Profile, alias: str, name: str, claim: Claim) -> str:
    """Why a host does not get an alias, "" when it does."""
    for other in primary(claims_by(read, rules, "ingresses by host", alias)):
        if alias in other.rules:
            return f"the alias {alias} is a host of {other.source}"
    holders = [one for one in primary(claims_by(read, rules, "ingresses by alias", alias)) if _has(one, alias)]
    if holders and holders[0] is not claim:
        return f"the alias {alias} is one of {holders[0].source}"
    first = min(host for host in claim.rules if host)
    return "" if first == name else f"the alias {alias} is already one of {first}"


def _has(claim: Claim, alias: str) -> bool:
    return alias in claim.effects.aliases and any(claim.rules)


def www(read: UnitReader, rules: Profile, name: str) -> Host | None:
    """The host that only redirects to the one with or without `www.`, where an Ingress of that one wants it."""
    if not name or name.startswith("*."):
        return None
    other = www_of(name)
    asking = [claim for claim in _owners(read, rules, other) if claim.effects.www]
    if not asking or not asking[0].effects.www:
        return None
    redirect = msgspec.structs.replace(asking[0].effects.www, host=other)
    certificate, _ = certificate_for(read, rules, other, _owners(read, rules, other))
    found = read.unit("certificate", certificate).value if certificate else None
    covered = certificate if found and found.is_for(name) else ""
    route = Route(_ROOT, redirect, asking[0].source)
    return Host(name, (route,), covered, (asking[0].source,))


def _owners(read: UnitReader, rules: Profile, name: str) -> Iterator[Claim]:
    claims = primary(claims_by(read, rules, "ingresses by host", name))
    first = next((claim for claim in claims if name in claim.rules), None)
    for claim in claims:
        if name in claim.rules and first and (rules.shares_hosts or claim.namespace == first.namespace):
            yield claim
