"""What the fake API server does, without HTTP: create, read, update, patch, delete, list."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import yaml

from tests.cluster.fake import ownership
from tests.cluster.fake.resources import (
    BY_PATH,
    Failure,
    Json,
    Resource,
    bad_request,
    conflict,
    expired,
    invalid,
    not_found,
)
from tests.cluster.fake.selectors import select
from tests.cluster.fake.storage import Key, Storage

Query = Mapping[str, str]
MERGE_PATCH, APPLY_PATCH = "application/merge-patch+json", "application/apply-patch+yaml"


class Api:
    """The verbs on one storage.  All raise Failure."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def create(self, resource: Resource, namespace: str, body: Json, query: Query) -> Json:
        """POST to a collection."""
        meta = body.get("metadata") or {}
        name = meta.get("name") or (f"{meta['generateName']}{uuid.uuid4().hex[:5]}" if "generateName" in meta else "")
        if not name:
            raise invalid("metadata.name: Required value: name or generateName is required")
        if meta.get("namespace", namespace) != namespace:
            raise bad_request("the namespace of the object does not match the namespace of the request")
        key = Key(resource, namespace, name)
        with self.storage.changed:
            if key in self.storage.objects:
                raise Failure(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
            fresh = {**body, "metadata": {**meta, "name": name}}
            if resource.status:
                fresh.pop("status", None)
            return self._store(key, None, fresh, query, "")

    def read(self, key: Key) -> Json:
        """GET of one object."""
        with self.storage.changed:
            return self._live(key)

    def update(self, key: Key, body: Json, query: Query, subresource: str) -> Json:
        """PUT of an object or its status."""
        with self.storage.changed:
            live = self._live(key)
            _check_version(live, body)
            return self._store(key, live, _part(key.resource, live, body, subresource), query, subresource)

    def patch(self, key: Key, body: bytes, query: Query, subresource: str, content_type: str) -> Json:
        """PATCH of an object or its status, by merge patch or server-side apply."""
        with self.storage.changed:
            if content_type == APPLY_PATCH:
                return self._apply(key, yaml.safe_load(body), query, subresource)
            if content_type != MERGE_PATCH:
                raise Failure(
                    415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {content_type}"
                )
            live = self._live(key)
            change = json.loads(body)
            _check_version(live, change)
            new = ownership.merged(live, change)
            assert isinstance(new, dict)
            return self._store(key, live, _part(key.resource, live, new, subresource), query, subresource)

    def delete(self, key: Key, options: Json | None) -> Json:
        """DELETE of one object."""
        with self.storage.changed:
            live = self._live(key)
            for field, value in ((options or {}).get("preconditions") or {}).items():
                if live["metadata"].get(field) != value:
                    raise conflict(f"precondition failed: {field}")
            return self.storage.write(key, None)

    def listing(self, resource: Resource, namespace: str, query: Query) -> Json:
        """GET of a collection, or of one page of it."""
        selected = select(query.get("labelSelector", ""), query.get("fieldSelector", ""))
        with self.storage.changed:
            version, items, start = self._page_source(resource, query)
        found = [item for item in items if _within(item, namespace) and selected(item)]
        meta: Json = {"resourceVersion": str(version)}
        # A request that any state satisfies is answered whole, whatever limit it has: so does the watch cache.
        limit = 0 if query.get("resourceVersion") == "0" else int(query.get("limit", "0"))
        if limit and start + limit < len(found):
            meta["continue"] = base64.b64encode(json.dumps([version, start + limit]).encode()).decode()
            meta["remainingItemCount"] = len(found) - start - limit
            found = found[: start + limit]
        if resource.kind == "Event" and resource.api_version == "v1":
            found = [*found, *(item for item in map(core_event, self._newer_events(namespace)) if selected(item))]
        bare = [
            {key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in found[start:]
        ]
        return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": bare}

    def _newer_events(self, namespace: str) -> list[Json]:
        """The Events of the newer API, which the older one shows as well."""
        with self.storage.changed:
            items = self.storage.listed(BY_PATH["events.k8s.io/v1", "events"])
        return [item for item in items if _within(item, namespace)]

    # -------------------------------------------------------------- inside the lock

    def _page_source(self, resource: Resource, query: Query) -> tuple[int, list[Json], int]:
        if token := query.get("continue"):
            version, start = json.loads(base64.b64decode(token))
            kept = self.storage.snapshot_at(version, resource)
            if kept is None:
                raise expired("The provided continue parameter is too old to display a consistent list result.")
            return version, kept, start
        wanted = query.get("resourceVersion", "")
        if wanted not in ("", "0") and int(wanted) > self.storage.version:
            raise Failure(504, "Timeout", f"Too large resource version: {wanted}, current: {self.storage.version}")
        return (*self.storage.snapshot(resource), 0)

    def _live(self, key: Key) -> Json:
        if key not in self.storage.objects:
            raise not_found(f'{key.resource.plural} "{key.name}"')
        return self.storage.objects[key]

    def _apply(self, key: Key, config: Json, query: Query, subresource: str) -> Json:
        manager = query.get("fieldManager")
        if not manager:
            raise bad_request("fieldManager: Required value: is required for apply patch")
        live = self.storage.objects.get(key)
        if live is None and subresource:
            raise not_found(f'{key.resource.plural} "{key.name}"')
        base = live or {"metadata": {"name": key.name}}
        part = {name: value for name, value in config.items() if (name == "status") == (subresource == "status")}
        part |= {name: config[name] for name in ("apiVersion", "kind") if name in config}
        if live is not None:
            _check_version(live, config)
        force = query.get("force") == "true"
        new = ownership.applied(base, part, manager, subresource=subresource, force=force)
        return self._commit(key, live, new)

    def _store(self, key: Key, live: Json | None, new: Json, query: Query, subresource: str) -> Json:
        manager = query.get("fieldManager", "unknown")
        return self._commit(key, live, ownership.updated(live, new, manager, subresource=subresource))

    def _commit(self, key: Key, live: Json | None, new: Json) -> Json:
        """Write, unless nothing changed: then the version stays, as it does on a real server."""
        meta = dict(new["metadata"])
        if live is None:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}
        else:
            fixed = ("uid", "creationTimestamp", "resourceVersion", "generation")
            meta |= {part: live["metadata"][part] for part in fixed}
            meta["generation"] += live.get("spec") != new.get("spec")
        if key.namespace:
            meta["namespace"] = key.namespace
        complete = {**new, "apiVersion": key.resource.api_version, "kind": key.resource.kind, "metadata": meta}
        if live is not None and _timeless(complete) == _timeless(live):
            return live
        return self.storage.write(key, complete)


def core_event(item: Json) -> Json:
    """How the older API shows an Event of the newer one."""
    rest = {key: value for key, value in item.items() if key not in ("regarding", "note")}
    return {**rest, "apiVersion": "v1", "involvedObject": item["regarding"], "message": item.get("note", "")}


def _timeless(item: Json) -> Json:
    meta = item["metadata"]
    entries = [{key: value for key, value in entry.items() if key != "time"} for entry in meta.get("managedFields", [])]
    return {**item, "metadata": {**meta, "managedFields": entries}}


def _part(resource: Resource, live: Json, new: Json, subresource: str) -> Json:
    """Of a write only that part which it may change: the status, or everything else."""
    if not resource.status:
        return new
    if subresource == "status":
        return {**live, "status": new.get("status", {})}
    rest = {key: value for key, value in new.items() if key != "status"}
    return {**rest, "status": live["status"]} if "status" in live else rest


def _within(item: Json, namespace: str) -> bool:
    return not namespace or item["metadata"].get("namespace") == namespace


def _check_version(live: Json, body: Json) -> None:
    wanted = (body.get("metadata") or {}).get("resourceVersion")
    if wanted and wanted != live["metadata"]["resourceVersion"]:
        raise conflict("the object has been modified; please apply your changes to the latest version and try again")
