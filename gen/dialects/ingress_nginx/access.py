"""Who may pass by address: allow and deny lists, and whether one kind of proof is enough."""

from __future__ import annotations

from gen.dialects import values
from gen.dialects.annotation import Annotation, Closing, Family, Outcome, Values
from gen.errors import BadValue


def _networks(text: str) -> tuple[str, ...]:
    found = values.networks(text)
    if not found:
        raise BadValue("AnnotationInvalid", "the list of networks is empty")
    return found


def _build(found: Values) -> Outcome:
    allow = found.get("allowlist-source-range") or found.settings["whitelist-source-range"]
    deny = found.get("denylist-source-range") or found.settings["denylist-source-range"]
    satisfy = found.get("satisfy")
    if satisfy and found.is_strict and not (allow or deny or found.has(("auth-type", "auth-url"))):
        raise Closing("AnnotationInvalid", "satisfy has nothing to choose from")
    policy = {"allow": allow or None, "deny": deny or None, "satisfy_any": satisfy == "any" or None}
    return Outcome({name: value for name, value in policy.items() if value})


FAMILY = Family(
    (
        Annotation(
            "allowlist-source-range", _networks, "route", "medium", "allow",
            "Only these networks may pass, the rest gets 403.",
            "the ConfigMap's whitelist-source-range", "close", ("whitelist-source-range",),
        ),
        Annotation(
            "denylist-source-range", _networks, "route", "medium", "deny",
            "These networks get 403; they count before the allow list.",
            "the ConfigMap's denylist-source-range", "close",
        ),
        Annotation(
            "satisfy", values.one_of("any", "all"), "route", "low", "satisfy_any",
            "any: one of address, password and external authentication is enough; all: each of them is needed.", "all",
        ),
    ),
    _build,
    always=True,
)  # fmt: skip
