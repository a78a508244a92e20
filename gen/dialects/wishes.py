"""What an annotation asks of another object: typed, checked, and still to be resolved by translation.

An object is named as `namespace/name`, or as `name` for one in the namespace of the Ingress.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gen.policy import ClientCertificate, ExternalAuth, FastCgi, UpstreamTls


class CanaryRule(Struct, frozen=True, gc=False):
    """When requests go to the upstream of a canary Ingress, in the words of policy.Canary."""

    header: str = ""
    header_value: str = ""
    header_pattern: str = ""
    cookie: str = ""
    weight: int = 0
    weight_total: int = 100
    sticky: bool = True


class PasswordFile(Struct, frozen=True, gc=False):
    """auth_basic from a Secret: the key `auth` in htpasswd's form, or (`is_map`) a key a user."""

    secret: str
    realm: str
    scheme: Literal["basic", "digest"] = "basic"
    is_map: bool = False


class AuthHeaders(Struct, frozen=True, gc=False):
    """auth_external with the headers of a ConfigMap; `auth` None only checks the reference."""

    configmap: str
    auth: ExternalAuth | None = None


class ClientCa(Struct, frozen=True, gc=False):
    """client_certificate of the host, with ca.crt and ca.crl of a Secret; "" is a reference that is none."""

    secret: str
    rule: ClientCertificate


class UpstreamCertificate(Struct, frozen=True, gc=False):
    """upstream_tls with ca.crt of a Secret, and its tls.crt and tls.key where it has them."""

    secret: str
    tls: UpstreamTls


class CustomHeaders(Struct, frozen=True, gc=False):
    """response_headers from a ConfigMap; only those in `allowed`, lower case."""

    configmap: str
    allowed: tuple[str, ...]


class FastCgiParams(Struct, frozen=True, gc=False):
    """fastcgi with the parameters of a ConfigMap."""

    configmap: str
    fastcgi: FastCgi


class Errors(Struct, frozen=True, gc=False):
    """error_pages and fallback from the first port of a Service in the namespace, where it has one.

    Shape: `statuses` () leaves only the fallback.
    """

    service: str
    statuses: tuple[int, ...] = ()
    intercept: bool = True


Wish = PasswordFile | AuthHeaders | ClientCa | UpstreamCertificate | CustomHeaders | FastCgiParams | Errors
