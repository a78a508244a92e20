"""All waits of the cluster source, and the delays between tries."""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec import Struct


class Timing(Struct, frozen=True):
    """Units: seconds.

    Shape: a failed try is repeated after `first`, then twice as late each time up to `limit`; after `calm` without a
    failure the delays begin anew.  A page of a list may take `page`, a whole state by watch-list `whole`.  A watch is
    asked for `watch` to twice that long, and may be silent `silence` longer; one that ends within `shortest` counts as
    a failure.  Changes are handed out after `quiet` without another one, but never later than `patience`; those of
    endpoints at once, though not within `pace` of the last ones.  Objects that are read one by one are read again every
    `reread`.
    """

    first: float = 0.8
    limit: float = 30.0
    calm: float = 120.0
    page: float = 60.0
    whole: float = 120.0
    watch: float = 300.0
    silence: float = 30.0
    shortest: float = 1.0
    quiet: float = 0.1
    patience: float = 0.5
    pace: float = 0.05
    reread: float = 60.0


class Backoff:
    """Growing delays with jitter, counted on a clock that cannot be set: as client-go's reflectors wait."""

    def __init__(self, timing: Timing, clock: Callable[[], float]) -> None:
        self._timing, self._clock = timing, clock
        self._tries, self._last = 0, clock()

    def next(self, at_least: float = 0.0) -> float:
        """The delay before the next try: jittered up to twice its nominal value, and never less than asked for."""
        now = self._clock()
        if now - self._last > self._timing.calm:
            self._tries = 0
        nominal = min(self._timing.first * 2.0 ** min(self._tries, 30), self._timing.limit)
        self._tries, self._last = self._tries + 1, now
        return max(nominal * random.uniform(1.0, 2.0), at_least)  # noqa: S311 - not a secret
