"""Issues in the order in which people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from gen.ir import Issue, Severity, Source

RANK: Mapping[Severity, int] = {"error": 0, "warning": 1, "info": 2}


def by_object(issues: Iterable[Issue]) -> tuple[tuple[Source, tuple[Issue, ...]], ...]:
    """The issues of each object (a Source without field), worst first; objects by kind, namespace and name."""
    ordered = sorted(issues, key=lambda issue: (issue.source.at(""), RANK[issue.severity], issue))
    return tuple((place, tuple(found)) for place, found in groupby(ordered, key=lambda issue: issue.source.at("")))


def worst(issues: Iterable[Issue]) -> Severity | None:
    """The highest severity there is, None where there are no issues."""
    return min((issue.severity for issue in issues), key=RANK.__getitem__, default=None)
