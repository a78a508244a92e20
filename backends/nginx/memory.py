"""What was rendered before: a change costs what it changes, and a little for everything else to be found unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from backends.nginx.parts import Target, Zone
from backends.nginx.syntax import NOTHING, Word
from gen.ir import Certificate, Host, Source, Upstream

Lines = tuple[tuple[int, Source], ...]
NO_FILES: Mapping[str, bytes] = {}
NO_ORIGINS: Mapping[str, Lines] = {}
SECRET = (".key", ".htpasswd")
T = TypeVar("T")


class Rendered(Struct, frozen=True):
    """One host, upstream or certificate as nginx has it, and what that was made of: it holds for the very same alone.

    Shape: `files` are its own, `origins` says whose their lines are; `text` has `lines` of a file that it shares, which
    are those of `source`;
    `digest` identifies them all.  `variables` counts those it defines.
    """

    unit: Upstream | Certificate | Host
    context: object
    digest: str = ""
    files: Mapping[str, bytes] = NO_FILES
    origins: Mapping[str, Lines] = NO_ORIGINS
    name: Word = NOTHING
    text: bytes = b""
    lines: int = 0
    source: Source | None = None
    target: Target = Target()
    variables: int = 0
    zones: tuple[Zone, ...] = ()
    needs: frozenset[str] = frozenset()


class Joined(Struct, frozen=True):
    """Several units together."""

    digest: str
    files: Mapping[str, bytes]
    origins: Mapping[str, Lines]
    secrets: frozenset[str]
    variables: int
    zones: tuple[Zone, ...]
    needs: frozenset[str]
    has_patterns: bool


def joined(units: Iterable[Rendered]) -> Joined:
    """What units have together."""
    units = tuple(units)
    files = {path: content for unit in units for path, content in unit.files.items()}
    rich = [unit for unit in units if unit.variables or unit.zones or unit.needs]
    return Joined(
        "".join([unit.digest for unit in units]),
        files,
        {path: lines for unit in units for path, lines in unit.origins.items()},
        frozenset([path for path in files if path.endswith(SECRET)]),
        sum(unit.variables for unit in rich),
        tuple(zone for unit in rich for zone in unit.zones),
        frozenset().union(*(unit.needs for unit in rich)),
        any(path.startswith("patterns/") for path in files),
    )


class Kept:
    """The units of one kind as they were rendered last, also by a rendering that failed."""

    def __init__(self) -> None:
        self._last: Mapping[str, Rendered] = {}
        self._units: Mapping[str, object] = {}
        self._shared: object = None

    def update(
        self,
        units: Mapping[str, Any],
        shared: object,
        context_of: Callable[[str, Any], object],
        write: Callable[[Any, Any], Rendered],
    ) -> Mapping[str, Rendered]:
        """All units, rendered anew where they or their context differ; the same mapping where nothing does.

        Shape: as long as `shared` is equal, so is the context of a unit that is the same.
        """
        is_same = self._shared is not None and self._shared == shared
        if is_same and units is self._units:
            return self._last
        last, self._shared = dict(self._last), None
        try:
            for name, unit in units.items():
                known = last.get(name)
                if is_same and known and known.unit is unit:
                    continue
                context = context_of(name, unit)
                if known is None or known.unit is not unit or known.context != context:
                    last[name] = write(unit, context)
        finally:
            self._last = last
        self._last = {name: last[name] for name in units}
        self._units, self._shared = units, shared
        return self._last


class Memory:
    """All that a rendering takes over from the last one."""

    def __init__(self) -> None:
        self.groups = Kept()
        self.variants = Kept()
        self.certificates = Kept()
        self.servers = Kept()
        self._once: dict[str, tuple[object, Any]] = {}

    def once(self, name: str, of: object, make: Callable[[], T]) -> T:
        """What was made of the very same last time, or is made now."""
        known = self._once.get(name)
        if known is None or known[0] is not of:
            known = self._once[name] = of, make()
        result: T = known[1]
        return result
