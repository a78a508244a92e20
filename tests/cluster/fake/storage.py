"""What etcd and the watch cache are for a real server: objects, one counter of versions, and a history to watch."""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import NamedTuple

from tests.cluster.fake.resources import Json, Resource

FIRST_VERSION = 1000
SNAPSHOTS = 32


class Key(NamedTuple):
    """Where an object is stored; sorts as lists are sorted."""

    resource: Resource
    namespace: str
    name: str


class Record(NamedTuple):
    """One write: the object before it and after it; a created one has no `before`, a deleted one no `after`."""

    version: int
    key: Key
    before: Json | None
    after: Json | None


class Storage:
    """Objects are values: what was stored is never changed in place, so it can be handed out without copies."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = FIRST_VERSION
        self.compacted = FIRST_VERSION
        self.objects: dict[Key, Json] = {}
        self._history: list[Record] = []
        self._snapshots: dict[int, dict[Resource, list[Json]]] = {}

    def write(self, key: Key, new: Json | None) -> Json:
        """Store an object, or delete it; gives it as it was stored.  The caller holds the lock."""
        self.version += 1
        before = self.objects.get(key)
        kept = before if new is None else new
        assert kept is not None
        stored = {**kept, "metadata": {**kept["metadata"], "resourceVersion": str(self.version)}}
        if new is None:
            del self.objects[key]
        else:
            self.objects[key] = stored
        self._history.append(Record(self.version, key, before, None if new is None else stored))
        self.changed.notify_all()
        return stored

    def listed(self, resource: Resource) -> list[Json]:
        """All objects of a resource, sorted.  The caller holds the lock."""
        return [self.objects[key] for key in sorted(key for key in self.objects if key.resource is resource)]

    def snapshot(self, resource: Resource) -> tuple[int, list[Json]]:
        """A state that later pages can come back to, and its version.  The caller holds the lock."""
        kept = self._snapshots.setdefault(self.version, {})
        if resource not in kept:
            kept[resource] = self.listed(resource)
        while len(self._snapshots) > SNAPSHOTS:
            del self._snapshots[min(self._snapshots)]
        return self.version, kept[resource]

    def snapshot_at(self, version: int, resource: Resource) -> list[Json] | None:
        """The state of an earlier snapshot, unless it was compacted away."""
        return self._snapshots.get(version, {}).get(resource)

    def after(self, version: int) -> list[Record]:
        """What was written later than a version.  The caller holds the lock."""
        return self._history[bisect_right(self._history, version, key=lambda record: record.version) :]

    def compact(self) -> None:
        """Forget all history: every place before this moment is gone."""
        with self.changed:
            self._history.clear()
            self._snapshots.clear()
            self.compacted = self.version
            self.changed.notify_all()
