from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.ir import Issue, Source
from gen.report.json import issues_json
from gen.report.text import by_place, issue_line, printable

WEB = Source("Ingress", "shop", "web", "spec.rules[0].host")
ISSUE = Issue(WEB, "InvalidHost", "expected a DNS name")


def at_line_7(source: Source) -> tuple[str, int] | None:
    return ("shop.yaml", 7)


@pytest.mark.parametrize(
    ("issue", "line"),
    [
        (ISSUE, "shop.yaml:7: error InvalidHost: expected a DNS name (Ingress shop/web, spec.rules[0].host)"),
        (
            Issue(Source("Manifest", "", "", "", "bad.yaml", 3), "InvalidYaml", "a tab", "warning"),
            "bad.yaml:3: warning InvalidYaml: a tab",
        ),
    ],
)
def test_line_has_place_severity_code_and_object(issue: Issue, line: str) -> None:
    assert issue_line(issue, at_line_7) == line


def test_line_without_a_place_begins_with_the_severity() -> None:
    assert issue_line(ISSUE).startswith("error InvalidHost: ")


def test_json_has_a_schema_version_and_null_for_what_is_not_known() -> None:
    assert json.loads(issues_json([ISSUE])) == {
        "schemaVersion": 1,
        "issues": [
            {
                "severity": "error",
                "code": "InvalidHost",
                "message": "expected a DNS name",
                "object": {"kind": "Ingress", "namespace": "shop", "name": "web"},
                "field": "spec.rules[0].host",
                "file": None,
                "line": None,
            }
        ],
    }
    assert json.loads(issues_json([ISSUE], at_line_7))["issues"][0]["line"] == 7


@given(st.text())
def test_no_text_can_break_a_line_or_talk_to_a_terminal(text: str) -> None:
    line = printable(text)
    assert line.isprintable()
    assert line.splitlines() in ([], [line])


@given(st.text(st.characters(categories=["L", "N", "P"])))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_issues_stand_in_the_order_of_files_and_lines() -> None:
    places = {"a": ("x.yaml", 9), "b": ("x.yaml", 2), "c": ("w.yaml", 30)}
    issues = [Issue(Source("Ingress", "ns", name), "Code", "it is wrong") for name in ("a", "flag", "b", "c")]
    found = by_place(issues, lambda source: places.get(source.name))
    assert [issue.source.name for issue in found] == ["c", "b", "a", "flag"]
