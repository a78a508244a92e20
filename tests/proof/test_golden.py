"""Every case gives the model and the files that are kept beside it; `python -m tests update` rewrites them."""

from __future__ import annotations

import difflib

import pytest

from tests.proof.case import Case, all_cases
from tests.proof.golden import expected, present

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_generated_files_are_as_kept(case: Case) -> None:
    kept, made = present(case), expected(case)
    differences = [difference(path, kept.get(path), made.get(path)) for path in sorted(kept.keys() | made.keys())]
    shown = "\n".join(text for text in differences if text)
    assert not shown, f"{shown}\n`python -m tests update` takes the new state over"


def difference(path: str, kept: bytes | None, made: bytes | None) -> str:
    """A unified diff, "" where nothing differs."""
    if kept == made:
        return ""
    before, after = ((text or b"").decode(errors="replace").splitlines() for text in (kept, made))
    return "\n".join([f"{path}:", *difflib.unified_diff(before, after, "kept", "made", lineterm="", n=1)][:60])
