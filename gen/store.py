"""The objects that are known now, their indexes, and the Reader through which translation sees them."""

from __future__ import annotations

from msgspec import Struct

from gen.k8s import Object, Ref


class Change(Struct, frozen=True):
    """A new state of one object; None: it is gone."""

    ref: Ref
    object: Object | None
