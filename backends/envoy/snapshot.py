"""The parts of a bundle, as the resources that an xDS server offers.

The static files and the dynamic resources say the same in two ways, and this is the only place that knows both:

    route table in routes.json      ->  by RDS          file names             ->  the content of the file
    endpoints within a cluster      ->  by EDS          certificates by name   ->  by SDS
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from backends.envoy import discovery
from backends.envoy.bootstrap import ADS
from backends.envoy.memory import Memo
from backends.envoy.parts import Parts, parts_of, route_table
from backends.envoy.schema import message_class
from backends.envoy.syntax import Json
from backends.envoy.wire import encoder, packed_any
from gen.backend import Bundle, digest_of

VIRTUAL_HOST = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
FILTER_CHAIN = "type.googleapis.com/envoy.config.listener.v3.FilterChain"

CHAINS = "filter_chains"

Files = Mapping[str, bytes]


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


class Cluster(Struct, frozen=True):
    """A cluster, and its endpoints where they are not resolved from a name; `trusts` is what it may name."""

    definition: Named
    members: Named | None
    trusts: tuple[bytes, ...] | None


class Encoding:
    """Turns bundles into snapshots, one after another; what was encoded for the last one is not encoded again."""

    def __init__(self) -> None:
        self._memo = Memo()
        self._clusters: Mapping[bytes, Cluster] = {}
        self._chains: Mapping[Hashable, bytes] = {}
        self._hosts: Mapping[bytes, bytes] = {}

    def snapshot(self, bundle: Bundle) -> Snapshot:
        """The resources of a bundle.  Raises ApplyError for files that are not gen's."""
        parts, files, recall = parts_of(bundle), bundle.files, self._memo.recall
        shared = self._memo.same("trusted", trusted(files))
        scripts = self._memo.same("scripts", tuple([files[path] for path in files if path.endswith(".lua")]))
        clusters = recall("clusters", lambda *_: self._reached(parts, files, shared), parts.clusters, shared)
        resources = {
            discovery.CLUSTERS: recall("definitions", definitions, clusters),
            discovery.ENDPOINTS: recall("members", members, clusters),
            discovery.SECRETS: recall("secrets", lambda *_: secrets(parts, files), parts.secrets, shared),
            discovery.LISTENERS: recall(
                "listeners", lambda *_: self._listeners(parts, files, scripts), parts.listeners, scripts, shared
            ),
            discovery.ROUTES: recall("routes", lambda *_: self._table(parts), parts.table, parts.virtual_hosts),
        }
        return Snapshot(bundle.digest, resources)

    def _reached(self, parts: Parts, files: Files, shared: tuple[bytes, ...]) -> tuple[Cluster, ...]:
        """All clusters."""
        known, found = self._clusters, []
        for text in parts.clusters:
            last = known.get(text)
            if last is None or (last.trusts is not None and last.trusts is not shared):
                last = cluster(text, files, shared)
            found.append(last)
        self._clusters = dict(zip(parts.clusters, found, strict=True))
        return tuple(found)

    def _listeners(self, parts: Parts, files: Files, scripts: tuple[bytes, ...]) -> dict[str, Resource]:
        """The listeners.  With many certificates they have many chains, of which few change."""
        chains: dict[Hashable, bytes] = {}
        found = dict([self._listener(text, files, scripts, chains) for text in parts.listeners])
        self._chains = chains
        return found

    def _listener(self, text: bytes, files: Files, scripts: tuple[bytes, ...], chains: dict[Hashable, bytes]) -> Named:
        fields = msgspec.json.decode(text, type=dict[str, Raw])
        content = {name: dynamic(msgspec.json.decode(value), files) for name, value in fields.items() if name != CHAINS}
        own = [(bytes(chain), scripts) for chain in msgspec.json.decode(fields[CHAINS], type=list[Raw])]
        for key in own:
            chains[key] = self._chains.get(key) or filter_chain(key[0], files)
        return resource(discovery.LISTENERS, "name", content | {CHAINS: [chains[key] for key in own]})

    def _table(self, parts: Parts) -> dict[str, Resource]:
        """The route table."""
        self._hosts = {text: self._hosts.get(text) or virtual_host(text) for text in parts.virtual_hosts}
        content = route_table(parts) | {"virtual_hosts": list(self._hosts.values())}
        return dict([resource(discovery.ROUTES, "name", content)])


def definitions(clusters: Iterable[Cluster]) -> dict[str, Resource]:
    """The clusters without their endpoints."""
    return dict([each.definition for each in clusters])


def members(clusters: Iterable[Cluster]) -> dict[str, Resource]:
    """The endpoints of clusters."""
    return dict([each.members for each in clusters if each.members])


def secrets(parts: Parts, files: Files) -> dict[str, Resource]:
    """The certificates."""
    return dict([secret(text, files) for text in parts.secrets])


def trusted(files: Files) -> tuple[bytes, ...]:
    """What clusters may name: certificates, keys and authorities."""
    return tuple(content for path, content in files.items() if path.endswith((".crt", ".key")))


def cluster(text: bytes, files: Files, shared: tuple[bytes, ...]) -> Cluster:
    """A cluster, encoded."""
    content = msgspec.json.decode(text)
    trusts = shared if b'"filename"' in text else None
    if "transport_socket" in content:
        content["transport_socket"] = dynamic(content["transport_socket"], files)
    if content.get("type") != "STATIC":
        return Cluster(resource(discovery.CLUSTERS, "name", content), None, trusts)
    members = content.pop("load_assignment")
    content |= {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}}
    definition = resource(discovery.CLUSTERS, "name", content)
    return Cluster(definition, resource(discovery.ENDPOINTS, "cluster_name", members), trusts)


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
