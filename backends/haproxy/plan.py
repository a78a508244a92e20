"""The least that gets HAProxy from one bundle to the next: as yet a reload, with its reason, or nothing."""

from __future__ import annotations

from backends.haproxy.render import CONFIGURATION
from gen.backend import Bundle, Plan, changed_files


def plan(old: Bundle | None, new: Bundle) -> Plan:
    """What it takes to get from the old bundle to the new one."""
    changed = changed_files(old, new)
    if not changed:
        return Plan(old, new)
    return Plan(old, new, changed=changed, reload=True, reason=reason(old, new, changed))


def reason(old: Bundle | None, new: Bundle, changed: tuple[str, ...]) -> str:
    """Which kinds of things changed, in a few words."""
    if old is None:
        return "nothing is known to run"
    parts = {
        "options": head_of(old) != head_of(new),
        "backends": backends_of(old) != backends_of(new),
        "routes": any(path.startswith("maps/") for path in changed),
        "certificates": any(path.startswith("certs/") or path == "crt.list" for path in changed),
    }
    return f"{', '.join(part for part, differs in parts.items() if differs)} changed"


def head_of(bundle: Bundle) -> bytes:
    """All before the first backend, but for the digest."""
    head = bundle.files[CONFIGURATION].partition(b"\nbackend ")[0]
    return head.replace(bundle.digest.encode(), b"", 1)


def backends_of(bundle: Bundle) -> bytes:
    """All backends."""
    return bundle.files[CONFIGURATION].partition(b"\nbackend ")[2]
