"""The seam to a proxy: what every backend gives and takes.

render and plan are pure; validate, apply and confirm touch the world.  The reconciler owns all retries and timers, a
backend tries each thing once and says what happened by the exception it raises.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, Protocol, cast

from msgspec import Struct

from gen.errors import UsageError
from gen.ir import Config, HostPolicy, Options, Policy, Source

NAMES = ("nginx", "haproxy", "envoy")
NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")
Origins = Mapping[str, tuple[tuple[int, Source], ...]]


class Bundle(Struct, frozen=True):
    """A rendered configuration: named bytes that the proxy can run from any directory.

    Shape: `files` maps a relative path to its bytes; `secrets` names those that hold keys; `origins` maps a file to
    (first line, object) pairs in ascending order, each holding up to the next; `digest` covers all files and is
    what the proxy reports as its own when it runs this bundle.
    """

    files: Mapping[str, bytes]
    digest: str
    config: Config | None = None
    secrets: frozenset[str] = frozenset()
    origins: Origins = {}

    def blame(self, file: str, line: int) -> Source | None:
        """The object that a line of a file was rendered from, None where it belongs to nobody."""
        entries = self.origins.get(file, ())
        place = bisect_right(entries, line, key=lambda entry: entry[0])
        return entries[place - 1][1] if place else None


class Plan(Struct, frozen=True):
    """The least that gets the proxy from `old` to `new`.

    Shape: `old` is None when nothing is known to run.  `changed` are paths of files that differ; `commands` go to
    the proxy's runtime interface when no reload is needed; `reason` says in a few words why there is a reload.
    `needs_test` is False where nothing differs that the proxy could refuse, such as addresses and weights.
    """

    old: Bundle | None
    new: Bundle
    changed: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    reload: bool = False
    reason: str = ""
    needs_test: bool = True

    @property
    def is_nothing(self) -> bool:
        """Whether the proxy runs the new bundle already."""
        return not (self.changed or self.commands or self.reload)


class Placement(Struct, frozen=True):
    """Where the proxy is and how gen reaches it.

    Shape: managed: gen starts and supervises the proxy.  external: it runs beside gen; `pid_file` (nginx),
    `socket` (HAProxy's master socket, or the address at which Envoy finds gen's xDS server) or `reload_command` say
    how to reach it.  `binary` is what validates and, managed, runs; `version` overrides what the binary says.
    """

    mode: Literal["managed", "external"]
    state_dir: Path
    runtime_dir: Path
    binary: str = ""
    version: str = ""
    pid_file: Path | None = None
    socket: str = ""
    reload_command: tuple[str, ...] = ()


class Lack(Struct, frozen=True):
    """What a backend does not honour of the value in a field that it knows.

    Shape: `field` is `FIELD` or `FIELD.PART`; `instead` says what happens, as in "is not checked".  `closes`: more
    would get through than the owner allows, so the route answers 503.
    """

    field: str
    instead: str
    closes: bool = False


def nothing_lacks(_: Policy | HostPolicy | Options) -> Iterable[Lack]:
    """The `lacks` of a backend that honours all values of its features."""
    return ()


class Backend(Protocol):
    """One kind of proxy."""

    name: str
    features: frozenset[str]
    """What it honours: "upstream_host", "regex", "weights", "dns", ... (the words of gen.fit)."""
    words: Mapping[str, str]
    """For people: how a field of policies is done, or why it is not where it is not in `features`."""

    def lacks(self, part: Policy | HostPolicy | Options) -> Iterable[Lack]:
        """What it does not honour of the values in those fields; cheap, for it is asked for every route."""
        ...

    def render(self, config: Config) -> Bundle:
        """The bundle for a Config: the same Config gives the same bytes, in any process, on any day."""
        ...

    def plan(self, old: Bundle | None, new: Bundle) -> Plan:
        """What it takes to get from the old bundle to the new one."""
        ...

    async def validate(self, bundle: Bundle) -> None:
        """Let the real binary test the bundle; raises Rejected."""
        ...

    async def resume(self) -> Bundle | None:
        """Find or start the proxy with the last accepted generation, before any input was read.

        external: the bundle that a running proxy reports.  managed: adopt a proxy that a killed gen left behind, else
        start one from the last accepted generation; None where there is none.  Raises ApplyError.
        """
        ...

    async def apply(self, plan: Plan) -> None:
        """Write the generation, publish it, then start the proxy, send commands or reload once; raises ApplyError."""
        ...

    async def confirm(self, plan: Plan) -> None:
        """Wait until the proxy itself reports the new digest, then mark it as accepted; raises NotConfirmed."""
        ...

    async def exited(self) -> str:
        """Return, with a description, when the managed proxy has gone; never returns for an external one."""
        ...

    async def close(self) -> None:
        """Let go of the proxy; a managed one is stopped gracefully, and nothing is left behind."""
        ...


def load(name: str, placement: Placement) -> Backend:
    """The backend of that name; raises UsageError for an unknown one.  Only this backend's modules are imported."""
    if name not in NAMES:
        raise UsageError(f"unknown backend {name!r}; there are {', '.join(NAMES)}")
    module = importlib.import_module(f"backends.{name}")
    return cast("Callable[[Placement], Backend]", module.create)(placement)


def object_name(*fields: str, readable: int = 40) -> str:
    """A name for a file or an object of the proxy: a slug for the reader, a digest of the fields for identity.

    Shape: `[a-z0-9-]+`, at most `readable` + 11 characters; different fields never give the same name.
    """
    slug = NOT_IN_SLUG.sub("-", "-".join(fields).lower()).strip("-")[:readable].strip("-")
    identity = digest_of(*[field.encode() for field in fields])[:10]
    return f"{slug}-{identity}" if slug else identity


def digest_of(*parts: bytes) -> str:
    """16 hex digits that identify the parts, each with its length."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.hexdigest()


def digest_of_files(files: Mapping[str, bytes]) -> str:
    """16 hex digits that identify a set of files, whatever their order."""
    return digest_of(*(part for path in sorted(files) for part in (path.encode(), files[path])))


def changed_files(old: Bundle | None, new: Bundle) -> tuple[str, ...]:
    """The paths that were added, removed or changed, sorted."""
    before: Mapping[str, bytes] = old.files if old else {}
    changed = [path for path, content in new.files.items() if before.get(path) != content]
    return tuple(sorted([*changed, *(before.keys() - new.files.keys())]))
