"""What was rendered before: a change costs what it changes, and a little for everything else to be found unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Memo:
    """What was made from the very same objects the last time is not made again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], object]] = {}

    def recall(self, name: str, make: Callable[..., T], *origins: object) -> T:
        """What `make` gives for these origins."""
        known = self._known.get(name)
        if known is None or any(a is not b for a, b in zip(known[0], origins, strict=True)):
            known = self._known[name] = (origins, make(*origins))
        return known[1]  # type: ignore[return-value]  # kept under a name that always stands for the same type

    def same(self, name: str, value: T) -> T:
        """The value, or the very one of the last time where that is equal."""
        known = self._known.get(name)
        if known is None or known[1] != value:
            known = self._known[name] = ((), value)
        return known[1]  # type: ignore[return-value]  # as above


class Kept(Generic[U, T]):
    """What was made last of units of one kind, also where that came to nothing in the end."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[U, object, T]] = {}
        self._units: Mapping[str, U] = {}
        self._made: Mapping[str, T] = {}
        self._shared: object = None

    def update(
        self,
        units: Mapping[str, U],
        shared: object,
        context_of: Callable[[str, U], object],
        make: Callable[[str, U], T],
    ) -> Mapping[str, T]:
        """What is made of each unit, made anew where it is another one or its context differs.

        Shape: the very same mapping where nothing differs.  As long as `shared` is equal, so is each context.
        """
        last, is_whole = self._last, self._shared is not None
        is_same = is_whole and self._shared == shared
        if is_same and units is self._units:
            return self._made
        self._shared = None
        changed = [name for name, unit in units.items() if name not in last or last[name][0] is not unit]
        made: dict[str, T] = {}
        for name in changed if is_same else units:
            unit, known = units[name], last.get(name)
            context = context_of(name, unit)
            if known is None or known[0] is not unit or known[1] != context:
                made[name] = make(name, unit)
                last[name] = (unit, context, made[name])
        if made or not is_whole or units.keys() != self._made.keys():
            self._last = {name: last[name] for name in units}
            self._made = {name: known[2] for name, known in self._last.items()}
        self._units, self._shared = units, shared
        return self._made
