"""A cluster as the source of `gen run`: what gen looks at there, and how it gets in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gen.cli.flags import Flags
from gen.k8s import Ref
from gen.selector import parse
from gen.sources.kube.access import Access, load_access
from gen.sources.kube.connection import Connection
from gen.sources.kube.selection import Scope, Selection
from gen.translate.settings import Settings


def connections_of(flags: Flags) -> Callable[[], Connection]:
    """Makes connections to the API server.  Raises InputError when there is no way to it."""

    def load() -> Access:
        return load_access(flags.kubeconfig or None, flags.context or None)

    access = load()
    return lambda: Connection(load, access)


def scope_of(flags: Flags, settings: Settings) -> Scope:
    """What gen has to see for these flags, and nothing else.  Raises UsageError."""
    parse(flags.selector)
    return Scope(
        kinds=tuple(kinds_of(flags)),
        namespaces=tuple(sorted(settings.watch_namespaces)),
        labels={"Ingress": flags.selector} if flags.selector else {},
        also=tuple(named(flags, settings)),
        fetched=frozenset(certificate(settings)) if flags.secrets == "get" else frozenset(),
        by_reference=frozenset({"ConfigMap", "Secret"} if flags.secrets == "get" else {"ConfigMap"}),
        own_namespace=settings.own_namespace,
    )


def kinds_of(flags: Flags) -> Iterator[str]:
    """The kinds that are watched in every namespace of the scope."""
    yield from ("Ingress", "Service", "EndpointSlice")
    if not flags.disable_ingress_class_lookup:
        yield "IngressClass"
    if flags.watch_namespace_selector:
        yield "Namespace"
    if flags.secrets == "watch":
        yield "Secret"


def named(flags: Flags, settings: Settings) -> Iterator[Selection]:
    """What flags name, wherever it is."""
    if settings.configmap:
        yield selection("ConfigMap", settings.configmap)
    if settings.default_backend_service:
        service = selection("Service", settings.default_backend_service)
        yield service
        yield Selection("EndpointSlice", service.namespace, labels=f"kubernetes.io/service-name={service.name}")
    if flags.secrets == "watch":
        yield from (Selection(ref.kind, ref.namespace, ref.name) for ref in certificate(settings))


def certificate(settings: Settings) -> Iterator[Ref]:
    """The Secret with the default certificate."""
    if settings.default_certificate:
        namespace, _, name = settings.default_certificate.partition("/")
        yield Ref("Secret", namespace, name)


def selection(kind: str, place: str) -> Selection:
    """The single object at `namespace/name`."""
    namespace, _, name = place.partition("/")
    return Selection(kind, namespace, name)
