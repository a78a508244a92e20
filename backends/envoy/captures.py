"""What the regex of a route finds in a path, for the texts of its policy.

Lua has no such regexes, so a filter of Envoy's takes the groups out of a header that answers.lua writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from backends.envoy import syntax
from backends.envoy.filters import CAPTURES, HTTP
from backends.envoy.syntax import Json
from gen.ir import NO_POLICY, Policy, Route
from gen.policy import Variable

MOST = 9
"""So many groups a text can name."""


@lru_cache(maxsize=4096)
def are_wanted(policy: Policy) -> bool:
    """Whether any text of a policy names a group."""
    return policy is not NO_POLICY and any(each.name == "capture" for each in variables(policy))


def variables(value: Any) -> Iterator[Variable]:
    """All variables within a value of the model."""
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from variables(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from variables(getattr(value, name))


def per_filter(route: Route) -> Json:
    """What the filter for groups has to do; nothing where the route is no regex or has no groups."""
    if route.match.kind != "regex" or not are_wanted(route.policy):
        return {}
    count = min(re.compile(route.match.path).groups, MOST)
    if not count:
        return {}
    found = {"metadata_namespace": "gen", "key": "captures", "type": "STRING"}
    rule = {
        "header": "x-gen-path",
        "on_header_present": found | {"regex_value_rewrite": syntax.groups(route.match.path, count)},
        "remove": True,
    }
    return {CAPTURES: {"@type": f"{HTTP}header_to_metadata.v3.Config", "request_rules": [rule]}}
