"""A limit on how often something may be done."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """Holds up to `burst` tokens, and gets a new one every `every` seconds."""

    __slots__ = ("_burst", "_clock", "_every", "_full_at")

    def __init__(self, burst: int, every: float, clock: Callable[[], float]) -> None:
        self._burst, self._every, self._clock = burst, every, clock
        self._full_at = clock()

    @property
    def is_full(self) -> bool:
        """Whether nothing has been taken for long."""
        return self._full_at <= self._clock()

    def take(self) -> bool:
        """Take a token, if there is one."""
        if self.delay() > 0:
            return False
        self._full_at = max(self._full_at, self._clock()) + self._every
        return True

    def delay(self) -> float:
        """Seconds until there is a token."""
        return max(0.0, self._full_at - self._clock() - (self._burst - 1) * self._every)
