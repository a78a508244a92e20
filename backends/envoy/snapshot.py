"""The parts of a bundle, as the resources that an xDS server offers.

The static files and the dynamic resources say the same in two ways, and this is the only place that knows both:

    route table in routes.json      ->  by RDS          file names             ->  the content of the file
    endpoints within a cluster      ->  by EDS          certificates by name   ->  by SDS
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from backends.envoy import discovery
from backends.envoy.bootstrap import ADS
from backends.envoy.parts import Parts, parts_of, route_table
from backends.envoy.schema import message_class
from backends.envoy.syntax import Json
from backends.envoy.wire import encoder, packed_any
from gen.backend import Bundle, digest_of

VIRTUAL_HOST = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
FILTER_CHAIN = "type.googleapis.com/envoy.config.listener.v3.FilterChain"

Files = Mapping[str, bytes]
T = TypeVar("T")


class Resource(Struct, frozen=True):
    """An encoded Any, with a version that says whether two are the same."""

    version: str
    body: bytes


class Snapshot(Struct, frozen=True):
    """All resources of one version: type URL -> name -> resource."""

    version: str
    resources: Mapping[str, Mapping[str, Resource]]

    def changes(self, before: Snapshot, url: str) -> frozenset[str]:
        """The names of the resources of a type by which two snapshots may differ."""
        old, new = before.resources[url], self.resources[url]
        if old is new:
            return frozenset()
        changed = [name for name, resource in new.items() if old.get(name) is not resource]
        return frozenset((*changed, *(old.keys() - new.keys())))


Named = tuple[str, Resource]


class Encoding:
    """Turns bundles into snapshots, one after another; what was encoded for the last one is not encoded again."""

    def __init__(self) -> None:
        self._last: dict[Hashable, object] = {}
        self._next: dict[Hashable, object] = {}

    def snapshot(self, bundle: Bundle) -> Snapshot:
        """The resources of a bundle.  Raises ApplyError for files that are not gen's."""
        parts, files = parts_of(bundle), bundle.files
        shared = trusted(files)
        clusters = [
            self._recall((text, shared if b'"filename"' in text else None), cluster, text, files)
            for text in parts.clusters
        ]
        resources = {
            discovery.CLUSTERS: dict(definition for definition, _ in clusters),
            discovery.ENDPOINTS: dict(members for _, members in clusters if members),
            discovery.SECRETS: dict(secret(text, files) for text in parts.secrets),
            discovery.LISTENERS: dict(self._listener(text, files) for text in parts.listeners),
            discovery.ROUTES: dict([self._table(parts)]),
        }
        self._last, self._next = self._next, {}
        return Snapshot(bundle.digest, resources)

    def _recall(self, key: Hashable, make: Callable[..., T], *arguments: object) -> T:
        if key not in self._next:
            self._next[key] = self._last[key] if key in self._last else make(*arguments)
        return cast("T", self._next[key])

    def _listener(self, text: bytes, files: Files) -> Named:
        """A listener.  With many certificates it has many chains, of which few change."""
        fields = msgspec.json.decode(text, type=dict[str, Raw])
        chains = map(bytes, msgspec.json.decode(fields.pop("filter_chains"), type=list[Raw]))
        content = {name: dynamic(msgspec.json.decode(value), files) for name, value in fields.items()}
        texts = tuple(files[path] for path in files if path.endswith(".lua"))
        content["filter_chains"] = [self._recall((chain, *texts), filter_chain, chain, files) for chain in chains]
        return resource(discovery.LISTENERS, "name", content)

    def _table(self, parts: Parts) -> Named:
        hosts = [self._recall(text, virtual_host, text) for text in parts.virtual_hosts]
        return resource(discovery.ROUTES, "name", route_table(parts) | {"virtual_hosts": hosts})


def trusted(files: Files) -> tuple[bytes, ...]:
    """What clusters may name: certificates, keys and authorities."""
    return tuple(content for path, content in files.items() if path.endswith((".crt", ".key")))


def cluster(text: bytes, files: Files) -> tuple[Named, Named | None]:
    """A cluster, and its endpoints where they are not resolved from a name."""
    content = msgspec.json.decode(text)
    if "transport_socket" in content:
        content["transport_socket"] = dynamic(content["transport_socket"], files)
    if content.get("type") != "STATIC":
        return resource(discovery.CLUSTERS, "name", content), None
    members = content.pop("load_assignment")
    content |= {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}}
    return resource(discovery.CLUSTERS, "name", content), resource(discovery.ENDPOINTS, "cluster_name", members)


def secret(text: bytes, files: Files) -> Named:
    """A certificate with its key."""
    return resource(discovery.SECRETS, "name", dynamic(msgspec.json.decode(text), files))


def filter_chain(text: bytes, files: Files) -> bytes:
    """A filter chain, encoded."""
    return encoder(message_class(FILTER_CHAIN))(dynamic(msgspec.json.decode(text), files))


def virtual_host(text: bytes) -> bytes:
    """A virtual host, encoded."""
    return encoder(message_class(VIRTUAL_HOST))(msgspec.json.decode(text))


def resource(url: str, name: str, content: Json) -> Named:
    """The name of a resource, which is in the field `name`, and the resource."""
    body = packed_any(url, encoder(message_class(url))(content))
    return content[name], Resource(digest_of(body), body)


def dynamic(content: Any, files: Files) -> Any:
    """A part of a static bootstrap as Envoy gets it from an xDS server."""
    if isinstance(content, list):
        return [dynamic(item, files) for item in content]
    if not isinstance(content, dict):
        return content
    if content.get("filename") in files:
        return {"inline_bytes": files[content["filename"]]}
    changed = {name: dynamic(item, files) for name, item in content.items()}
    if "path_config_source" in changed:
        return ADS
    for named in changed.get("tls_certificate_sds_secret_configs", ()):
        named["sds_config"] = ADS
    return changed
