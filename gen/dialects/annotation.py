"""What an annotation is, to every dialect: a row with its parser, gathered in families that build policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gen.ir import NO_POLICY, Issue, Policy, Redirect, Respond

Risk = Literal["low", "medium", "high", "critical"]
Scope = Literal["route", "host", "upstream"]
Values = Mapping[str, Any]


class Annotation(Struct, frozen=True):
    """One annotation that gen honours.

    Shape: `name` is without the prefix; `parse` gives the value or raises BadValue; `bad_value` says what follows
    from that: "reject" drops the whole Ingress, "close" answers 503 on its routes, "ignore" leaves the default.
    """

    name: str
    parse: Callable[[str], object]
    scope: Scope
    risk: Risk
    doc: str
    aliases: tuple[str, ...] = ()
    bad_value: Literal["reject", "close", "ignore"] = "reject"


class Outcome(Struct, frozen=True):
    """What a family makes of its values: fields of ir.Policy, or an action in the place of forwarding."""

    policy: Mapping[str, object] = {}
    action: Redirect | Respond | None = None


class Family(Struct, frozen=True):
    """Annotations that are understood together; `build` may raise BadValue when they contradict each other."""

    rows: tuple[Annotation, ...]
    build: Callable[[Values], Outcome]


class Effects(Struct, frozen=True):
    """What all annotations of one Ingress amount to; `action` None means to forward."""

    policy: Policy = NO_POLICY
    action: Redirect | Respond | None = None
    is_rejected: bool = False
    issues: tuple[Issue, ...] = ()


def combine(outcomes: tuple[Outcome, ...]) -> tuple[Policy, Redirect | Respond | None]:
    """One policy and at most one action: the first family that has an action wins."""
    fields = {name: value for outcome in outcomes for name, value in outcome.policy.items()}
    action = next((outcome.action for outcome in outcomes if outcome.action is not None), None)
    return (msgspec.structs.replace(NO_POLICY, **fields) if fields else NO_POLICY), action
