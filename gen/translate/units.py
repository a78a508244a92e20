"""Units: the grain of all work.  A unit is a pure function of what it reads, kept until something of that changes.

`update` takes the keys that were touched and the roots that must exist, runs what is affected, and says which values
differ now.  A unit lives while it is a root or while a living unit reads or mentions it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from gen.ir import Issue
from gen.store import Key, Objects, Reader

Kind = Literal["ingress", "certificate", "default", "host", "options", "upstream"]
ORDER: tuple[Kind, ...] = ("ingress", "certificate", "default", "host", "options", "upstream")
"""A unit reads only units of earlier kinds."""

V_co = TypeVar("V_co", covariant=True)


class Unit(Struct, frozen=True, order=True, cache_hash=True):
    """The name of a unit."""

    kind: Kind
    name: str


class Result(Struct, Generic[V_co], frozen=True):
    """What a unit gives: a value, the issues found on the way, and faults to report at those that mention it."""

    value: V_co
    issues: tuple[Issue, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


class _Memo(Struct):
    result: Result[Any]
    reads: set[Key | Unit]
    mentions: set[Unit]


class UnitReader(Reader):
    """A Reader that gives the results of other units, too."""

    __slots__ = ("_result_of", "mentions", "units")

    def __init__(self, objects: Objects, result_of: Callable[[Unit], Result[Any]]) -> None:
        super().__init__(objects)
        self._result_of = result_of
        self.units: set[Unit] = set()
        self.mentions: set[Unit] = set()

    def unit(self, kind: Kind, name: str) -> Result[Any]:
        """What another unit gives, one of an earlier kind."""
        unit = Unit(kind, name)
        self.units.add(unit)
        return self._result_of(unit)

    def mention(self, kind: Kind, name: str) -> None:
        """Ask that a unit exist, without looking at its value."""
        self.mentions.add(Unit(kind, name))


Function = Callable[[UnitReader, str], Result[Any]]


class Units:
    """The memo of all units, and who reads what."""

    def __init__(self, functions: Mapping[Kind, Function]) -> None:
        self._functions = functions
        self._objects: Objects
        self._memo: dict[Unit, _Memo] = {}
        self._readers: dict[Key | Unit, set[Unit]] = {}
        self._mentioners: dict[Unit, set[Unit]] = {}
        self._roots: frozenset[Unit] = frozenset()
        self._dirty: dict[Kind, set[Unit]] = {}
        self._changed: set[Unit] = set()
        self._loose: set[Unit] = set()

    def __len__(self) -> int:
        return len(self._memo)

    def result(self, unit: Unit) -> Result[Any] | None:
        """What a unit gave last, None when it does not exist."""
        memo = self._memo.get(unit)
        return memo.result if memo else None

    def mentioners(self, unit: Unit) -> Iterable[Unit]:
        """The units that ask for this one."""
        return self._mentioners.get(unit, ())

    def update(self, objects: Objects, touched: frozenset[Key] | None, roots: frozenset[Unit]) -> frozenset[Unit]:
        """Run what the touched keys affect (None: everything), and give the units whose result differs or is gone."""
        self._objects = objects
        self._dirty = {kind: set() for kind in ORDER}
        self._changed = set()
        self._mark(self._memo if touched is None else self._readers_of(touched))
        self._loose.update(self._roots - roots)
        self._mark(roots - self._roots)
        self._roots = roots
        for kind in ORDER:
            for unit in sorted(self._dirty[kind]):
                if self._is_wanted(unit):
                    self._run(unit)
        self._sweep()
        return frozenset(self._changed)

    def _readers_of(self, keys: Iterable[Key | Unit]) -> Iterable[Unit]:
        return {unit for key in keys for unit in self._readers.get(key, ())}

    def _mark(self, units: Iterable[Unit]) -> None:
        for unit in units:
            self._dirty[unit.kind].add(unit)

    def _is_wanted(self, unit: Unit) -> bool:
        return unit in self._roots or bool(self._readers.get(unit) or self._mentioners.get(unit))

    def _result_of(self, unit: Unit) -> Result[Any]:
        memo = self._memo.get(unit)
        return memo.result if memo else self._run(unit)

    def _run(self, unit: Unit) -> Result[Any]:
        read = UnitReader(self._objects, self._result_of)
        result = self._functions[unit.kind](read, unit.name)
        reads: set[Key | Unit] = {*read.reads, *read.units}
        old = self._memo.get(unit)
        self._link(self._readers, unit, old.reads if old else set(), reads)
        self._link(self._mentioners, unit, old.mentions if old else set(), read.mentions)
        for mentioned in read.mentions:
            if mentioned not in self._memo:
                self._dirty[mentioned.kind].add(mentioned)
        if old and old.result == result:
            result = old.result
        else:
            if old and old.result.value == result.value:
                result = Result(old.result.value, result.issues, result.faults)
            self._changed.add(unit)
            self._mark(self._readers.get(unit, ()))
        self._memo[unit] = _Memo(result, reads, read.mentions)
        return result

    def _link(self, edges: dict[Any, set[Unit]], unit: Unit, old: set[Any], new: set[Any]) -> None:
        for key in new - old if old else new:
            edges.setdefault(key, set()).add(unit)
        for key in old - new:
            edges[key].discard(unit)
            if not edges[key]:
                del edges[key]
                if isinstance(key, Unit):
                    self._loose.add(key)

    def _sweep(self) -> None:
        while self._loose:
            unit = self._loose.pop()
            if unit in self._memo and not self._is_wanted(unit):
                memo = self._memo.pop(unit)
                self._changed.add(unit)
                self._link(self._readers, unit, memo.reads, set())
                self._link(self._mentioners, unit, memo.mentions, set())
