"""The ingress unit: is this Ingress ours, and what does it claim?  Every text that goes on from here was checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import inf
from typing import NoReturn, TypeVar

from msgspec import Struct

from gen.dialects import ingress_nginx, values
from gen.dialects.annotation import Effects
from gen.dialects.ingress_nginx.ground import Ground
from gen.dialects.regex import path_regex
from gen.errors import BadValue
from gen.ir import NO_POLICY, Issue, MatchKind, Policy, Severity, Source
from gen.k8s import HttpPath, Ingress, IngressBackend, IngressTls, ServiceBackend, ServicePort
from gen.policy import HttpsRedirect
from gen.translate.admission import class_issues, refusal
from gen.translate.ground import Grounding
from gen.translate.places import Backend, https_at, policy_at
from gen.translate.settings import Settings
from gen.translate.units import Result, UnitReader
from gen.translate.wishes import grant

A = TypeVar("A")
B = TypeVar("B")

_KINDS: Mapping[str | None, MatchKind] = {
    None: "prefix",
    "ImplementationSpecific": "prefix",
    "Prefix": "prefix",
    "Exact": "exact",
}
_FIELD_WORDS: Mapping[object, str] = {
    values.name: "BadName",
    values.host: "InvalidHost",
    values.path: "InvalidPath",
    path_regex: "InvalidPath",
}
_TEXT_WORDS = frozenset(("NotUnicode", "NotAscii", "ControlChar", "OuterSpace"))


class PathClaim(Struct, frozen=True, gc=False):
    """One path of a rule and the id of its upstream.

    Shape: `path` is decoded, or a regex where the Ingress has regexes; "" where there is no upstream (only for the
    root of a host).  `https` is the redirect where the host has a certificate.
    """

    kind: MatchKind
    path: str
    upstream: str
    source: Source
    policy: Policy = NO_POLICY
    https: HttpsRedirect | None = None


class TlsClaim(Struct, frozen=True, gc=False):
    """One entry of spec.tls; `secret` is `namespace/name`, or "" where none is named."""

    hosts: tuple[str, ...]
    secret: str
    source: Source


class Claim(Struct, frozen=True, gc=False):
    """What an Ingress of ours asks for.

    Shape: `created` is an RFC 3339 instant or "".  `rules` maps hosts ("" for the rules without one) to paths,
    perhaps none; a `default` without any rules is meant for all other hosts.  `root` is what the annotations mean at
    the root of a host.
    """

    namespace: str
    name: str
    created: str
    source: Source
    rules: Mapping[str, tuple[PathClaim, ...]]
    default: PathClaim | None = None
    tls: tuple[TlsClaim, ...] = ()
    effects: Effects = ingress_nginx.NOTHING
    root: PathClaim = PathClaim("prefix", "/", "", Source("gen", "", "default"))

    @property
    def age(self) -> float:
        """When it was created, in seconds; what does not say so is younger than all that do."""
        return _seconds(self.created)

    @property
    def is_canary(self) -> bool:
        """Whether it only adds to routes of others."""
        return self.effects.canary is not None

    @property
    def makes_regexes(self) -> bool:
        """Whether it turns all paths of its hosts into regexes."""
        if self.effects.uses_regex or self.effects.policy.rewrite is None:
            return self.effects.uses_regex
        return any(path.policy.rewrite is not None for paths in self.rules.values() for path in paths)

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def ingress(settings: Settings, read: UnitReader, full_name: str) -> Result[Claim | None]:
    """The claim of an Ingress, None when it is not ours or not acceptable."""
    namespace, _, name = full_name.partition("/")
    item = read.get(Ingress, namespace, name)
    if item is None:
        return Result(None)
    source = Source("Ingress", namespace, name)
    if refused := refusal(settings, read, item, source):
        return Result(None, (refused,))
    grounding: Grounding = read.unit("ground", "").value
    ground = grounding.ground
    effects = ingress_nginx.read(item.metadata.annotations, source, ground, grounding.without)
    if effects.wishes and not effects.is_rejected:
        effects = grant(effects, read, source, ground)
    checking = _Checking(settings, item, source, effects, ground)
    try:
        claim = None if effects.is_rejected else checking.claim()
    except _Rejected as rejected:
        claim = None
        checking.issues.append(rejected.issue)
    return Result(claim, (*class_issues(settings, read, item), *effects.issues, *checking.issues))


class _Rejected(Exception):
    """A fault for which the whole Ingress is left out."""

    def __init__(self, source: Source, code: str, message: str) -> None:
        super().__init__(message)
        self.issue = Issue(source, code, message)


class _Checking:
    """One Ingress while it is being checked."""

    def __init__(self, settings: Settings, item: Ingress, source: Source, effects: Effects, ground: Ground) -> None:
        self._settings = settings
        self._effects = effects
        self._ground = ground
        self._item = item
        self._source = source
        self._namespace = source.namespace
        self._is_plain = effects.policy is NO_POLICY and effects.https is None
        self._backends: dict[ServiceBackend, Backend] = {}
        self.issues: list[Issue] = []

    def claim(self) -> Claim:
        spec = self._item.spec
        self._checked(values.name, self._namespace, "metadata.namespace")
        name = self._checked(values.name, self._item.metadata.name, "metadata.name")
        rules = self._rules()
        default = None
        if spec.default_backend:
            default = self._path("prefix", "/", spec.default_backend, "spec.defaultBackend")
        if default is None and not any(rules.values()):
            self._say("spec.rules", "NoRules", "there is neither a path nor a default backend", "warning")
        return Claim(
            self._namespace,
            name,
            self._item.metadata.creation_timestamp or "",
            self._source,
            rules,
            default,
            tuple(self._tls(f"spec.tls[{index}]", entry, rules) for index, entry in enumerate(spec.tls or ())),
            self._effects,
            self._at("prefix", "/", "", self._source, Backend()),
        )

    def _rules(self) -> Mapping[str, tuple[PathClaim, ...]]:
        rules: dict[str, tuple[PathClaim, ...]] = {}
        for index, rule in enumerate(self._item.spec.rules or ()):
            field = f"spec.rules[{index}]"
            host = self._checked(values.host, rule.host, f"{field}.host") if rule.host else ""
            paths = (rule.http.paths or ()) if rule.http else ()
            rules[host] = (*rules.get(host, ()), *self._paths(paths, index))
        return rules

    def _paths(self, paths: tuple[HttpPath, ...], rule: int) -> Iterator[PathClaim]:
        for index, path in enumerate(paths):
            field = _field_of_path(rule, index)
            kind = _KINDS.get(path.path_type)
            if kind is None:
                given, expected = values.shown(str(path.path_type)), "Exact, Prefix or ImplementationSpecific"
                self._reject(f"{field}.pathType", "InvalidPathType", f"{given} is not a path type, expected {expected}")
            else:
                kind, text = self._text(kind, path.path or "/", f"{field}.path")
                if claim := self._path(kind, text, path.backend, field):
                    yield claim

    def _text(self, kind: MatchKind, text: str, field: str) -> tuple[MatchKind, str]:
        """The path, decoded, or as a regex where the Ingress has regexes."""
        is_rewritten = self._effects.policy.rewrite not in {None, (text,)}
        if text != "/" and (self._effects.uses_regex or is_rewritten):
            return "regex", self._checked(path_regex, text, field)
        found = text if text == "/" else self._checked(values.path, text, field)
        if kind == "prefix" and not self._settings.rules.keeps_trailing_slash:
            found = found.rstrip("/") or "/"
        if kind == "prefix" and len(found.rstrip("/").encode()) > 254:
            self._reject(field, "TooLong", "the path of a prefix is longer than 254 bytes")  # nginx needs one for the /
        return kind, found

    def _path(self, kind: MatchKind, text: str, backend: IngressBackend | None, field: str) -> PathClaim | None:
        """The claim of one path, None (and an issue) where its backend is nothing that can be forwarded to."""
        place = field if field == "spec.defaultBackend" else f"{field}.backend"
        if backend and backend.service:
            behind = self._backends.get(backend.service) or self._backend(backend.service, f"{place}.service")
            by = "@service" if self._effects.by_service else ""
            upstream = f"{self._namespace}/{behind.service}:{behind.port}{by}"
            return self._at(kind, text, upstream, self._source.at(field), behind)
        if backend and backend.resource is not None:
            self._say(f"{place}.resource", "UnsupportedBackend", "only Services can be forwarded to")
        else:
            self._say(place, "MissingBackend", "there is no backend, expected a Service and its port")
        return None

    def _at(self, kind: MatchKind, text: str, upstream: str, source: Source, backend: Backend) -> PathClaim:
        effects, ground = self._effects, self._ground
        if self._is_plain:
            return PathClaim(kind, text, upstream, source)
        policy = policy_at(effects, ground, self._source, text, backend, regex=text if kind == "regex" else "")
        return PathClaim(kind, text, upstream, source, policy, https_at(effects, ground, text))

    def _backend(self, service: ServiceBackend, field: str) -> Backend:
        """A Service that was checked; most paths of an Ingress have the same one."""
        name = self._checked(values.name, service.name, f"{field}.name")
        found = self._backends[service] = Backend(name, self._port(service.port, f"{field}.port"))
        return found

    def _port(self, port: ServicePort | None, field: str) -> str:
        if port and port.number is not None:
            return str(self._checked(values.port, port.number, f"{field}.number"))
        if port and port.name:
            return self._checked(values.port_name, port.name, f"{field}.name")
        return self._reject(field, "BadType", "there is neither a number nor a name, expected one of them")

    def _tls(self, field: str, entry: IngressTls, rules: Mapping[str, object]) -> TlsClaim:
        hosts = tuple(
            self._checked(values.host, host, f"{field}.hosts[{index}]") for index, host in enumerate(entry.hosts or ())
        )
        secret = self._checked(values.name, entry.secret_name, f"{field}.secretName") if entry.secret_name else ""
        more = (*self._effects.aliases, *(www_of(host) for host in rules if self._effects.www))
        claimed = {*rules, *map(parent, rules), *more, *map(parent, more)}
        foreign = [host for host in hosts if host not in claimed]
        if foreign:
            others = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            message = f"no rule of this Ingress is for {foreign[0]}{others}, so the certificate is not used for it"
            self._say(f"{field}.hosts", "TLSHostNotOwned", message)
        return TlsClaim(hosts, f"{self._namespace}/{secret}" if secret else "", self._source.at(field))

    def _checked(self, parse: Callable[[A], B], value: A, field: str) -> B:
        try:
            return parse(value)
        except BadValue as fault:
            word = _FIELD_WORDS.get(parse, fault.code)
            is_general = fault.code in _TEXT_WORDS or (fault.code == "TooLong" and parse is not values.path)
            return self._reject(field, word if is_general else fault.code, str(fault))

    def _reject(self, field: str, code: str, message: str) -> NoReturn:
        raise _Rejected(self._source.at(field), code, message)

    def _say(self, field: str, code: str, message: str, severity: Severity = "error") -> None:
        self.issues.append(Issue(self._source.at(field), code, message, severity))


def www_of(host: str) -> str:
    """The name with `www.`, or without it where it has it."""
    return host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"


def parent(host: str) -> str:
    """The wildcard that covers a host, the host itself where it is a wildcard."""
    return host if host.startswith("*.") else f"*.{host.partition('.')[2]}"


def _seconds(timestamp: str) -> float:
    """An RFC 3339 instant in seconds, infinite where it is none."""
    try:
        parsed = datetime.fromisoformat(timestamp)
    except ValueError:
        return inf
    return parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()


@lru_cache(maxsize=1024)
def _field_of_path(rule: int, path: int) -> str:
    return f"spec.rules[{rule}].http.paths[{path}]"
