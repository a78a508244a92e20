"""The ingress unit: is this Ingress ours, and what does it claim?  Every text that goes on from here was checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import inf

from msgspec import Struct

from gen.dialects import ingress_nginx, values
from gen.errors import BadValue
from gen.ir import NO_POLICY, Issue, MatchKind, Policy, Redirect, Respond, Source
from gen.k8s import HttpPath, Ingress, IngressBackend, IngressTls
from gen.translate.admission import refusal
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader

_KINDS: Mapping[str | None, MatchKind] = {
    None: "prefix",
    "ImplementationSpecific": "prefix",
    "Prefix": "prefix",
    "Exact": "exact",
}


class PathClaim(Struct, frozen=True):
    """One path of a rule, decoded, and the id of its upstream."""

    kind: MatchKind
    path: str
    upstream: str
    source: Source


class TlsClaim(Struct, frozen=True):
    """One entry of spec.tls; `secret` is "" where none is named."""

    hosts: tuple[str, ...]
    secret: str
    source: Source


class Claim(Struct, frozen=True):
    """What an Ingress of ours asks for.

    Shape: `created` is in seconds, infinite where the manifest does not say.  `rules` maps hosts to paths, perhaps
    none; no rules at all and a `default` make it a catch-all.
    """

    namespace: str
    name: str
    created: float
    source: Source
    rules: Mapping[str, tuple[PathClaim, ...]]
    default: PathClaim | None = None
    tls: tuple[TlsClaim, ...] = ()
    policy: Policy = NO_POLICY
    action: Redirect | Respond | None = None

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class _Rejected(Exception):
    """A fault for which the whole Ingress is left out."""

    def __init__(self, source: Source, code: str, message: str) -> None:
        super().__init__(message)
        self.issue = Issue(source, code, message)


def ingress(settings: Settings, read: UnitReader, full_name: str) -> Result[Claim | None]:
    """The claim of an Ingress, None when it is not ours or not acceptable."""
    namespace, _, name = full_name.partition("/")
    item = read.get(Ingress, namespace, name)
    if item is None:
        return Result(None)
    source = Source("Ingress", namespace, name)
    refused = refusal(settings, read, item, source)
    if refused:
        return Result(None, refused)
    effects = ingress_nginx.read(item.metadata.annotations, settings.annotations_prefix, source)
    if effects.is_rejected:
        return Result(None, effects.issues)
    checking = _Checking(settings, item, source, namespace)
    try:
        claim = checking.claim(effects.policy, effects.action)
    except _Rejected as rejected:
        return Result(None, (*effects.issues, rejected.issue))
    return Result(claim, (*effects.issues, *checking.issues))


class _Checking:
    """One Ingress while it is being checked."""

    def __init__(self, settings: Settings, item: Ingress, source: Source, namespace: str) -> None:
        self._settings = settings
        self._item = item
        self._source = source
        self._namespace = namespace
        self.issues: list[Issue] = []

    def claim(self, policy: Policy, action: Redirect | Respond | None) -> Claim:
        spec, meta = self._item.spec, self._item.metadata
        self._check(values.name, self._namespace, "metadata.namespace")
        self._check(values.name, meta.name, "metadata.name")
        rules = self._rules()
        default = None
        if spec.default_backend:
            default = self._path("prefix", "/", spec.default_backend, "spec.defaultBackend")
        if default is None and not any(rules.values()):
            self._say("spec.rules", "NoRules", "there is no path and no default backend, so nothing is served", "warning")
        tls = tuple(self._tls(index, entry, rules) for index, entry in enumerate(spec.tls or ()))
        created = _seconds(meta.creation_timestamp)
        return Claim(self._namespace, meta.name, created, self._source, rules, default, tls, policy, action)

    def _rules(self) -> Mapping[str, tuple[PathClaim, ...]]:
        rules: dict[str, tuple[PathClaim, ...]] = {}
        for index, rule in enumerate(self._item.spec.rules or ()):
            field = f"spec.rules[{index}]"
            host = self._check(values.host, rule.host, f"{field}.host") if rule.host else ""
            paths = rule.http.paths or () if rule.http else ()
            rules[host] = (*rules.get(host, ()), *self._paths(paths, field))
        return rules

    def _paths(self, paths: tuple[HttpPath, ...], rule: str) -> Iterator[PathClaim]:
        for index, path in enumerate(paths):
            field = f"{rule}.http.paths[{index}]"
            kind = _KINDS.get(path.path_type)
            if kind is None:
                expected = "expected Exact, Prefix or ImplementationSpecific"
                message = f"{values.shown(str(path.path_type))} is not a path type, {expected}"
                raise _Rejected(self._source.at(f"{field}.pathType"), "InvalidPathType", message)
            text = self._check(values.path, path.path, f"{field}.path") if path.path else "/"
            if kind == "prefix" and not self._settings.rules.keeps_trailing_slash:
                text = text.rstrip("/") or "/"
            claim = self._path(kind, text, path.backend, field)
            if claim:
                yield claim

    def _path(self, kind: MatchKind, text: str, backend: IngressBackend | None, field: str) -> PathClaim | None:
        """The claim of one path, None (and an issue) where its backend is nothing that can be forwarded to."""
        place = field if field.endswith("Backend") else f"{field}.backend"
        service = backend.service if backend else None
        if service is None:
            if backend and backend.resource is not None:
                self._say(f"{place}.resource", "UnsupportedBackend", "only Services can be forwarded to")
            else:
                self._say(place, "MissingBackend", "there is no backend, expected a Service and its port")
            return None
        name = self._check(values.name, service.name, f"{place}.service.name")
        port = service.port
        if port and port.number is not None:
            text_port = str(self._check(values.port, port.number, f"{place}.service.port.number"))
        elif port and port.name:
            text_port = self._check(values.port_name, port.name, f"{place}.service.port.name")
        else:
            message = "there is neither a number nor a name, expected one of them"
            raise _Rejected(self._source.at(f"{place}.service.port"), "BadType", message)
        return PathClaim(kind, text, f"{self._namespace}/{name}:{text_port}", self._source.at(field))

    def _tls(self, index: int, entry: IngressTls, rules: Mapping[str, object]) -> TlsClaim:
        field = f"spec.tls[{index}]"
        hosts = tuple(
            self._check(values.host, host, f"{field}.hosts[{place}]") for place, host in enumerate(entry.hosts or ())
        )
        secret = self._check(values.name, entry.secret_name, f"{field}.secretName") if entry.secret_name else ""
        foreign = [host for host in hosts if not any(covers(host, rule) for rule in rules)]
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            message = f"no rule of this Ingress is for {foreign[0]}{more}, so the certificate is not used for it"
            self._say(f"{field}.hosts", "TLSHostNotOwned", message, "warning")
        return TlsClaim(hosts, f"{self._namespace}/{secret}" if secret else "", self._source.at(field))

    def _check(self, parse, value, field):  # type: ignore[no-untyped-def]
        try:
            return parse(value)
        except BadValue as fault:
            code = "BadName" if parse is values.name else fault.code
            raise _Rejected(self._source.at(field), code, str(fault)) from fault

    def _say(self, field, code, message, severity="error"):  # type: ignore[no-untyped-def]
        self.issues.append(Issue(self._source.at(field), code, message, severity))


def covers(pattern: str, host: str) -> bool:
    """Whether a name of a certificate or of spec.tls, perhaps `*.x`, stands for a host: one label, no more."""
    return pattern == host or (
        pattern.startswith("*.") and not host.startswith("*.") and host.partition(".")[2] == pattern[2:]
    )


def _seconds(timestamp: str | None) -> float:
    """An RFC 3339 instant in seconds; what has none is younger than all that have one."""
    if not timestamp:
        return inf
    try:
        parsed = datetime.fromisoformat(timestamp)
    except ValueError:
        return inf
    return parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()
