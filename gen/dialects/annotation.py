"""What an annotation is, to every dialect: a row with its parser, gathered in families that build policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gen.dialects.wishes import CanaryRule, Wish
from gen.errors import BadValue
from gen.ir import NO_HOST_POLICY, NO_POLICY, HostPolicy, Issue, Policy, Redirect, Respond
from gen.policy import HttpsRedirect

Risk = Literal["low", "medium", "high", "critical"]
Scope = Literal["route", "host", "upstream"]
BadValueMode = Literal["reject", "close", "ignore"]


class Closing(BadValue):
    """A bad value for which the routes are closed, whatever its row says."""


class Annotation(Struct, frozen=True):
    """One annotation of a dialect.

    Shape: `name` is without the prefix; `parse` gives the value or raises BadValue; `bad_value` says what follows
    from that: "reject" drops the whole Ingress, "close" answers 503 on its routes, "ignore" leaves the default (and
    drops the Ingress in a strict profile).  `fills` is a word of gen.fit, or "action" or "match", or "" where
    `unsupported` says why the annotation has no effect.  `default` is how it behaves when absent.
    """

    name: str
    parse: Callable[[str], object]
    scope: Scope
    risk: Risk
    fills: str
    doc: str
    default: str = ""
    bad_value: BadValueMode = "ignore"
    aliases: tuple[str, ...] = ()
    unsupported: str = ""


class Values:
    """The values of one Ingress, and what holds for all.

    Shape: `settings` has every key of the global ConfigMap with its effective value; `is_strict` means that what
    contradicts itself is a fault instead of nothing.
    """

    __slots__ = ("_found", "allow_loopback", "is_strict", "name", "namespace", "settings")

    def __init__(
        self,
        found: Mapping[str, Any],
        settings: Mapping[str, Any],
        place: tuple[str, str] = ("", ""),
        *,
        is_strict: bool = False,
        allow_loopback: bool = True,
    ) -> None:
        self._found = found
        self.settings = settings
        self.namespace, self.name = place
        self.is_strict = is_strict
        self.allow_loopback = allow_loopback

    def get(self, name: str, default: Any = None) -> Any:
        """What the annotation says, else the default."""
        return self._found.get(name, default)

    def effective(self, name: str) -> Any:
        """What the annotation says, else the key of the ConfigMap that has its name."""
        return self._found.get(name, self.settings.get(name))

    def has(self, names: Iterable[str]) -> bool:
        """Whether one of these annotations has a value."""
        return any(name in self._found for name in names)


class Outcome(Struct, frozen=True):
    """What a family makes of its values.

    Shape: `policy` and `host` are fields of Policy and HostPolicy; `effects` are fields of Effects; `wishes` need an
    object or two before they become policies.
    """

    policy: Mapping[str, object] = {}
    action: Redirect | Respond | None = None
    host: Mapping[str, object] = {}
    effects: Mapping[str, object] = {}
    wishes: tuple[Wish, ...] = ()


class Family(Struct, frozen=True):
    """Annotations that are understood together.

    Shape: `build` may raise BadValue when they contradict each other.  `always`: it also builds where none of its
    annotations is there, from the settings alone.
    """

    rows: tuple[Annotation, ...]
    build: Callable[[Values], Outcome]
    always: bool = False


class Effects(Struct, frozen=True):
    """What all annotations of one Ingress amount to.

    Shape: `action` None means to forward.  `https` is the redirect where the host has a certificate; `app_root` is
    the one for "/" of its hosts; `aliases` and `alias_patterns` are more names of them; `www` asks for the redirect
    from or to the www name.  `canary`: the Ingress only adds to routes of others.  `uses_regex`: its paths are
    regexes.  `by_service`: Services are reached by their own address.  `relative`: redirects leave out the host.
    """

    policy: Policy = NO_POLICY
    action: Redirect | Respond | None = None
    host: HostPolicy = NO_HOST_POLICY
    https: HttpsRedirect | None = None
    app_root: Redirect | None = None
    aliases: tuple[str, ...] = ()
    alias_patterns: tuple[str, ...] = ()
    www: Redirect | None = None
    canary: CanaryRule | None = None
    uses_regex: bool = False
    by_service: bool = False
    relative: bool = False
    wishes: tuple[Wish, ...] = ()
    is_rejected: bool = False
    issues: tuple[Issue, ...] = ()


def combine(outcomes: Iterable[Outcome]) -> Effects:
    """One outcome of all: the first family that has an action wins."""
    policy: dict[str, Any] = {}
    host: dict[str, Any] = {}
    effects: dict[str, Any] = {}
    wishes: list[Wish] = []
    action: Redirect | Respond | None = None
    for outcome in outcomes:
        policy.update(outcome.policy)
        host.update(outcome.host)
        effects.update(outcome.effects)
        wishes.extend(outcome.wishes)
        action = action or outcome.action
    return Effects(
        msgspec.structs.replace(NO_POLICY, **policy) if policy else NO_POLICY,
        action,
        msgspec.structs.replace(NO_HOST_POLICY, **host) if host else NO_HOST_POLICY,
        wishes=tuple(wishes),
        **effects,
    )
