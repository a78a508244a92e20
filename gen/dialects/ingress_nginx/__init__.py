"""The annotations of ingress-nginx: `read` turns those of one Ingress into a policy, an action, and issues."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from gen.dialects import values
from gen.dialects.annotation import Annotation, Effects, Family, Outcome, combine
from gen.dialects.ingress_nginx import known, redirects, upstream
from gen.errors import BadValue
from gen.ir import NO_POLICY, Issue, Policy, Redirect, Respond, Severity, Source

PREFIX = "nginx.ingress.kubernetes.io"
FAMILIES: tuple[Family, ...] = (redirects.FAMILY, upstream.FAMILY)
ROWS: dict[str, Annotation] = {row.name: row for family in FAMILIES for row in family.rows}
_NAMES = {alias: row.name for row in ROWS.values() for alias in row.aliases} | known.ALIASES
_CLOSED = Respond(503)
NOTHING = Effects()


def read(annotations: Mapping[str, str] | None, prefix: str, source: Source) -> Effects:
    """What the annotations under a prefix ask for.

    Shape: `source` is the Ingress.  A closed route (503) beats every other action.
    """
    if not annotations:
        return NOTHING
    lead = prefix + "/"
    ours = {key[len(lead) :]: value for key, value in annotations.items() if key.startswith(lead)}
    return _Reading(lead, source).result(ours) if ours else NOTHING


class _Reading:
    """The reading of one Ingress, while it goes on."""

    def __init__(self, lead: str, source: Source) -> None:
        self._lead = lead
        self._source = source
        self._issues: list[Issue] = []
        self._is_rejected = False
        self._is_closed = False

    def result(self, ours: Mapping[str, str]) -> Effects:
        found: dict[str, object] = {}
        for given in sorted(ours, key=lambda name: (name in _NAMES, name)):
            name, text = _NAMES.get(given, given), ours[given].strip()
            if name in ROWS:
                self._parse(ROWS[name], given, text, found)
            else:
                self._refuse(name, given, text)
        policy, action = self._built(found)
        return Effects(policy, _CLOSED if self._is_closed else action, self._is_rejected, tuple(self._issues))

    def _parse(self, row: Annotation, given: str, text: str, found: dict[str, object]) -> None:
        if not text or row.name in found:
            return
        try:
            found[row.name] = row.parse(text)
        except BadValue as fault:
            self._is_rejected |= row.bad_value == "reject"
            self._is_closed |= row.bad_value == "close"
            severity: Severity = "warning" if row.bad_value == "ignore" else "error"
            self._say(given, "AnnotationInvalid", str(fault), severity)

    def _built(self, found: Mapping[str, object]) -> tuple[Policy, Redirect | Respond | None]:
        outcomes: list[Outcome] = []
        for family in FAMILIES if found else ():
            try:
                outcomes.append(family.build(found))
            except BadValue as fault:
                self._is_rejected = True
                self._say(family.rows[0].name, fault.code, str(fault), "error")
        return combine(tuple(outcomes)) if outcomes else (NO_POLICY, None)

    def _refuse(self, name: str, given: str, text: str) -> None:
        """An annotation that gen does not honour: say so, as loudly as ignoring it would be dangerous."""
        if name not in known.RISKS:
            near = get_close_matches(name[:64], known.RISKS, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            self._say(given, "AnnotationUnknown", f"{values.shown(given)} is not an annotation that gen knows{hint}")
        elif name in known.SNIPPETS:
            self._is_rejected = True
            self._say(given, "SnippetDenied", "raw configuration is never rendered", "error")
        elif text in known.OFF:
            return
        elif name in known.SECURITY:
            self._is_closed = True
            self._say(given, "AnnotationUnsupported", f"{name} is not supported, so the routes answer 503", "error")
        elif name == "canary":
            self._is_rejected = True
            self._say(given, "AnnotationUnsupported", "canaries are not supported, so this one gets nothing", "error")
        else:
            self._say(given, "AnnotationUnsupported", f"{name} is not supported and has no effect")

    def _say(self, given: str, code: str, message: str, severity: Severity = "warning") -> None:
        key = given if given.isascii() and given.isprintable() else values.shown(given)
        field = f"metadata.annotations[{self._lead}{key}]"
        self._issues.append(Issue(self._source.at(field), code, message, severity))
