"""The host unit: from the claims of all Ingresses to one complete routing table and the choice of a certificate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gen.ir import CATCH_ALL, NO_POLICY, Action, Forward, Host, Issue, Match, Redirect, Respond, Route, Severity, Source, Weighted
from gen.k8s import Ingress
from gen.translate.ingress import Claim, PathClaim, TlsClaim, covers
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader

MAX_ROUTES = 1000
"""Paths of one host; nginx's own test is quadratic in them."""

_ROOT = Match("prefix", "/")
_NOT_FOUND = Respond(404)
_NOBODY = Source("gen", "", "default")


def host(settings: Settings, read: UnitReader, name: str) -> Result[Host | None]:
    """The virtual host of a name, None when no Ingress of ours claims it (the catch-all always exists)."""
    return _Building(settings, read, name).result()


class _Building:
    """One host while it is being built."""

    def __init__(self, settings: Settings, read: UnitReader, name: str) -> None:
        self._settings = settings
        self._read = read
        self._name = name
        self._routes: dict[Match, Route] = {}
        self._issues: list[Issue] = []

    def result(self) -> Result[Host | None]:
        claims = self._claims()
        owners = self._within_limit(self._owners([claim for claim in claims if self._name in claim.rules]))
        fallbacks = [claim for claim in claims if not claim.rules and claim.default] if self._name == CATCH_ALL else []
        if not owners and self._name != CATCH_ALL:
            return Result(None, tuple(self._issues))
        for claim in owners:
            self._add_paths(claim)
        if self._settings.rules.keeps_trailing_slash:
            self._add_slash_redirects()
        self._conflicting_defaults(fallbacks)
        if _ROOT not in self._routes:
            self._routes[_ROOT] = self._root(owners, fallbacks)
        routes = tuple(sorted(self._routes.values(), key=_rank))
        for route in routes:
            if isinstance(route.action, Forward):
                for part in route.action.split:
                    self._read.mention("upstream", part.upstream)
        sources = tuple(claim.source for claim in (*owners, *fallbacks))
        return Result(Host(self._name, routes, self._certificate(owners), sources), tuple(self._issues))

    # -------------------------------------------------------------- who may speak

    def _claims(self) -> list[Claim]:
        """The claims on this name, the oldest Ingress first."""
        found = self._read.find(Ingress, "ingresses by host", self._name)
        claims = [
            claim
            for item in found
            if (claim := self._read.unit("ingress", f"{item.metadata.namespace or 'default'}/{item.metadata.name}").value)
        ]
        claims.sort(key=lambda claim: claim.full_name, reverse=self._settings.rules.newest_name_first)
        claims.sort(key=lambda claim: claim.created)
        return claims

    def _owners(self, claims: Sequence[Claim]) -> list[Claim]:
        """The claims that count: where hosts are not shared, those in the namespace of the oldest."""
        if not claims or self._settings.rules.shares_hosts:
            return list(claims)
        owner = claims[0]
        for claim in claims:
            if claim.namespace != owner.namespace:
                shown = self._name or "the catch-all host"
                self._conflict(claim.source, owner.source, "HostConflict", shown, "spec.rules")
        return [claim for claim in claims if claim.namespace == owner.namespace]

    def _within_limit(self, claims: Sequence[Claim]) -> list[Claim]:
        kept, count = [], 0
        for claim in claims:
            paths = len(claim.rules[self._name])
            if count + paths > MAX_ROUTES:
                message = f"{self._name or 'the catch-all host'} would have more than {MAX_ROUTES} paths"
                self._issues.append(Issue(claim.source.at("spec.rules"), "TooManyPaths", message))
            else:
                kept.append(claim)
                count += paths
        return kept

    def _conflict(self, loser: Source, winner: Source, code: str, what: str, field: str = "") -> None:
        lost, won = (loser.at(field), winner.at(field)) if field else (loser, winner)
        self._issues.append(Issue(lost, code, f"{what} belongs to the older {winner}"))
        self._issues.append(Issue(won, code, f"{what} is claimed by {loser}, too, which gets nothing", "warning"))

    # -------------------------------------------------------------- routes

    def _add_paths(self, claim: Claim) -> None:
        for path in claim.rules[self._name]:
            match = Match(path.kind, path.path)
            first = self._routes.get(match)
            if first is None:
                self._routes[match] = _route(match, claim, path)
            else:
                self._duplicate(path, first)

    def _duplicate(self, path: PathClaim, first: Route) -> None:
        what = f"the {path.kind} path {path.path} of {self._name or 'the catch-all host'}"
        if (path.source.namespace, path.source.name) == (first.source.namespace, first.source.name):
            message = f"{what} stands there twice, the first one counts"
            self._issues.append(Issue(path.source, "DuplicatePath", message, "warning"))
        else:
            self._conflict(path.source, first.source, "DuplicatePath", what)

    def _add_slash_redirects(self) -> None:
        """As nginx does it: `/x` leads to `/x/` where only the latter is claimed."""
        for match, route in tuple(self._routes.items()):
            bare = match.path[:-1]
            if not match.path.endswith("/") or not bare or not isinstance(route.action, Forward):
                continue
            exact = Match("exact", bare)
            if exact not in self._routes and Match("prefix", bare) not in self._routes:
                self._routes[exact] = Route(exact, Redirect(301, path=match.path), route.source)

    # -------------------------------------------------------------- the rest of the host

    def _root(self, owners: Sequence[Claim], fallbacks: Sequence[Claim]) -> Route:
        """What answers where no path matches: a default backend, else 404."""
        inherits = self._settings.rules.root_inherits
        for claim in owners[:1] if inherits else owners:
            if claim.default:
                return _route(_ROOT, claim, claim.default)
        oldest = owners[0] if owners and inherits else None
        policy, action = (oldest.policy, oldest.action) if oldest else (NO_POLICY, None)
        if fallbacks and fallbacks[0].default:
            default = fallbacks[0].default
            policy = policy if oldest else fallbacks[0].policy
            action = action if oldest else _without_redirect(fallbacks[0].action)
            return Route(_ROOT, action or _forward(default.upstream), default.source, policy)
        upstream = self._read.unit("default", "").value
        source = oldest.source if oldest else _NOBODY
        return Route(_ROOT, action or (_forward(upstream) if upstream else _NOT_FOUND), source, policy)

    def _conflicting_defaults(self, fallbacks: Sequence[Claim]) -> None:
        for claim in fallbacks[1:]:
            what = "the default backend for all other hosts"
            self._conflict(claim.source, fallbacks[0].source, "DefaultBackendConflict", what, "spec.defaultBackend")

    def _certificate(self, owners: Iterable[Claim]) -> str:
        """The id of the certificate: of the oldest Ingress whose spec.tls is for this host; "" is the default one."""
        for claim in owners:
            entry = self._listed(claim) or self._matching(claim)
            if entry:
                return self._usable(entry)
        return ""

    def _listed(self, claim: Claim) -> TlsClaim | None:
        exact = (entry for entry in claim.tls if self._name in entry.hosts)
        wild = (entry for entry in claim.tls if any(covers(listed, self._name) for listed in entry.hosts))
        return next(exact, None) or next(wild, None)

    def _matching(self, claim: Claim) -> TlsClaim | None:
        """An entry that does not list the host, but whose certificate is for it."""
        for entry in claim.tls:
            certificate = self._read.unit("certificate", entry.secret).value if entry.secret else None
            if certificate and any(covers(name, self._name) for name in certificate.names):
                return entry
        return None

    def _usable(self, entry: TlsClaim) -> str:
        if not entry.secret:
            return ""
        found = self._read.unit("certificate", entry.secret)
        for code, message in found.faults:
            self._say(entry.source, code, message, "error")
        if found.value is None:
            return ""
        if not any(covers(name, self._name) for name in found.value.names):
            replaced = self._settings.rules.needs_matching_certificate
            instead = ", the default one is served" if replaced else ""
            self._say(entry.source, "CertNameMismatch", f"the certificate is not for {self._name}{instead}", "warning")
            if replaced:
                return ""
        return entry.secret

    def _say(self, source: Source, code: str, message: str, severity: Severity) -> None:
        self._issues.append(Issue(source, code, message, severity))


def _route(match: Match, claim: Claim, path: PathClaim) -> Route:
    return Route(match, claim.action or _forward(path.upstream), path.source, claim.policy)


def _forward(upstream: str) -> Forward:
    return Forward((Weighted(upstream),))


def _without_redirect(action: Redirect | Respond | None) -> Action | None:
    return None if isinstance(action, Redirect) else action


def _rank(route: Route) -> tuple[int, int, str]:
    """Match order: exact paths, regexes, then prefixes, the longest first."""
    kind = ("exact", "regex", "prefix").index(route.match.kind)
    return kind, -len(route.match.path), route.match.path


__all__ = ["MAX_ROUTES", "host"]
