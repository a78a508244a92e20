"""What it takes to get Envoy from one bundle to another."""

from __future__ import annotations

from collections.abc import Iterable

from backends.envoy.parts import parts_of
from gen.backend import Bundle, Plan, changed_files


def plan(old: Bundle | None, new: Bundle) -> Plan:
    """Nothing; what is pushed; or a start, for what Envoy is told on its command line."""
    if old is None:
        return Plan(old, new, changed=changed_files(None, new), reload=True, reason="nothing is known to run")
    if old.digest == new.digest:
        return Plan(old, new)
    before, after = parts_of(old), parts_of(new)
    commands = (
        *pushed("clusters", before.clusters, after.clusters),
        *pushed("certificates", certificates(old), certificates(new)),
        *pushed("listeners", (*before.listeners, *scripts(old)), (*after.listeners, *scripts(new))),
        *pushed("hosts", (before.table, *before.virtual_hosts), (after.table, *after.virtual_hosts)),
    )
    restarts = before.start != after.start
    return Plan(
        old,
        new,
        changed=changed_files(old, new),
        commands=() if restarts else commands,
        reload=restarts,
        reason="workers or drain time changed" if restarts else "",
    )


def pushed(kind: str, old: Iterable[bytes], new: Iterable[bytes]) -> tuple[str, ...]:
    """What is pushed of one kind, in how many pieces."""
    before, after = frozenset(old), frozenset(new)
    if before == after:
        return ()
    return (f"push {kind}: {len(after - before)} new or changed, {len(before - after)} gone or replaced",)


def certificates(bundle: Bundle) -> list[bytes]:
    """Each chain with its key."""
    return [path.encode() + content for path, content in bundle.files.items() if path.startswith("certificates/")]


def scripts(bundle: Bundle) -> list[bytes]:
    """The scripts that the listeners name."""
    return [content for path, content in bundle.files.items() if path.endswith(".lua")]
