"""Issues as JSON, for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gen.ir import Issue
from gen.report.text import Locate, nowhere, place_of

SCHEMA_VERSION = 1


def issues_json(issues: Iterable[Issue], locate: Locate = nowhere) -> bytes:
    """All issues, sorted as they are given, as one indented JSON document."""
    document = {"schemaVersion": SCHEMA_VERSION, "issues": [entry(issue, locate) for issue in issues]}
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


def entry(issue: Issue, locate: Locate) -> dict[str, Any]:
    """One issue; file and line are null where they are not known."""
    place = place_of(issue.source, locate)
    source = issue.source
    return {
        "severity": issue.severity,
        "code": issue.code,
        "message": issue.message,
        "object": {"kind": source.kind, "namespace": source.namespace, "name": source.name},
        "field": source.field,
        "file": place[0] if place else None,
        "line": place[1] if place else None,
    }
