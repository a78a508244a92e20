"""Where objects come from: manifests in files, or a cluster.

A source yields batches.  What changed together arrives in one batch; `synced` says that every kind has been listed
whole at least once, and nothing is rendered before that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from gen.ir import Issue
from gen.store import Change


class Batch(Struct, frozen=True):
    """What changed at one moment.

    Shape: `issues` are all faults of the input that is present now (they replace those of the batch before).
    """

    changes: tuple[Change, ...]
    issues: tuple[Issue, ...] = ()
    synced: bool = True


class ObjectSource(Protocol):
    """A stream of batches that ends only when it is closed; raises SourceError when it cannot go on."""

    def batches(self) -> AsyncIterator[Batch]:
        """The first batch holds everything there is; later ones only what changed."""
        ...

    async def close(self) -> None:
        """Stop watching."""
        ...
