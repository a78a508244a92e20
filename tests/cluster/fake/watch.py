"""The events of a watch, line by line, as the fake API server sends them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping

from tests.cluster.fake.resources import Json, Resource, expired, invalid
from tests.cluster.fake.selectors import Predicate, select
from tests.cluster.fake.storage import Record, Storage


class Watch:
    """One watch of a collection.  Raises Failure for parameters that make no sense."""

    def __init__(self, storage: Storage, resource: Resource, namespace: str, query: Mapping[str, str]) -> None:
        self._storage, self._resource = storage, resource
        self._selected = _selection(namespace, query)
        self._version = query.get("resourceVersion", "")
        self._initial = "sendInitialEvents" in query
        self._bookmarks = query.get("allowWatchBookmarks") == "true"
        self._seconds = float(query.get("timeoutSeconds", "1800"))
        if self._initial and query.get("resourceVersionMatch") != "NotOlderThan":
            raise invalid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")

    def lines(self, *, bookmark_every: float, stopped: Callable[[], bool]) -> Iterator[bytes]:
        """Until the time that the client asked for is over, its place in history is gone, or the server stops."""
        end = time.monotonic() + self._seconds
        position, first = self._beginning()
        yield from first
        due = time.monotonic() + bookmark_every
        while (now := time.monotonic()) < end and not stopped():
            if now >= due:
                due = now + bookmark_every
                if self._bookmarks:
                    yield self._bookmark(position)
            records, gone = self._after(position, min(end, due) - now)
            if gone:
                yield _line("ERROR", expired(f"too old resource version: {position}").status)
                return
            if records:
                position = records[-1].version
                yield from filter(None, map(self._event, records))

    def _beginning(self) -> tuple[int, list[bytes]]:
        """The place where the changes begin, and what comes before them."""
        if self._version not in ("", "0") and not self._initial:
            return int(self._version), []
        with self._storage.changed:
            version, items = self._storage.version, self._storage.listed(self._resource)
        lines = [_line("ADDED", item) for item in items if self._selected(item)]
        if self._initial and self._bookmarks:
            lines.append(self._bookmark(version, annotations={"k8s.io/initial-events-end": "true"}))
        return version, lines

    def _after(self, position: int, patience: float) -> tuple[list[Record], bool]:
        """The writes after a place, waited for a while if need be, and whether that place is gone."""
        with self._storage.changed:
            records = self._storage.after(position)
            if not records and position >= self._storage.compacted:
                self._storage.changed.wait(max(patience, 0.0))
                records = self._storage.after(position)
            return records, position < self._storage.compacted

    def _event(self, record: Record) -> bytes | None:
        """How a write looks through the selection: an object may also enter or leave it."""
        if record.key.resource is not self._resource:
            return None
        before, after = (item if item and self._selected(item) else None for item in (record.before, record.after))
        if after:
            return _line("MODIFIED" if before else "ADDED", after)
        if before:
            meta = {**before["metadata"], "resourceVersion": str(record.version)}
            return _line("DELETED", {**before, "metadata": meta})
        return None

    def _bookmark(self, version: int, **more: object) -> bytes:
        meta = {"resourceVersion": str(version), "creationTimestamp": None, **more}
        return _line(
            "BOOKMARK", {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": meta}
        )


def _selection(namespace: str, query: Mapping[str, str]) -> Predicate:
    chosen = select(query.get("labelSelector", ""), query.get("fieldSelector", ""))
    return lambda item: (not namespace or item["metadata"].get("namespace") == namespace) and chosen(item)


def _line(kind: str, item: Json) -> bytes:
    return json.dumps({"type": kind, "object": item}, separators=(",", ":")).encode() + b"\n"
