"""Units: the grain of all work.  A unit is a pure function of what it reads, kept until something of that changes.

`update` takes the keys that were touched and the roots that came or went, runs what is affected, and says which results
differ now.  A unit lives while it is a root or while a living unit reads or mentions it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from traceback import extract_tb
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from gen.ir import Issue, Source
from gen.store import Key, Objects, Reader

Kind = Literal["certificate", "default", "ground", "ingress", "host", "options", "upstream"]
ORDER: tuple[Kind, ...] = ("certificate", "default", "ground", "ingress", "host", "options", "upstream")
"""A unit reads and mentions only units of other kinds: it reads earlier ones."""

V_co = TypeVar("V_co", covariant=True)


class Unit(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """The name of a unit."""

    kind: Kind
    name: str


class Result(Struct, Generic[V_co], frozen=True, gc=False):
    """What a unit gives.

    Shape: `issues` are complete; `faults`, a code and a message each, are to be reported where the unit is referred to.
    """

    value: V_co
    issues: tuple[Issue, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


class UnitReader(Reader):
    """A Reader that gives the results of other units, too."""

    __slots__ = ("_result_of", "mentions")

    def __init__(self, objects: Objects, result_of: Callable[[Unit], Result[Any]]) -> None:
        super().__init__(objects)
        self._result_of = result_of
        self.mentions: set[Unit] = set()

    def unit(self, kind: Kind, name: str) -> Result[Any]:
        """What another unit gives, one of an earlier kind."""
        unit = Unit(kind, name)
        self.reads.add(unit)
        return self._result_of(unit)

    def mention(self, kind: Kind, name: str) -> None:
        """Ask that a unit exist, without looking at what it gives."""
        self.mentions.add(Unit(kind, name))


Function = Callable[[UnitReader, str], Result[Any]]


class Recipe(Struct, frozen=True):
    """How units of a kind are made: a pure function, and the value of one where that function fails.

    Shape: a failure is a fault of gen, not of the input; it must cost no more than the one unit.
    """

    function: Function
    nothing: Callable[[str], Any]


class _Memo(Struct, gc=False):
    result: Result[Any]
    reads: Collection[Hashable] = ()
    mentions: Collection[Unit] = ()


class Units:
    """The memo of all units, and who reads what."""

    def __init__(self, recipes: Mapping[Kind, Recipe]) -> None:
        self._recipes = recipes
        self._objects: Objects
        self._memo: dict[Unit, _Memo] = {}
        self._roots: set[Unit] = set()
        self._known_readers: defaultdict[Hashable, set[Unit]] | None = None
        self._mentioners: defaultdict[Unit, set[Unit]] = defaultdict(set)
        self._dirty: dict[Kind, dict[Unit, None]] = {kind: {} for kind in ORDER}
        self._changed: set[Unit] = set()
        self._loose: set[Unit] = set()

    def __len__(self) -> int:
        return len(self._memo)

    @property
    def roots(self) -> frozenset[Unit]:
        """The units that exist for their own sake."""
        return frozenset(self._roots)

    def result(self, unit: Unit) -> Result[Any] | None:
        """What a unit gave last, None when it does not exist."""
        memo = self._memo.get(unit)
        return memo.result if memo else None

    def mentioners(self, unit: Unit) -> Collection[Unit]:
        """The units that ask for this one."""
        return self._mentioners.get(unit, ())

    @property
    def _readers(self) -> defaultdict[Hashable, set[Unit]]:
        """Which units read a key, worked out when that is asked for: the only run of a command never asks."""
        if self._known_readers is None:
            self._known_readers = defaultdict(set)
            for unit, memo in self._memo.items():
                self._link(self._known_readers, unit, (), memo.reads)
        return self._known_readers

    def settle(self) -> None:
        """Work out who reads what."""
        self._known_readers = self._readers

    def update(
        self, objects: Objects, touched: frozenset[Key] | None, *, come: Iterable[Unit], gone: Iterable[Unit]
    ) -> frozenset[Unit]:
        """Run what the touched keys affect (None: everything), and give the units whose result differs or is gone."""
        self._objects = objects
        self._changed = set()
        self._mark(self._memo if touched is None else {unit for key in touched for unit in self._readers.get(key, ())})
        for unit in gone:
            self._roots.discard(unit)
            self._loose.add(unit)
        for unit in come:
            self._roots.add(unit)
            self._mark(() if unit in self._memo else (unit,))
        for kind in ORDER:
            while self._dirty[kind]:
                unit, _ = self._dirty[kind].popitem()
                if self._is_wanted(unit):
                    self._run(unit)
        self._sweep()
        return frozenset(self._changed)

    def _mark(self, units: Iterable[Unit]) -> None:
        for unit in units:
            self._dirty[unit.kind][unit] = None

    def _is_wanted(self, unit: Unit) -> bool:
        return unit in self._roots or unit in self._mentioners or unit in self._readers

    def _result_of(self, unit: Unit) -> Result[Any]:
        """What a unit gives; one that is read for the first time is run on the spot."""
        memo = self._memo.get(unit)
        return memo.result if memo else self._run(unit)

    def _run(self, unit: Unit) -> Result[Any]:
        read = UnitReader(self._objects, self._result_of)
        result = self._made(unit, read)
        memo = self._memo.get(unit)
        if memo is None:
            memo = self._memo[unit] = _Memo(result)
            self._changed.add(unit)
        elif memo.result != result:
            if memo.result.value == result.value:
                result = Result(memo.result.value, result.issues, result.faults)
            memo.result = result
            self._changed.add(unit)
            self._mark(self._readers.get(unit, ()))
        self._depend(unit, memo, read)
        return memo.result

    def _made(self, unit: Unit, read: UnitReader) -> Result[Any]:
        recipe = self._recipes[unit.kind]
        try:
            return recipe.function(read, unit.name)
        except Exception as error:
            place = extract_tb(error.__traceback__)[-1]
            where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
            message = f"a fault of gen, please report it: {type(error).__name__} at {where}; it is left out"
            return Result(
                recipe.nothing(unit.name), (Issue(Source(unit.kind, "", unit.name), "InternalError", message),)
            )

    def _depend(self, unit: Unit, memo: _Memo, read: UnitReader) -> None:
        if self._known_readers is not None:
            self._link(self._known_readers, unit, memo.reads, read.reads)
        self._link(self._mentioners, unit, memo.mentions, read.mentions)
        self._mark(mentioned for mentioned in read.mentions if mentioned not in self._memo)
        memo.reads, memo.mentions = tuple(read.reads), tuple(read.mentions)

    def _link(self, edges: defaultdict[Any, set[Unit]], unit: Unit, old: Collection[Any], new: Collection[Any]) -> None:
        for key in new:
            edges[key].add(unit)
        for key in old:
            if key not in new:
                edges[key].discard(unit)
                if not edges[key]:
                    del edges[key]
                    if isinstance(key, Unit):
                        self._loose.add(key)

    def _sweep(self) -> None:
        """Forget the units that nobody wants any more."""
        while self._loose:
            unit = self._loose.pop()
            if unit in self._memo and not self._is_wanted(unit):
                memo = self._memo.pop(unit)
                self._changed.add(unit)
                self._link(self._readers, unit, memo.reads, ())
                self._link(self._mentioners, unit, memo.mentions, ())
