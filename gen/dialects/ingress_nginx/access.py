"""Who may pass by address: allow and deny lists, and whether one kind of proof is enough."""

from __future__ import annotations

from ipaddress import ip_network

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.errors import BadValue

MOST_NETWORKS = 1000


def networks(text: str) -> tuple[str, ...]:
    """Networks in canonical form, without repetition, in the order given.

    Raises: BadValue (AnnotationInvalid) for anything that is not a comma-separated list of addresses and CIDRs.
    """
    values.plain(text, limit=64 * 1024)
    entries = [entry.strip() for entry in text.split(",")]
    if len(entries) > MOST_NETWORKS:
        raise BadValue("AnnotationInvalid", f"the list has more than {MOST_NETWORKS} networks")
    return tuple(dict.fromkeys(_network(entry) for entry in entries if entry))


def _network(text: str) -> str:
    if not text.isascii() or "%" in text:
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not an address or a CIDR")
    try:
        return str(ip_network(text, strict=False))
    except ValueError as error:
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not an address or a CIDR") from error


def _satisfy(text: str) -> bool:
    if text not in {"any", "all"}:
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is neither any nor all")
    return text == "any"


def _build(found: Values) -> Outcome:
    policy = {
        "allow": found.get("allowlist-source-range") or None,
        "deny": found.get("denylist-source-range") or None,
        "satisfy_any": found.get("satisfy") or None,
    }
    return Outcome(policy={name: value for name, value in policy.items() if value is not None})


FAMILY = Family(
    rows=(
        Annotation(
            "allowlist-source-range",
            networks,
            "route",
            "medium",
            "Only these networks may pass, the rest gets 403.",
            aliases=("whitelist-source-range",),
            bad_value="close",
        ),
        Annotation(
            "denylist-source-range",
            networks,
            "route",
            "medium",
            "These networks get 403; they count before the allow list.",
            bad_value="close",
        ),
        Annotation(
            "satisfy",
            _satisfy,
            "route",
            "low",
            "any: one of address, password and external authentication is enough; all: each of them is needed.",
            bad_value="ignore",
        ),
    ),
    build=_build,
)
