"""How much one client may ask for."""

from __future__ import annotations

from functools import partial

from gen.dialects import values
from gen.dialects.annotation import Annotation, BadValueMode, Closing, Family, Outcome, Values
from gen.policy import Bandwidth, ConnectionLimit, RateLimit

_number = partial(values.natural, most=10_000_000)


def _build(found: Values) -> Outcome:
    """Zero is no limit; all routes of an Ingress share their buckets."""
    if found.is_strict and any(found.get(name) == 0 for name in ("limit-rps", "limit-rpm", "limit-connections")):
        raise Closing("AnnotationInvalid", "a limit of 0 would let nothing or everything through")
    exempt = found.get("limit-allowlist", ())
    owner = f"{found.namespace}/{found.name}"
    burst, status = found.get("limit-burst-multiplier", 5), found.settings["limit-req-status-code"]
    rates = tuple(
        RateLimit(f"{owner}/{unit}", rate, period, rate * burst, status, exempt)
        for unit, period in (("rps", 1.0), ("rpm", 60.0))
        if (rate := found.get(f"limit-{unit}"))
    )
    policy: dict[str, object] = {"rate_limits": rates} if rates else {}
    if most := found.get("limit-connections"):
        status = found.settings["limit-conn-status-code"]
        policy["connection_limit"] = ConnectionLimit(f"{owner}/connections", most, status, exempt)
    if rate := found.effective("limit-rate"):
        policy["bandwidth"] = Bandwidth(rate * 1024, found.effective("limit-rate-after") * 1024)
    return Outcome(policy)


def _row(
    name: str, parse: values.Parser, fills: str, doc: str, default: str = "0", *, mode: BadValueMode = "reject"
) -> Annotation:
    return Annotation(name, parse, "route", "low", fills, doc, default, mode)


FAMILY = Family(
    (
        _row("limit-rps", _number, "rate_limits", "Requests a second from one client; beyond, 503."),
        _row("limit-rpm", _number, "rate_limits", "Requests a minute from one client; beyond, 503."),
        _row("limit-burst-multiplier", partial(values.natural, least=1, most=10_000), "rate_limits",
             "So many times the limit may come at once.", "5", mode="ignore"),
        _row("limit-connections", _number, "connection_limit", "Requests at a time from one client; beyond, 503."),
        Annotation("limit-allowlist", values.networks, "route", "low", "rate_limits", "Networks without limits.", "",
                   "reject", ("limit-whitelist",)),
        _row("limit-rate", _number, "bandwidth", "KB a second of one response.", "the ConfigMap's limit-rate",
             mode="ignore"),
        _row("limit-rate-after", _number, "bandwidth", "KB of a response at full speed.",
             "the ConfigMap's limit-rate-after", mode="ignore"),
    ),
    _build,
    always=True,
)  # fmt: skip
