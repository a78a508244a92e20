"""What the administrator decides: flags as values, and what a profile stands for."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gen.ir import Certificate, Options

ProfileName = Literal["spec", "ingress-nginx"]


class Profile(Struct, frozen=True):
    """The points at which the profiles differ; everything else is the same in both."""

    newest_name_first: bool
    """Of Ingresses of the same age the one whose namespace/name comes last in the alphabet counts as the older."""
    shares_hosts: bool
    """Ingresses of several namespaces may add paths to one host; else the namespace of the oldest owns it."""
    keeps_trailing_slash: bool
    """Prefix `/x/` leaves `/x` to a redirect; else it means the same as `/x`."""
    matches_target_port: bool
    """A backend's port may also be the target port of the Service."""
    root_inherits: bool
    """The implicit `/` of a host carries the annotations of its oldest Ingress, whose default backend alone counts."""
    is_strict: bool
    """An annotation with a bad value costs its Ingress, even where ingress-nginx would ignore the value."""
    needs_matching_certificate: bool
    """A certificate without the name of the host is replaced by the default one; else it is served."""
    told_https_port: int
    """X-Forwarded-Port of requests over TLS; 0 is the port of the listener."""


PROFILES = {
    "spec": Profile(
        newest_name_first=False,
        shares_hosts=False,
        keeps_trailing_slash=False,
        matches_target_port=False,
        root_inherits=False,
        is_strict=True,
        needs_matching_certificate=False,
        told_https_port=0,
    ),
    "ingress-nginx": Profile(
        newest_name_first=True,
        shares_hosts=True,
        keeps_trailing_slash=True,
        matches_target_port=True,
        root_inherits=True,
        is_strict=False,
        needs_matching_certificate=True,
        told_https_port=443,
    ),
}


class Settings(Struct, frozen=True):
    """Everything besides the objects that decides what translation gives.

    Shape: `watch_namespaces` empty means all; `namespace_selector` is a label selector in kubectl's syntax;
    `default_backend_service`, `default_certificate` and `configmap` are `namespace/name` or "".  `assume_class`: no API
    server has seen the objects, so a class may lack its IngressClass and the default class is applied here.
    `offline`: there is no cluster, so a Service without any EndpointSlice in the whole input is reached by its
    cluster address.  `own_namespace` is where gen itself is, "" where that is not known.
    `fallback_certificate` None stands for a published placeholder, which proves nothing.
    """

    profile: ProfileName = "spec"
    ingress_class: str = "gen"
    controller_class: str = "ingress-gen/controller"
    ingress_class_by_name: bool = False
    watch_without_class: bool = True
    watch_namespaces: frozenset[str] = frozenset()
    namespace_selector: str = ""
    disable_catch_all: bool = False
    default_backend_service: str = ""
    default_certificate: str = ""
    annotations_prefix: str = "nginx.ingress.kubernetes.io"
    configmap: str = ""
    own_namespace: str = ""
    cluster_domain: str = "cluster.local"
    assume_class: bool = False
    allow_loopback: bool = False
    allow_external_name: bool = False
    offline: bool = False
    fallback_certificate: Certificate | None = None
    options: Options = Options()

    @property
    def rules(self) -> Profile:
        """What the profile stands for."""
        return PROFILES[self.profile]
