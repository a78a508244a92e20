"""The least that gets HAProxy from one bundle to the next: nothing, commands for the running one, or a reload.

servers come, go or weigh differently           commands, whatever the backend
rows of maps that were there                    commands: backends exist, routes before hosts, away with hosts first
a certificate renewed, or one more              commands
anything else                                   a reload
"""

from __future__ import annotations

from collections.abc import Iterator

from backends.haproxy import live
from backends.haproxy.sections import GENERATION
from gen.backend import Bundle, Plan, changed_files

HOSTS_LAST = ("maps/hosts.map", "maps/wildcards.map", "maps/names.map")
CERTIFICATES = "crt.list"


class Unable(Exception):
    """Only a reload can do it; the text says why."""


def plan(old: Bundle | None, new: Bundle) -> Plan:
    """What it takes to get from the old bundle to the new one."""
    changed = changed_files(old, new)
    if not changed:
        return Plan(old, new)
    if old is None:
        return Plan(old, new, changed=changed, reload=True, reason="nothing is known to run")
    try:
        commands, is_plain = commands_for(old, new, changed)
    except Unable as reason:
        return Plan(old, new, changed=changed, reload=True, reason=str(reason))
    return Plan(old, new, changed=changed, commands=commands, needs_test=not is_plain)


def commands_for(old: Bundle, new: Bundle, changed: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The commands for a change, and whether they concern nothing but servers.  Raises Unable."""
    files = [path for path in changed if path != GENERATION]
    others = [path for path in files if not path.endswith(".cfg") and not path.startswith("certs/")]
    if vanished := [path for path in others if path not in new.files]:
        raise Unable(f"{kind(vanished[0])} changed")
    coming, going = servers(old, new, [path for path in changed if path.endswith(".cfg")])
    appearing, disappearing = tables(old, new, files)
    shown = list(certificates(old, new, files))
    is_plain = not (appearing or disappearing or shown)
    return (*shown, *coming, *appearing, *disappearing, *going), is_plain


def kind(path: str) -> str:
    """What a file is about, in a word."""
    if path.startswith("maps/"):
        return "routes"
    return "certificates" if path.startswith("certs/") or path == CERTIFICATES else "backends"


# ------------------------------------------------------------------ servers


def servers(old: Bundle, new: Bundle, files: list[str]) -> tuple[list[str], list[str]]:
    """The commands for servers that come, and for those that go.  Raises Unable where more than servers differs."""
    before, after = (live.sections_in(each, files) for each in (old, new))
    if before.keys() != after.keys():
        raise Unable("backends changed")
    coming: list[str] = []
    going: list[str] = []
    for head, text in after.items():
        if before[head] == text:
            continue
        if not head.startswith("backend "):
            raise Unable("options changed" if head in {"global", "defaults"} or "frontend" in head else "parts changed")
        first, second = live.section(before[head]), live.section(text)
        if first.fixed != second.fixed:
            raise Unable("backends changed")
        name = head.removeprefix("backend ")
        coming += live.coming(name, first, second)
        going += live.going(name, first, second)
    return coming, going


# ------------------------------------------------------------------ maps


def tables(old: Bundle, new: Bundle, changed: list[str]) -> tuple[list[str], list[str]]:
    """The commands for rows that come, hosts last, and for rows that go, hosts first.  Raises Unable."""
    coming: list[str] = []
    going: list[str] = []
    maps = [path for path in changed if path.startswith("maps/")]
    for path in sorted(maps, key=lambda path: (path in HOSTS_LAST, path)):
        if path not in old.files:
            raise Unable("routes changed")
        before, after = live.changed_rows(old.files[path], new.files[path])
        if live.is_replaced(path, before, after):
            coming.append(live.replacing(path, new.files[path]))
            continue
        coming += live.setting(path, before, after)
        going[:0] = live.dropping(path, before, after)
    return coming, going


# ------------------------------------------------------------------ certificates


def certificates(old: Bundle, new: Bundle, changed: list[str]) -> Iterator[str]:
    """The commands for certificates that were renewed or added.  Raises Unable."""
    pems = [path for path in changed if path.startswith("certs/")]
    fresh = [path for path in pems if path not in old.files]
    others = [path for path in changed if not path.startswith(("certs/", "maps/")) and not path.endswith(".cfg")]
    if [path for path in others if path != CERTIFICATES]:
        raise Unable("backends changed")
    if [path for path in pems if path not in new.files or path not in new.secrets]:
        raise Unable("certificates changed")
    for path in pems:
        if path not in fresh:
            yield from live.renewing(path, new.files[path])
    before, after = (each.files[CERTIFICATES].decode().splitlines() for each in (old, new))
    added = [line for line in after if line not in set(before)]
    if [line for line in after if line not in added] != before:
        raise Unable("certificates changed")
    for path in fresh:
        yield from live.introducing(path, new.files[path], [line for line in added if line.split()[0] == path])
    if [line for line in added if line.split()[0] not in fresh]:
        raise Unable("certificates changed")
