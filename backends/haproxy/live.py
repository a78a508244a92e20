"""What of a bundle can be changed in a running HAProxy: its servers, the rows of its maps, its certificates.

All of it is read from the files, so that a bundle from the disk is as good as one that was just rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from msgspec import Struct

from gen.backend import Bundle

SECTIONS = re.compile(r"\n\n(?=\S)")
PLAIN_KEY = re.compile(r"[A-Za-z0-9._~%|*/:-]{1,4000}")
"""What stands for itself in a command."""
DYNAMIC_COOKIE = re.compile(r"^    cookie \S+ insert dynamic$", re.MULTILINE)
ELSEWHERE = "addr 127.0.0.1 port 1"


class Server(Struct, frozen=True, gc=False):
    """A server of a backend: IP and port as HAProxy writes them, and the number that is its place in a hash."""

    name: str
    address: str
    weight: int = 1
    number: int = 0


class Section(Struct, frozen=True, gc=False):
    """A section of the configuration: what only a reload changes, and its servers by name."""

    fixed: str
    servers: Mapping[str, Server]

    @property
    def words(self) -> str:
        """What every server of the section has; a server that is added to a running HAProxy has to be told."""
        found = re.search(r"^    default-server (.*)$", self.fixed, re.MULTILINE)
        return f" {found[1]}" if found else ""


def sections_in(bundle: Bundle, files: Iterable[str]) -> dict[str, str]:
    """The sections in some files of a bundle, whichever of them they are in."""
    found: dict[str, str] = {}
    for path in files:
        if path in bundle.files:
            found |= sections_of(bundle.files[path])
    return found


@lru_cache(maxsize=256)
def sections_of(content: bytes) -> dict[str, str]:
    """The sections of a configuration, each as it stands there, by its first line."""
    return {part.partition("\n")[0]: part for part in SECTIONS.split(content.decode().strip("\n"))}


def section(text: str) -> Section:
    """The parts of a section."""
    fixed, servers = [], {}
    for line in text.split("\n"):
        if line.startswith("    server "):
            each = server(line)
            servers[each.name] = each
        else:
            fixed.append(line)
    return Section("\n".join(fixed), servers)


def server(line: str) -> Server:
    """The server of a line."""
    _, name, address, *words = line.split()
    values = dict(zip(words[::2], words[1::2], strict=False))
    return Server(name, address, int(values.get("weight", 1)), int(values.get("id", 0)))


def changed_rows(old: bytes, new: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """The rows of a map that are no more, and those that were not, by their keys."""
    before, after = set(old.splitlines()), set(new.splitlines())
    return rows(before - after), rows(after - before)


def rows(lines: Iterable[bytes]) -> dict[str, str]:
    """Rows of a map by their keys."""
    return {key: value for key, _, value in (line.decode().partition(" ") for line in lines)}


# ------------------------------------------------------------------ servers


def coming(backend: str, old: Section, new: Section) -> Iterator[str]:
    """The commands for servers that come or get another weight."""
    for name, each in new.servers.items():
        known = old.servers.get(name)
        if known is None:
            yield from adding(f"{backend}/{name}", each, new)
        elif known.weight != each.weight:
            yield f"set server {backend}/{name} weight {each.weight}"


def adding(place: str, each: Server, inside: Section) -> Iterator[str]:
    """The commands for one server more."""
    number = f" id {each.number}" if each.number else ""
    yield f"add server {place} {each.address}{inside.words} weight {each.weight}{number}"
    if DYNAMIC_COOKIE.search(inside.fixed):  # old versions only work out its value when the address changes
        host, _, port = each.address.rpartition(":")
        yield f"set server {place} {ELSEWHERE}"
        yield f"set server {place} addr {host.strip('[]')} port {port}"
    yield f"enable server {place}"


def returning(place: str, each: Server) -> tuple[str, ...]:
    """The commands for a server that is still there since it could not be removed."""
    return f"set server {place} weight {each.weight}", f"set server {place} state ready"


def going(backend: str, old: Section, new: Section) -> Iterator[str]:
    """The commands for servers that go: no new requests first, then the removal."""
    for name in old.servers:
        if name not in new.servers:
            yield f"set server {backend}/{name} state maint"
            yield f"del server {backend}/{name}"


# ------------------------------------------------------------------ maps


def is_replaced(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Whether a map is sent whole: where the order of its rows matters, or keys would need quotes."""
    if path.endswith(("regexes.map", "names.map", "patterns.map", "subjects.map")):
        return True
    changed = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    values = [new[key] for key in changed if key in new]
    return not all(map(PLAIN_KEY.fullmatch, (*changed, *values)))


def replacing(path: str, content: bytes) -> str:
    """The command for all rows of a map at once; gen.backends.haproxy.runtime knows how that is done."""
    return f"replace map {path} <<\n{content.decode()}"


def setting(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """The commands for rows that come or change."""
    for key in sorted(new):
        if key not in old:
            yield f"add map {path} {key} {new[key]}"
        elif old[key] != new[key]:
            yield f"set map {path} {key} {new[key]}"


def dropping(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """The commands for rows that go."""
    for key in sorted(old):
        if key not in new:
            yield f"del map {path} {key}"


# ------------------------------------------------------------------ certificates


def renewing(path: str, content: bytes) -> Iterator[str]:
    """The commands for another certificate under the same name."""
    yield f"set ssl cert {path} <<\n{without_blank_lines(content)}\n"
    yield f"commit ssl cert {path}"


def introducing(path: str, content: bytes, lines: Iterable[str]) -> Iterator[str]:
    """The commands for a certificate that was not there, and the rows of the crt-list that name it."""
    yield f"new ssl cert {path}"
    yield from renewing(path, content)
    for line in lines:
        yield f"add ssl crt-list crt.list <<\n{line}\n"


def without_blank_lines(content: bytes) -> str:
    """Text for a payload, which would end at the first empty line."""
    return "\n".join(line for line in content.decode().splitlines() if line.strip())
