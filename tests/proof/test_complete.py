"""No row of the registry without parser test, documentation, risk and case; no key of the ConfigMap without a case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gen.dialects.ingress_nginx import ALIASES, PREFIX, ROWS
from gen.dialects.ingress_nginx.configmap import BY_NAME
from tests.dialects.samples import SAMPLES
from tests.proof.case import Case, all_cases

PAGE = (Path(__file__).parents[2] / "docs" / "annotations.md").read_text(encoding="utf-8")
CASES = {case.annotation: case for case in all_cases() if case.annotation}


def annotations_of(case: Case) -> Iterator[str]:
    """The annotations that the Ingresses of a case have, by their canonical names."""
    for item in case.objects:
        names = (name.removeprefix(f"{PREFIX}/") for name in item["metadata"].get("annotations", {}))
        yield from (ALIASES.get(name, name) for name in names)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_row_is_whole(name: str) -> None:
    row, (good, bad) = ROWS[name], SAMPLES[name]
    assert good or (row.unsupported and row.risk == "critical"), "no value that its parser takes"
    assert bad, "no value that its parser refuses"
    assert f"`{name}`" in PAGE, "docs/annotations.md does not have it: `python -m tests.dialects`"
    assert row.doc
    assert row.risk in {"low", "medium", "high", "critical"}
    assert name in CASES, f"there is no case tests/cases/annotations/{name}"


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.annotation)
def test_a_case_is_about_its_annotation(case: Case) -> None:
    assert case.annotation in set(annotations_of(case))
    assert case.rows, "no request shows what it does"


def test_cases_see_aliases() -> None:
    used = {
        name for case in CASES.values() for item in case.objects for name in item["metadata"].get("annotations", {})
    }
    assert {f"{PREFIX}/{alias}" for alias in ALIASES} <= used


def test_every_key_of_the_configmap_is_in_a_case() -> None:
    found = [item["data"] for case in all_cases() for item in case.objects if item["kind"] == "ConfigMap"]
    data = {key: text for each in found for key, text in each.items()}
    assert BY_NAME.keys() <= data.keys(), BY_NAME.keys() - data.keys()
    for key, row in BY_NAME.items():
        row.parse(data[key])
