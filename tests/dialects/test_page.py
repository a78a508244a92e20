"""The page about annotations is up to date, and names everything."""

from __future__ import annotations

from pathlib import Path

from gen.backend import NAMES, Placement, load
from gen.dialects.ingress_nginx import ALIASES, ROWS
from gen.dialects.ingress_nginx.configmap import BY_NAME
from gen.offline.annotations import page

PAGE = Path(__file__).parent.parent.parent / "docs" / "annotations.md"


def made() -> str:
    """The page as it ought to be."""
    nowhere = Path("/nonexistent")
    placement = Placement(mode="managed", state_dir=nowhere, runtime_dir=nowhere)
    return page({name: load(name, placement).features for name in NAMES})


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == made(), "`python -m tests.dialects` writes it anew"


def test_the_page_names_everything() -> None:
    text = made()
    for name in (*ROWS, *ALIASES, *BY_NAME):
        assert f"`{name}`" in text
