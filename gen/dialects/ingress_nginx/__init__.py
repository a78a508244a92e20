"""The annotations of ingress-nginx: `read` turns those of one Ingress into a policy, an action, and issues."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import msgspec

from gen.dialects import values
from gen.dialects.annotation import Annotation, Closing, Effects, Family, Outcome, Values, combine
from gen.dialects.ingress_nginx import (
    access,
    affinity,
    balance,
    basic_auth,
    canary,
    client_certificates,
    cors,
    error_pages,
    external_auth,
    headers,
    host_tls,
    https,
    known,
    limits,
    mirror,
    names,
    observing,
    protocol,
    redirects,
    rewrite,
    snippets,
    tuning,
)
from gen.dialects.ingress_nginx.ground import Ground
from gen.dialects.wishes import ClientCa
from gen.errors import BadValue
from gen.ir import NO_POLICY, Issue, Respond, Severity, Source

PREFIX = "nginx.ingress.kubernetes.io"
_MODULES = (
    redirects, https, rewrite, names, canary, access, basic_auth, external_auth, client_certificates, limits, cors,
    headers, error_pages, mirror, affinity, balance, protocol, tuning, host_tls, observing, snippets,
)  # fmt: skip
FAMILIES: tuple[Family, ...] = tuple(module.FAMILY for module in _MODULES)
TITLES = tuple((module.__doc__ or "").partition("\n")[0] for module in _MODULES)
"""What each family is about."""
ROWS: dict[str, Annotation] = {row.name: row for family in FAMILIES for row in family.rows}
ALIASES = {alias: row.name for row in ROWS.values() for alias in row.aliases}
_PLACES = {row.name: place for place, family in enumerate(FAMILIES) for row in family.rows}
_ALWAYS = frozenset(place for place, family in enumerate(FAMILIES) if family.always)
_CLOSED = Respond(503)
NOTHING = Effects()


def read(
    annotations: Mapping[str, str] | None, source: Source, ground: Ground, without: Effects | None = None
) -> Effects:
    """What the annotations of an Ingress ask for, over what holds for all.

    Shape: `source` is the Ingress, `without` the effects of none, where they are known already.  A closed route (503)
    beats every other action.
    """
    lead = f"{ground.prefix}/"
    ours = {key[len(lead) :]: value for key, value in (annotations or {}).items() if key.startswith(lead)}
    if not ours and without is not None:
        return without
    return _Reading(lead, source, ground).result(ours)


def _closed(effects: Effects) -> Effects:
    """503 on every route; what protects the whole host stays, for other Ingresses have routes there."""
    policy = msgspec.structs.replace(NO_POLICY, cors=effects.policy.cors)
    wishes = tuple(wish for wish in effects.wishes if isinstance(wish, ClientCa))
    return msgspec.structs.replace(effects, policy=policy, action=_CLOSED, https=None, wishes=wishes)


class _Reading:
    """The reading of one Ingress, while it goes on."""

    def __init__(self, lead: str, source: Source, ground: Ground) -> None:
        self._lead = lead
        self._source = source
        self._ground = ground
        self._issues: list[Issue] = []
        self._is_rejected = False
        self._is_closed = False

    def result(self, ours: Mapping[str, str]) -> Effects:
        found: dict[str, object] = {}
        for given in sorted(ours, key=lambda name: (name in ALIASES, name)):
            name, text = ALIASES.get(given, given), ours[given].strip()
            if name not in ROWS:
                self._refuse(given)
            elif name not in found:
                self._parse(ROWS[name], given, text, found)
        effects = combine(self._built(found))
        if self._is_closed:
            effects = _closed(effects)
        if self._issues:
            effects = msgspec.structs.replace(effects, is_rejected=self._is_rejected, issues=tuple(self._issues))
        return effects

    def _parse(self, row: Annotation, given: str, text: str, found: dict[str, object]) -> None:
        try:
            if text:
                self._ground.admit(row, text, self._source.namespace)
                value = row.parse(text)
                if row.unsupported and text not in known.OFF:
                    self._say(given, "AnnotationUnsupported", f"{row.name} has no effect: {row.unsupported}")
                found[row.name] = value
            elif row.bad_value == "close" and row.fills != "waf" and self._ground.is_strict:
                self._blame(row, given, BadValue("AnnotationInvalid", f"{row.name} is empty"))
        except BadValue as fault:
            self._blame(row, given, fault)

    def _blame(self, row: Annotation, given: str, fault: BadValue) -> None:
        """What follows from a bad value: as the row says, or more where it is denied or the profile is strict."""
        mode = row.bad_value
        if isinstance(fault, Closing):
            mode = "close"
        elif fault.code in {"SnippetDenied", "AnnotationDenied"} or (self._ground.is_strict and mode == "ignore"):
            mode = "reject"
        self._is_rejected |= mode == "reject"
        self._is_closed |= mode == "close"
        codes = {"AnnotationUnsupported", "SnippetDenied", "AnnotationDenied", "AddressDenied", "InvalidHost"}
        code = fault.code if fault.code in codes else "AnnotationInvalid"
        self._say(given, code, str(fault), "warning" if mode == "ignore" else "error")

    def _built(self, found: Mapping[str, object]) -> list[Outcome]:
        place = self._source.namespace, self._source.name
        ground = self._ground
        given = Values(found, ground.settings, place, is_strict=ground.is_strict, allow_loopback=ground.allow_loopback)
        outcomes: list[Outcome] = []
        for number in sorted(_ALWAYS.union(_PLACES[name] for name in found)):
            family = FAMILIES[number]
            try:
                outcomes.append(family.build(given))
            except BadValue as fault:
                row = next((row for row in family.rows if row.name in found), family.rows[0])
                self._blame(msgspec.structs.replace(row, bad_value="ignore"), row.name, fault)
        return outcomes

    def _refuse(self, given: str) -> None:
        """An annotation that gen does not know: one that looks like a protection closes the routes."""
        near = next(iter(get_close_matches(given[:64], [*ROWS, *ALIASES], n=1, cutoff=0.8)), "")
        message = f"{values.shown(given)} is not an annotation that gen knows"
        if near and known.is_security(ALIASES.get(near, near)):
            self._is_closed = True
            self._say(given, "AnnotationUnknown", f"{message}; did you mean {near}? The routes answer 503", "error")
        else:
            self._say(given, "AnnotationUnknown", f"{message}; did you mean {near}?" if near else message)

    def _say(self, given: str, code: str, message: str, severity: Severity = "warning") -> None:
        key = given if given.isascii() and given.isprintable() else values.shown(given)
        field = f"metadata.annotations[{self._lead}{key}]"
        self._issues.append(Issue(self._source.at(field), code, message, severity))
