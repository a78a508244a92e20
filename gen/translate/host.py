"""The host unit: from the claims of all Ingresses to one complete routing table and the choice of a certificate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gen.ir import (
    CATCH_ALL,
    NO_POLICY,
    Certificate,
    Forward,
    Host,
    Issue,
    Match,
    Redirect,
    Respond,
    Route,
    Severity,
    Source,
    Weighted,
)
from gen.translate.ingress import Claim, PathClaim, TlsClaim, covers, parent
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader

MAX_PATHS = 1000
"""Paths of one host; nginx's own test is quadratic in them."""

_ROOT = Match("prefix", "/")
_NOT_FOUND = Respond(404)
_NOBODY = Source("gen", "", "default")
_DEFAULT = "the default backend for all other hosts"
_RANKS = {"exact": 0, "regex": 1, "prefix": 2}


def host(settings: Settings, read: UnitReader, name: str) -> Result[Host | None]:
    """The virtual host of a name, None when no Ingress of ours claims it (the catch-all always exists)."""
    return _Building(settings, read, name).result()


class _Building:
    """One host while it is being built."""

    def __init__(self, settings: Settings, read: UnitReader, name: str) -> None:
        self._rules = settings.rules
        self._read = read
        self._name = name
        self._shown = name or "the catch-all host"
        self._routes: dict[Match, Route] = {}
        self._sources: list[Source] = []
        self._issues: list[Issue] = []

    def result(self) -> Result[Host | None]:
        claims = self._claims()
        owners = self._within_limit(self._owners([claim for claim in claims if self._name in claim.rules]))
        if not owners and self._name != CATCH_ALL:
            return Result(None, tuple(self._issues))
        for claim in owners:
            self._add_paths(claim)
        if self._rules.keeps_trailing_slash:
            self._add_slash_redirects()
        self._add_root(owners, self._fallback(claims))
        value = Host(self._name, self._in_match_order(), self._certificate(owners), tuple(self._sources))
        return Result(value, tuple(self._issues))

    # -------------------------------------------------------------- who may speak

    def _claims(self) -> list[Claim]:
        """The claims that concern this name, the oldest Ingress first."""
        refs = self._read.refs("ingresses by host", self._name)
        found = (self._read.unit("ingress", f"{ref.namespace}/{ref.name}").value for ref in refs)
        claims: list[Claim] = [claim for claim in found if claim]
        if len(claims) > 1:
            claims.sort(key=lambda claim: claim.full_name, reverse=self._rules.newest_name_first)
            claims.sort(key=lambda claim: claim.created)
        return claims

    def _owners(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """The claims that count: where hosts are not shared, those in the namespace of the oldest."""
        if not claims or self._rules.shares_hosts:
            return claims
        owner = claims[0].source.at("spec.rules")
        for claim in claims:
            if claim.namespace != owner.namespace:
                self._conflict(claim.source.at("spec.rules"), owner, "HostConflict", self._shown)
        return [claim for claim in claims if claim.namespace == owner.namespace]

    def _within_limit(self, claims: Iterable[Claim]) -> Sequence[Claim]:
        kept, count = [], 0
        for claim in claims:
            paths = len(claim.rules[self._name])
            if count + paths > MAX_PATHS:
                message = f"{self._shown} would have more than {MAX_PATHS} paths"
                self._say(claim.source.at("spec.rules"), "TooManyPaths", message, "error")
            else:
                kept.append(claim)
                count += paths
        return kept

    def _conflict(self, loser: Source, winner: Source, code: str, what: str) -> None:
        self._say(loser, code, f"{what} belongs to {winner}", "error")
        self._say(winner, code, f"{what} is claimed by {loser}, too, which gets nothing", "warning")

    # -------------------------------------------------------------- routes

    def _add_paths(self, claim: Claim) -> None:
        self._sources.append(claim.source)
        for path in claim.rules[self._name]:
            match = Match(path.kind, path.path)
            if match in self._routes:
                self._duplicate(path, self._routes[match].source)
            else:
                self._routes[match] = _route(match, claim, path)

    def _duplicate(self, path: PathClaim, first: Source) -> None:
        what = f"the {path.kind} path {path.path} of {self._shown}"
        if path.source.at("") == first.at(""):
            self._say(path.source, "DuplicatePath", f"{what} stands there twice, the first one counts", "warning")
        else:
            self._conflict(path.source, first, "DuplicatePath", what)

    def _add_slash_redirects(self) -> None:
        """As nginx does it: `/x` leads to `/x/` where only the latter is claimed."""
        for match, route in tuple(self._routes.items()):
            bare = match.path[:-1]
            if not bare or not match.path.endswith("/") or not isinstance(route.action, Forward):
                continue
            exact = Match("exact", bare)
            if exact not in self._routes and Match("prefix", bare) not in self._routes:
                self._routes[exact] = Route(exact, Redirect(301, path=match.path), route.source)

    def _in_match_order(self) -> tuple[Route, ...]:
        """All routes: exact paths, regexes, then prefixes, the longest first."""
        for route in self._routes.values():
            for part in route.action.split if isinstance(route.action, Forward) else ():
                self._read.mention("upstream", part.upstream)
        ranked = sorted(self._routes, key=lambda match: (_RANKS[match.kind], -len(match.path), match.path))
        return tuple(self._routes[match] for match in ranked)

    # -------------------------------------------------------------- where no path matches

    def _add_root(self, owners: Sequence[Claim], fallback: Route | None) -> None:
        root = self._routes.get(_ROOT) or self._root(owners, fallback)
        self._routes[_ROOT] = root
        if fallback and root is not fallback:
            self._conflict(fallback.source, root.source, "DefaultBackendConflict", _DEFAULT)

    def _root(self, owners: Sequence[Claim], fallback: Route | None) -> Route:
        """A default backend, else 404; in one profile with the annotations of the host's oldest Ingress."""
        if self._rules.root_inherits:
            owners = () if self._name == CATCH_ALL else owners[:1]
        for claim in owners:
            if claim.default:
                return _route(_ROOT, claim, claim.default)
        if fallback:
            return fallback
        upstream = self._read.unit("default", "").value
        heir = owners[0] if owners and self._rules.root_inherits else None
        policy, source, action = (heir.policy, heir.source, heir.action) if heir else (NO_POLICY, _NOBODY, None)
        return Route(_ROOT, action or (_forward(upstream) if upstream else _NOT_FOUND), source, policy)

    def _fallback(self, claims: Iterable[Claim]) -> Route | None:
        """The route of the oldest Ingress that is nothing but a default backend; a redirect has no effect there."""
        oldest: Route | None = None
        for claim in claims:
            if claim.rules or not claim.default:
                continue
            if oldest:
                self._conflict(claim.default.source, oldest.source, "DefaultBackendConflict", _DEFAULT)
            else:
                action = None if isinstance(claim.action, Redirect) else claim.action
                oldest = Route(_ROOT, action or _forward(claim.default.upstream), claim.default.source, claim.policy)
                self._sources.append(claim.source)
        return oldest

    # -------------------------------------------------------------- certificates

    def _certificate(self, owners: Iterable[Claim]) -> str:
        """The id of the certificate: of the oldest Ingress whose spec.tls is for this host; "" is the default one."""
        for claim in owners:
            entry = self._listed(claim.tls) or self._matching(claim.tls)
            if entry:
                return self._usable(entry) if entry.secret else ""
        return ""

    def _listed(self, entries: Sequence[TlsClaim]) -> TlsClaim | None:
        for name in (self._name, parent(self._name)):
            for entry in entries:
                if name in entry.hosts:
                    return entry
        return None

    def _matching(self, entries: Iterable[TlsClaim]) -> TlsClaim | None:
        """An entry that does not list the host, but whose certificate is for it."""
        for entry in entries:
            if entry.secret:
                found = self._read.unit("certificate", entry.secret)
                if found.value and self._is_for_us(found.value):
                    return entry
                if not entry.hosts:
                    self._say_faults(found, entry.source)
        return None

    def _usable(self, entry: TlsClaim) -> str:
        found = self._read.unit("certificate", entry.secret)
        self._say_faults(found, entry.source)
        if found.value is None:
            return ""
        if self._is_for_us(found.value):
            return entry.secret
        replaced = self._rules.needs_matching_certificate
        instead = ", the default one is served" if replaced else ""
        self._say(entry.source, "CertNameMismatch", f"the certificate is not for {self._shown}{instead}", "warning")
        return "" if replaced else entry.secret

    def _is_for_us(self, certificate: Certificate) -> bool:
        return any(covers(name, self._name) for name in certificate.names)

    def _say_faults(self, result: Result[object], source: Source) -> None:
        for code, message in result.faults:
            self._say(source, code, message, "error")

    def _say(self, source: Source, code: str, message: str, severity: Severity) -> None:
        self._issues.append(Issue(source, code, message, severity))


def _route(match: Match, claim: Claim, path: PathClaim) -> Route:
    return Route(match, claim.action or _forward(path.upstream), path.source, claim.policy)


def _forward(upstream: str) -> Forward:
    return Forward((Weighted(upstream),))
