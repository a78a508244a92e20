"""What annotations ask of Secrets, ConfigMaps and Services: read, checked, and made into policies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gen.dialects import values
from gen.dialects.annotation import Effects
from gen.dialects.ingress_nginx.ground import Ground
from gen.dialects.text import text as text_of
from gen.dialects.wishes import (
    AuthHeaders,
    ClientCa,
    CustomHeaders,
    Errors,
    FastCgiParams,
    PasswordFile,
    UpstreamCertificate,
    Wish,
)
from gen.errors import BadValue
from gen.ir import NO_POLICY, Issue, Respond, Source
from gen.k8s import ConfigMap, Secret, Service
from gen.policy import BasicAuth, ClientCertificate, ErrorPages, Fallback
from gen.translate.certificate import secret_value
from gen.translate.units import UnitReader

MOST_USERS = 10_000
CLOSED = Respond(503)
_HASH = re.compile(
    r"\$(?:apr1|1|2[aby]?|5|6|y)\$[A-Za-z0-9./$=,]{4,512}|\{S?SHA\}[A-Za-z0-9+/=]{20,200}|\{PLAIN\}[\x21-\x7e]{1,256}"
    r"|[A-Za-z0-9./]{13}"
)
_USER = re.compile(r"[^\x00-\x20\x7f:]{1,255}")
_PARAMETER = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PARAMETER_VALUE = re.compile(r"[A-Za-z0-9_${}/.-]{0,1024}")


def grant(effects: Effects, read: UnitReader, source: Source, ground: Ground) -> Effects:
    """The effects with all wishes made into policies.

    Shape: a wish that cannot be granted closes the routes; one for client certificates closes the host, which the
    empty `ca` says.
    """
    granting = _Granting(read, source, ground)
    for wish in effects.wishes:
        granting.grant(wish)
    policy = msgspec.structs.replace(effects.policy, **granting.policy) if granting.policy else effects.policy
    action, host, https = effects.action, effects.host, effects.https
    if granting.is_closed:
        policy, action, https = msgspec.structs.replace(NO_POLICY, cors=effects.policy.cors), CLOSED, None
    if granting.client_certificate:
        host = msgspec.structs.replace(host, client_certificate=granting.client_certificate)
    return msgspec.structs.replace(
        effects,
        policy=policy,
        action=action,
        host=host,
        https=https,
        wishes=(),
        issues=(*effects.issues, *granting.issues),
    )


class _Granting:
    """The wishes of one Ingress while they are granted."""

    def __init__(self, read: UnitReader, source: Source, ground: Ground) -> None:
        self._read = read
        self._source = source
        self._ground = ground
        self.policy: dict[str, Any] = {}
        self.client_certificate: ClientCertificate | None = None
        self.is_closed = False
        self.issues: list[Issue] = []

    def grant(self, wish: Wish) -> None:
        resolve: Callable[[Any], None] = getattr(self, f"_{_METHODS[type(wish)]}")
        try:
            resolve(wish)
        except BadValue as fault:
            self.is_closed |= not isinstance(wish, ClientCa)
            self._say(wish, fault.code, str(fault))

    def _password_file(self, wish: PasswordFile) -> None:
        namespace, name = self._place(wish.secret)
        secret = self._secret(namespace, name)
        if not wish.is_map and "auth" not in {*(secret.data or {}), *(secret.string_data or {})}:
            raise BadValue("AuthFileInvalid", f"Secret {namespace}/{name} has no key auth")
        users = _users(secret) if wish.is_map else self._lines(wish, secret_value(secret, "auth"))
        self.policy["auth_basic"] = BasicAuth(wish.realm, tuple(sorted(users.items())), wish.scheme)

    def _auth_headers(self, wish: AuthHeaders) -> None:
        found = self._configmap(wish.configmap)
        headers = tuple(
            (values.header_name(key), text_of(values.header_value(text), braces=True)) for key, text in found.items()
        )
        if wish.auth:
            all_headers = (*wish.auth.request_headers, *headers)
            self.policy["auth_external"] = msgspec.structs.replace(wish.auth, request_headers=all_headers)

    def _client_ca(self, wish: ClientCa) -> None:
        self.client_certificate = wish.rule
        if not wish.secret:
            raise BadValue("AnnotationInvalid", "expected NAMESPACE/NAME, so the host answers 403")
        from gen.translate import pem

        secret = self._secret(*self._place(wish.secret))
        ca, crl = secret_value(secret, "ca.crt"), secret_value(secret, "ca.crl")
        ca, crl = pem.authorities(ca), pem.revocations(crl) if crl.strip() else b""
        self.client_certificate = msgspec.structs.replace(wish.rule, ca=ca, crl=crl)

    def _upstream_certificate(self, wish: UpstreamCertificate) -> None:
        namespace, name = self._place(wish.secret)
        secret = self._secret(namespace, name)
        from gen.translate import pem

        tls, ca = wish.tls, secret_value(secret, "ca.crt")
        if ca.strip():
            tls = msgspec.structs.replace(tls, ca=pem.authorities(ca))
        elif tls.verify:
            raise BadValue("CertMissing", f"Secret {namespace}/{name} has no ca.crt to verify the upstream with")
        if secret_value(secret, "tls.crt").strip():
            found = self._read.unit("certificate", f"{namespace}/{name}")
            if found.value is None:
                raise BadValue("CertParse", f"tls.crt and tls.key of Secret {namespace}/{name} cannot be used")
            tls = msgspec.structs.replace(tls, certificate=f"{namespace}/{name}")
        self.policy["upstream_tls"] = tls

    def _custom_headers(self, wish: CustomHeaders) -> None:
        found = self._configmap(wish.configmap, is_free=not self._ground.is_strict)
        for key in found:
            if key.lower() not in wish.allowed:
                raise BadValue(
                    "AnnotationDenied", f"{values.shown(key)} is not in the ConfigMap's global-allowed-response-headers"
                )
        headers = tuple((values.header_name(key), values.header_value(text)) for key, text in found.items())
        if headers:
            self.policy["response_headers"] = headers

    def _fastcgi_params(self, wish: FastCgiParams) -> None:
        found = self._configmap(wish.configmap)
        for key, text in found.items():
            if not _PARAMETER.fullmatch(key) or not _PARAMETER_VALUE.fullmatch(text):
                raise BadValue("AnnotationInvalid", f"{values.shown(key)} is not a parameter of FastCGI")
        params = tuple((key, text_of(text)) for key, text in found.items())
        self.policy["fastcgi"] = msgspec.structs.replace(wish.fastcgi, params=params)

    def _errors(self, wish: Errors) -> None:
        """Without a usable Service the global default backend answers for errors, and nobody for no endpoints."""
        upstream = self._first_port(wish.service) if wish.service else ""
        if upstream:
            self.policy["fallback"] = Fallback(upstream)
        if wish.statuses:
            target = upstream or self._read.unit("default", "").value
            self.policy["error_pages"] = ErrorPages(wish.statuses, target, intercept_upstream=wish.intercept)

    def _first_port(self, name: str) -> str:
        namespace = self._source.namespace
        service = self._read.get(Service, namespace, name)
        ports = [port for port in (service.spec.ports if service else None) or () if port.protocol in {None, "TCP"}]
        if ports:
            return f"{namespace}/{name}:{ports[0].port}"
        message = f"Service {namespace}/{name} with a TCP port was not found, so there is no default backend"
        self.issues.append(Issue(self._source, "ServiceNotFound", message, "warning"))
        return ""

    # -------------------------------------------------------------- objects

    def _place(self, reference: str, *, is_free: bool = False) -> tuple[str, str]:
        """The namespace and name of an object.  Raises: BadValue (CrossNamespaceDenied)."""
        own = self._source.namespace
        namespace, _, name = reference.rpartition("/")
        may = is_free or self._ground.settings["allow-cross-namespace-resources"]
        if namespace and namespace != own and not may:
            raise BadValue("CrossNamespaceDenied", f"{reference} is in another namespace")
        return namespace or own, name

    def _secret(self, namespace: str, name: str) -> Secret:
        found = self._read.get(Secret, namespace, name)
        if found is None:
            raise BadValue("SecretNotFound", f"Secret {namespace}/{name} was not found")
        return found

    def _configmap(self, reference: str, *, is_free: bool = False) -> Mapping[str, str]:
        namespace, name = self._place(reference, is_free=is_free)
        found = self._read.get(ConfigMap, namespace, name)
        if found is None:
            raise BadValue("ConfigMapNotFound", f"ConfigMap {namespace}/{name} was not found")
        return dict(sorted((found.data or {}).items()))

    def _lines(self, wish: PasswordFile, data: bytes) -> Mapping[str, str]:
        """The users of an htpasswd file; lines that are none are told and left out."""
        users: dict[str, str] = {}
        bad = 0
        for line in data.decode(errors="replace").splitlines()[:MOST_USERS]:
            name, _, rest = line.strip().partition(":")
            hashed = rest if wish.scheme == "digest" else rest.partition(":")[0]
            if line.strip() and not line.startswith("#"):
                if _is_user(name, hashed, is_digest=wish.scheme == "digest"):
                    users.setdefault(name, hashed)
                else:
                    bad += 1
        if bad:
            self._say(wish, "AuthFileInvalid", f"{bad} lines are not users with the hash of a password")
        return users

    def _say(self, wish: Wish, code: str, message: str) -> None:
        reference = getattr(wish, "secret", "") or getattr(wish, "configmap", "") or type(wish).__name__
        text = f"{message} (wanted: {values.shown(reference)})" if reference not in message else message
        self.issues.append(Issue(self._source.at("metadata.annotations"), code, text))


_METHODS: Mapping[type, str] = {
    PasswordFile: "password_file",
    AuthHeaders: "auth_headers",
    ClientCa: "client_ca",
    UpstreamCertificate: "upstream_certificate",
    CustomHeaders: "custom_headers",
    FastCgiParams: "fastcgi_params",
    Errors: "errors",
}


def _is_user(name: str, hashed: str, *, is_digest: bool) -> bool:
    pattern = r"[^\x00-\x1f\x7f:]{1,255}:[0-9a-f]{32}" if is_digest else _HASH
    return bool(_USER.fullmatch(name) and re.fullmatch(pattern, hashed))


def _users(secret: Secret) -> Mapping[str, str]:
    """The users of a Secret with a key for each.  Raises: BadValue (AuthFileInvalid)."""
    users = {}
    for name in sorted({*(secret.data or {}), *(secret.string_data or {})})[:MOST_USERS]:
        hashed = secret_value(secret, name).decode(errors="replace").strip()
        if not _is_user(name, hashed, is_digest=False):
            raise BadValue("AuthFileInvalid", f"the key {values.shown(name)} is not a user with the hash of a password")
        users[name] = hashed
    return users
