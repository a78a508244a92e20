"""The files of a bundle, taken apart: each resource as the text that it is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from backends.envoy.listeners import ROUTES_FILE
from backends.envoy.syntax import Json
from gen.backend import Bundle
from gen.errors import ApplyError

BOOTSTRAP_FILE = "envoy.json"


class Start(Struct, frozen=True):
    """What an Envoy gets on its command line: it must be started anew to change it."""

    workers: int = 0
    drain_seconds: int = 240


class Parts(Struct, frozen=True):
    """What the files of a bundle hold.

    Shape: JSON texts; `table` is the RouteConfiguration without its virtual hosts.
    """

    start: Start
    listeners: tuple[bytes, ...]
    clusters: tuple[bytes, ...]
    secrets: tuple[bytes, ...]
    table: bytes
    virtual_hosts: tuple[bytes, ...]


class Files(dict[str, bytes]):
    """The files of a bundle that was rendered now, whose parts are known."""

    def __init__(self, files: Iterable[tuple[str, bytes]], parts: Parts) -> None:
        super().__init__(files)
        self.parts = parts


class _Metadata(Struct):
    gen: Start


class _Node(Struct):
    metadata: _Metadata


class _StaticResources(Struct):
    listeners: list[Raw]
    clusters: list[Raw]
    secrets: list[Raw]


class _Bootstrap(Struct):
    node: _Node
    static_resources: _StaticResources


class _Routes(Struct):
    resources: list[dict[str, Raw]]


def parts_of(bundle: Bundle) -> Parts:
    """The parts of a bundle, rendered now or read back.  Raises ApplyError for files that are not gen's."""
    if isinstance(bundle.files, Files):
        return bundle.files.parts
    return _parts(bundle.files.get(BOOTSTRAP_FILE, b""), bundle.files.get(ROUTES_FILE, b""))


@lru_cache(maxsize=2)  # every step from one bundle to the next asks for both
def _parts(bootstrap_file: bytes, routes_file: bytes) -> Parts:
    try:
        bootstrap = msgspec.json.decode(bootstrap_file, type=_Bootstrap)
        table = msgspec.json.decode(routes_file, type=_Routes).resources[0]
        virtual_hosts = msgspec.json.decode(table.pop("virtual_hosts"), type=list[Raw])
    except (LookupError, msgspec.DecodeError) as error:
        raise ApplyError(f"{BOOTSTRAP_FILE} and {ROUTES_FILE} are not what gen writes: {error}") from error
    static = bootstrap.static_resources
    return Parts(
        start=bootstrap.node.metadata.gen,
        listeners=tuple(map(bytes, static.listeners)),
        clusters=tuple(map(bytes, static.clusters)),
        secrets=tuple(map(bytes, static.secrets)),
        table=msgspec.json.encode(table),
        virtual_hosts=tuple(map(bytes, virtual_hosts)),
    )


def table_of(text: bytes) -> bytes:
    """What Parts has as `table`, from a RouteConfiguration whose list of virtual hosts is not closed."""
    fields = msgspec.json.decode(text + b"]}", type=dict[str, Raw])
    del fields["virtual_hosts"]
    return msgspec.json.encode(fields)


def route_table(parts: Parts) -> Json:
    """The fields of the RouteConfiguration, apart from its virtual hosts."""
    fields: Json = msgspec.json.decode(parts.table)
    del fields["@type"]
    return fields
