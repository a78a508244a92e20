"""The host unit: from the claims of all Ingresses to one complete routing table and the choice of a certificate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from gen.ir import (
    CATCH_ALL,
    NO_HOST_POLICY,
    NO_POLICY,
    Forward,
    Host,
    HostPolicy,
    Issue,
    Match,
    Policy,
    Redirect,
    Respond,
    Route,
    Severity,
    Source,
    Weighted,
)
from gen.policy import HttpsRedirect, upstreams_of
from gen.translate import canaries, names
from gen.translate.claims import claims_by, primary
from gen.translate.hosttls import certificate_for
from gen.translate.ingress import Claim, PathClaim, parent
from gen.translate.places import on_https_only
from gen.translate.regexes import as_regex
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader

MAX_PATHS = 1000
"""Paths of one host; nginx's own test is quadratic in them."""

_ROOT = Match("prefix", "/")
_EXACT_ROOT = Match("exact", "/")
_NOT_FOUND = Respond(404)
_FORBIDDEN = Respond(403)
_NOBODY = Source("gen", "", "default")
_DEFAULT = "the default backend for all other hosts"


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
        self._has_regexes = False
        self._has_certificate = False
        self._routes: dict[Match, Route] = {}
        self._with_https: dict[tuple[int, int], Policy] = {}
        self._sources: list[Source] = []
        self._issues: list[Issue] = []

    def result(self) -> Result[Host | None]:
        claims = claims_by(self._read, self._rules, "ingresses by host", self._name)
        main = primary(claims)
        owners = self._within_limit(self._owners([claim for claim in main if self._name in claim.rules]))
        others = self._canaries(claims, owners)
        if not owners and self._name != CATCH_ALL:
            return Result(names.www(self._read, self._rules, self._name), tuple(self._issues))
        self._has_regexes = self._regexes(owners)
        self._has_certificate = self._is_for_https(owners)
        for claim in owners:
            self._add_paths(claim)
        if self._rules.keeps_trailing_slash and not self._has_regexes:
            self._add_slash_redirects(owners)
        self._add_root(owners, self._fallback(main))
        self._sources.extend(claim.source for claim in others)
        self._issues.extend(canaries.attach(others, self._routes, self._name, self._match))
        self._add_app_root(owners)
        return Result(self._host(owners), tuple(self._issues))

    def _host(self, owners: Sequence[Claim]) -> Host:
        certificate, issues = certificate_for(self._read, self._rules, self._name, owners)
        self._issues.extend(issues)
        policy, routes = _host_policy(owners), self._in_match_order()
        if policy.client_certificate and not policy.client_certificate.ca:
            routes = tuple(Route(route.match, _FORBIDDEN, route.source) for route in routes)
            policy = NO_HOST_POLICY
        elif policy.client_certificate and policy.client_certificate.verify == "on":
            routes = self._on_https_only(routes)
        self._mention(routes)
        aliases, patterns, issues = names.aliases(self._read, self._rules, self._name, owners)
        self._issues.extend(issues)
        return Host(self._name, routes, certificate, tuple(self._sources), policy, aliases, patterns)

    # -------------------------------------------------------------- who may speak

    def _owners(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """The claims that count: where hosts are not shared, those in the namespace of the oldest."""
        if not claims or self._rules.shares_hosts:
            return claims
        owner = claims[0].source.at("spec.rules")
        for claim in claims:
            if claim.namespace != owner.namespace:
                self._conflict(claim.source.at("spec.rules"), owner, "HostConflict", self._shown)
        return [claim for claim in claims if claim.namespace == owner.namespace]

    def _canaries(self, claims: Iterable[Claim], owners: Sequence[Claim]) -> Sequence[Claim]:
        """The canaries for this host; those of other namespaces only where hosts are shared."""
        found = [claim for claim in claims if claim.is_canary]
        if not found:
            return ()
        namespaces = {claim.namespace for claim in owners}
        kept = [claim for claim in found if self._rules.shares_hosts or claim.namespace in namespaces or not owners]
        for claim in found:
            if claim not in kept:
                self._conflict(claim.source.at("spec.rules"), owners[0].source, "HostConflict", self._shown)
            elif not owners and (claim.rules or self._name != CATCH_ALL):
                message = f"no other Ingress has {self._shown}, so the canary gets nothing"
                self._say(claim.source.at("spec.rules"), "CanaryWithoutPrimary", message, "error")
        return kept

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

    # -------------------------------------------------------------- what holds for all its paths

    def _regexes(self, owners: Iterable[Claim]) -> bool:
        """Whether an Ingress turns all paths of the host into regexes; the others are told."""
        owners = tuple(owners)
        maker = next((claim for claim in owners if claim.makes_regexes), None)
        for claim in owners if maker else ():
            if maker and not claim.makes_regexes and any(path.path != "/" for path in claim.rules[self._name]):
                message = f"{maker.source} has regexes or a rewrite for {self._shown}, so these paths are regexes, too"
                self._say(claim.source.at("spec.rules"), "RegexHost", message, "warning")
        return maker is not None

    def _is_for_https(self, owners: Iterable[Claim]) -> bool:
        """Whether redirects to HTTPS that depend on a certificate count: any spec.tls of the host or its wildcard."""
        owners = tuple(owners)
        if self._name == CATCH_ALL or not any(claim.effects.https for claim in owners):
            return False
        if any(claim.tls for claim in owners):
            return True
        wildcard = parent(self._name)
        if wildcard == self._name:
            return False
        claims = claims_by(self._read, self._rules, "ingresses by host", wildcard)
        return any(claim.tls for claim in primary(claims) if wildcard in claim.rules)

    # -------------------------------------------------------------- routes

    def _match(self, path: PathClaim) -> Match:
        if path.path == "/" and path.kind != "exact":
            return _ROOT
        if self._has_regexes:
            return Match("regex", path.path if path.kind == "regex" else as_regex(path.path))
        return Match("prefix" if path.kind == "regex" else path.kind, path.path)

    def _add_paths(self, claim: Claim) -> None:
        self._sources.append(claim.source)
        for path in claim.rules[self._name]:
            match = self._match(path)
            if match in self._routes:
                self._duplicate(path, self._routes[match].source)
            else:
                self._routes[match] = self._route(match, claim, path)

    def _route(self, match: Match, claim: Claim, path: PathClaim) -> Route:
        action = claim.effects.action or _forward(path.upstream)
        return Route(match, action, path.source, self._policy(path.policy, path.https))

    def _policy(self, policy: Policy, https: HttpsRedirect | None) -> Policy:
        """A policy with the redirect to HTTPS, where the host has a certificate."""
        if https is None or not self._has_certificate or policy.https_redirect:
            return policy
        key = id(policy), id(https)
        if key not in self._with_https:
            self._with_https[key] = msgspec.structs.replace(policy, https_redirect=https)
        return self._with_https[key]

    def _on_https_only(self, routes: Iterable[Route]) -> tuple[Route, ...]:
        """Routes to upstreams that nobody reaches without a certificate by way of plain HTTP."""
        ground = self._read.unit("ground", "").value.ground
        return tuple(
            msgspec.structs.replace(route, policy=on_https_only(route.policy, ground, route.match.path))
            if isinstance(route.action, Forward)
            else route
            for route in routes
        )

    def _duplicate(self, path: PathClaim, first: Source) -> None:
        what = f"the {path.kind} path {path.path} of {self._shown}"
        if path.source.at("") == first.at(""):
            self._say(path.source, "DuplicatePath", f"{what} stands there twice, the first one counts", "warning")
        else:
            self._conflict(path.source, first, "DuplicatePath", what)

    def _add_slash_redirects(self, owners: Iterable[Claim]) -> None:
        """As nginx does it: `/x` leads to `/x/` where only the latter is claimed."""
        relative = {claim.source for claim in owners if claim.effects.relative}
        for match, route in tuple(self._routes.items()):
            bare = match.path[:-1]
            if not bare or not match.path.endswith("/") or not isinstance(route.action, Forward):
                continue
            exact = Match("exact", bare)
            if exact not in self._routes and Match("prefix", bare) not in self._routes:
                redirect = Redirect(301, path=match.path, is_relative=route.source.at("") in relative)
                self._routes[exact] = Route(exact, redirect, route.source)

    def _add_app_root(self, owners: Iterable[Claim]) -> None:
        """The oldest redirect of the root wins over every route."""
        for claim in owners:
            if claim.effects.app_root:
                self._routes[_EXACT_ROOT] = Route(_EXACT_ROOT, claim.effects.app_root, claim.source)
                return

    def _in_match_order(self) -> tuple[Route, ...]:
        return tuple([self._routes[match] for match in _in_order(tuple(self._routes))])

    def _mention(self, routes: Iterable[Route]) -> None:
        forwards = [route.action for route in routes if isinstance(route.action, Forward)]
        for upstream in {part.upstream for forward in forwards for part in forward.split}:
            self._read.mention("upstream", upstream)
        for route in routes:
            if route.policy is not NO_POLICY:
                for upstream in upstreams_of(route.policy):
                    self._read.mention("upstream", upstream)
                if route.policy.upstream_tls and route.policy.upstream_tls.certificate:
                    self._read.mention("certificate", route.policy.upstream_tls.certificate)

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
                return self._route(_ROOT, claim, claim.default)
        if fallback:
            return fallback
        upstream = self._read.unit("default", "").value
        forward = _forward(upstream) if upstream else _NOT_FOUND
        if not owners or not self._rules.root_inherits:
            return Route(_ROOT, forward, _NOBODY)
        heir = owners[0]
        policy = self._policy(heir.root.policy, heir.root.https)
        return Route(_ROOT, heir.effects.action or forward, heir.source, policy)

    def _fallback(self, claims: Iterable[Claim]) -> Route | None:
        """The route of the oldest Ingress that is nothing but a default backend; a redirect has no effect there."""
        oldest: Route | None = None
        for claim in claims:
            if claim.rules or not claim.default:
                continue
            if oldest:
                self._conflict(claim.default.source, oldest.source, "DefaultBackendConflict", _DEFAULT)
            else:
                action = None if isinstance(claim.effects.action, Redirect) else claim.effects.action
                policy = claim.default.policy
                if policy is not NO_POLICY:
                    policy = msgspec.structs.replace(policy, rewrite=None, forwarded_prefix=None, https_redirect=None)
                oldest = Route(_ROOT, action or _forward(claim.default.upstream), claim.default.source, policy)
                self._sources.append(claim.source)
        return oldest

    def _say(self, source: Source, code: str, message: str, severity: Severity) -> None:
        self._issues.append(Issue(source, code, message, severity))


def _host_policy(owners: Iterable[Claim]) -> HostPolicy:
    """Each field from the oldest Ingress that has it."""
    found: dict[str, object] = {}
    for claim in owners:
        if claim.effects.host is not NO_HOST_POLICY:
            for name in HostPolicy.__struct_fields__:
                if (value := getattr(claim.effects.host, name)) is not None:
                    found.setdefault(name, value)
    return msgspec.structs.replace(NO_HOST_POLICY, **found) if found else NO_HOST_POLICY


@lru_cache(maxsize=1024)
def _in_order(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    """Exact paths, regexes, then prefixes, the longest first; many hosts have the same ones."""
    kinds: dict[str, list[Match]] = {"exact": [], "regex": [], "prefix": []}
    for match in matches:
        kinds[match.kind].append(match)
    kinds["regex"].sort(key=lambda match: (len(match.path), match.path), reverse=True)
    for kind in ("exact", "prefix"):
        kinds[kind].sort(key=lambda match: (-len(match.path), match.path))
    return tuple(match for found in kinds.values() for match in found)


def _forward(upstream: str) -> Forward:
    return Forward((Weighted(upstream),))
