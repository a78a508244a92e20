"""From changed objects to a bundle: store, translate, fit, render."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import Struct

from gen.backend import Backend, Bundle
from gen.fit import Fit
from gen.ir import Issue
from gen.store import Change, Key, Store
from gen.translate import Translator
from gen.translate.settings import Settings


class Built(Struct, frozen=True):
    """What the objects give: a bundle, the faults found on the way, and how many objects there are."""

    bundle: Bundle
    issues: tuple[Issue, ...]
    objects: int


class Pipeline:
    """Builds the bundle of all objects again and again; what did not change is not computed anew."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self.store = Store()
        self.backend = backend
        self._translator = Translator(settings)
        self._fit = Fit(backend.features, backend.lacks, backend.words)
        self._touched: frozenset[Key] = frozenset()
        self._built: Built | None = None

    def build(self, changes: Sequence[Change]) -> Built:
        """The bundle of all objects, these changes included."""
        self._touched |= self.store.apply(changes)
        if self._built is None:
            self._built = self._build()
            self._translator.settle()
        elif self._touched:
            self._built = self._build()
        return self._built

    def _build(self) -> Built:
        translation = self._translator.translate(self.store, self._touched, now=time.time())
        config, unfit = self._fit.fit(translation.config)
        bundle = self.backend.render(config)
        self._touched = frozenset()
        return Built(bundle, translation.issues + unfit, len(self.store))
