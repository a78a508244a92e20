"""How long to wait before something is tried again."""

from __future__ import annotations

import random

from msgspec import Struct


class Timing(Struct, frozen=True):
    """All waits of the loop, in seconds.

    Shape: a retry comes after `first`, then twice as late each time, never later than `limit`.  A proxy that lived
    `steady` seconds is started again at once when it ends.  Reloads are at least `reload_interval` apart.  A start
    without any host is believed after `doubt`.  At the end of gen a change that is being published has `finish` seconds
    to get there, and the proxy `close` seconds to let go.
    """

    first: float = 0.5
    limit: float = 30.0
    steady: float = 60.0
    finish: float = 3.0
    close: float = 6.0
    reload_interval: float = 0.0
    doubt: float = 60.0


class Backoff:
    """Growing delays with jitter: each is between half of its nominal value and all of it.

    Shape: `eager` lets the first try after a success come at once.
    """

    def __init__(self, timing: Timing, *, eager: bool = False) -> None:
        self.timing, self.eager, self.tries = timing, eager, 0

    def next(self) -> float:
        """The delay before the next try, in seconds."""
        doublings = self.tries - self.eager
        self.tries += 1
        if doublings < 0:
            return 0.0
        nominal = min(self.timing.first * 2.0 ** min(doublings, 30), self.timing.limit)
        return nominal * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret

    def reset(self) -> None:
        """It worked: begin with short delays again."""
        self.tries = 0
