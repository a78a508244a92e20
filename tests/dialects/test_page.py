"""The page about annotations is up to date, and names everything."""

from __future__ import annotations

import importlib
from pathlib import Path

from gen.backend import NAMES, Placement, load
from gen.dialects.ingress_nginx import ALIASES, ROWS
from gen.dialects.ingress_nginx.configmap import BY_NAME
from gen.offline.annotations import Support, page

PAGE = Path(__file__).parent.parent.parent / "docs" / "annotations.md"


def made() -> str:
    """The page as it ought to be."""
    nowhere = Path("/nonexistent")
    placement = Placement(mode="managed", state_dir=nowhere, runtime_dir=nowhere)
    backends = {name: load(name, placement) for name in NAMES}
    return page({name: Support(backend.features, backend.words) for name, backend in backends.items()})


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == made(), "`python -m tests.dialects` writes it anew"


def test_every_backend_has_words_for_every_field() -> None:
    fields = {row.fills for row in ROWS.values() if row.fills}
    for name in NAMES:
        assert set(importlib.import_module(f"backends.{name}.words").WORDS) == fields


def test_the_page_names_everything() -> None:
    text = made()
    for name in (*ROWS, *ALIASES, *BY_NAME):
        assert f"`{name}`" in text
