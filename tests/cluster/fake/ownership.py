"""Who owns which field: merge patches, server-side apply, and the managedFields that both leave behind.

Lists are values here (atomic), as the lists of a load balancer status are in the real API.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime

from tests.cluster.fake.resources import Json, conflict

Path = tuple[str, ...]
UNOWNED = {("apiVersion",), ("kind",)} | {
    ("metadata", part)
    for part in ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
}


def merged(target: object, patch: object) -> object:
    """A JSON merge patch, applied (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def applied(live: Json, config: Json, manager: str, *, subresource: str, force: bool) -> Json:
    """A live object after a server-side apply.  Raises Failure (409) when others own what it would change."""
    owners = _owners(live)
    me = (manager, "Apply", subresource)
    wanted = dict(_leaves(config))
    theirs = {path: owner for owner, paths in owners.items() if owner != me for path in paths}
    taken = [path for path, value in wanted.items() if path in theirs and value not in ({}, _at(live, path))]
    if taken and not force:
        fields = ", ".join(f".{'.'.join(path)} (owned by {theirs[path][0]})" for path in taken)
        raise conflict(f"Apply failed with {len(taken)} conflicts: {fields}")
    result = deepcopy(live)
    for path in owners.get(me, set()) - wanted.keys() - theirs.keys():
        _remove(result, path)
    for path, value in wanted.items():
        _put(result, path, value)
    for paths in owners.values():
        paths.difference_update(taken)
    owners[me] = set(wanted)
    return _with_owners(result, owners)


def updated(live: Json | None, new: Json, manager: str, *, subresource: str) -> Json:
    """A new state, its changed fields now owned by whoever wrote it."""
    owners = _owners(live or {})
    before, after = dict(_leaves(live or {})), dict(_leaves(new))
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    for paths in owners.values():
        paths.difference_update(changed, before.keys() - after.keys())
    owners.setdefault((manager, "Update", subresource), set()).update(changed)
    return _with_owners(new, owners)


Owner = tuple[str, str, str]


def _leaves(value: Json, path: Path = ()) -> Iterator[tuple[Path, object]]:
    for key, inner in value.items():
        here = (*path, key)
        if here in UNOWNED:
            continue
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, here)
        else:
            yield here, inner


def _at(value: Json, path: Path) -> object:
    found: object = value
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _put(value: Json, path: Path, leaf: object) -> None:
    for key in path[:-1]:
        value = value.setdefault(key, {})
    if leaf == {}:
        value.setdefault(path[-1], {})
    else:
        value[path[-1]] = leaf


def _remove(value: Json, path: Path) -> None:
    holder = _at(value, path[:-1])
    if isinstance(holder, dict):
        holder.pop(path[-1], None)


def _owners(item: Json) -> dict[Owner, set[Path]]:
    entries = item.get("metadata", {}).get("managedFields", [])
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): set(_unpacked(entry["fieldsV1"]))
        for entry in entries
    }


def _with_owners(item: Json, owners: dict[Owner, set[Path]]) -> Json:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = [
        {
            "manager": manager,
            "operation": operation,
            **({"subresource": subresource} if subresource else {}),
            "time": now,
            "fieldsType": "FieldsV1",
            "fieldsV1": _packed(paths),
        }
        for (manager, operation, subresource), paths in owners.items()
        if paths
    ]
    return {**item, "metadata": {**item["metadata"], "managedFields": entries}}


def _packed(paths: set[Path]) -> Json:
    packed: Json = {}
    for path in sorted(paths):
        inner = packed
        for key in path:
            inner = inner.setdefault(f"f:{key}", {})
    return packed


def _unpacked(packed: Json, path: Path = ()) -> Iterator[Path]:
    for key, inner in packed.items():
        here = (*path, key.removeprefix("f:"))
        if inner:
            yield from _unpacked(inner, here)
        else:
            yield here
