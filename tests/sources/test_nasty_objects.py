"""Hostile objects in manifests, as YAML and as JSON: the verdict of the corpus where reading decides."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gen.sources.manifests import Manifests, read

CORPUS = Path(__file__).parent.parent / "data" / "nasty-objects.jsonl"
CASES = [json.loads(line) for line in CORPUS.read_text().splitlines()]
OURS = (
    *("shape-", "meta-", "dup-object-", "deep-nesting", "host-type-", "ann-map-list", "secret-data-list", "ns-name-"),
    *(
        "svc-port-80.5",
        "svc-port-true",
        "svc-port-null",
        'svc-port-"',
        "pathtype-5",
        'endpoint-port-"',
        "deleted-object",
    ),
)
NOT_HERE = {
    "meta-no-namespace": "a file may leave the namespace out, as with kubectl",
    "shape-list": "the case has lost its object",
}
TOO_DEEP = "deep-nesting"
HUGE_NUMBER = "svc-port-100000"
"""Go, and so YAML, rounds it."""
TRANSLATED = {"NoRules"}
"""Reasons that only translation finds."""


def is_ours(case: Any) -> bool:
    return case["id"].startswith(OURS) and case["id"] not in NOT_HERE


def named(case: Any) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", case["id"])


def read_json(case: Any) -> Manifests:
    return read(["-"], stdin=io.BytesIO(json.dumps(case["objects"]).encode()))


def read_yaml(case: Any) -> Manifests:
    """JSON is YAML as well; the comment makes sure that it is read as such."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": case["objects"]})
    return read(["-"], stdin=io.BytesIO(f"# YAML\n{text}".encode()))


@pytest.mark.parametrize("case", [case for case in CASES if is_ours(case)], ids=named)
def test_verdict_of_json(case: Any) -> None:
    judge(case, read_json(case))


@pytest.mark.parametrize("case", [case for case in CASES if is_ours(case) and case["id"] != TOO_DEEP], ids=named)
def test_verdict_of_yaml(case: Any) -> None:
    judge(case, read_yaml(case))


def test_yaml_is_not_read_as_deeply_as_json() -> None:
    (case,) = (case for case in CASES if case["id"] == TOO_DEEP)
    assert [issue.code for issue in read_yaml(case).issues] == ["TooDeep"]


def judge(case: Any, found: Manifests) -> None:
    codes = [(issue.code, issue.severity) for issue in found.issues]
    verdict, reason = case["expect"]["verdict"], case["expect"]["reason"]
    if verdict == "accept":
        assert codes == []
        assert reason in ("", *TRANSLATED)
    else:
        assert codes == [(reason, "info" if verdict == "ignore" else "error")]
    assert len(found.objects) == len(case["objects"]) - len(codes), "one fault, one object"


@pytest.mark.parametrize("case", [case for case in CASES if not is_ours(case)], ids=named)
def test_everything_else_is_left_to_translation(case: Any) -> None:
    found = read_json(case)
    known = [item for item in case["objects"] if "gateway" not in item["apiVersion"]]
    assert found.issues == ()
    assert len(found.objects) == len(known)
    in_yaml = read_yaml(case).objects
    assert in_yaml == found.objects or (case["id"].startswith(HUGE_NUMBER) and in_yaml.keys() == found.objects.keys())
