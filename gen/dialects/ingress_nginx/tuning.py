"""How the proxy talks to upstreams: timeouts, retries, bodies, buffers."""

from __future__ import annotations

from functools import partial

from gen.dialects import values
from gen.dialects.annotation import Annotation, BadValueMode, Family, Outcome, Risk, Values
from gen.errors import BadValue
from gen.policy import Buffering, Retries, Timeouts

CONDITIONS = (
    "error", "timeout", "invalid_header", "http_500", "http_502", "http_503", "http_504", "http_403", "http_404",
    "http_429", "non_idempotent", "off",
)  # fmt: skip
_BUFFERS = {
    "proxy-request-buffering": "request",
    "proxy-buffering": "response",
    "client-body-buffer-size": "request_memory",
    "proxy-buffer-size": "buffer_size",
    "proxy-buffers-number": "buffers",
    "proxy-busy-buffers-size": "busy_size",
    "proxy-max-temp-file-size": "file_size",
}


def conditions(text: str) -> tuple[str, ...]:
    """When to try again, in nginx's words; () never.  Raises: BadValue (AnnotationInvalid)."""
    found = tuple(dict.fromkeys(text.split()))
    for word in found:
        if word not in CONDITIONS:
            raise BadValue("AnnotationInvalid", f"{values.shown(word)} is none of {', '.join(CONDITIONS)}")
    return () if "off" in found else found


def _build(found: Values) -> Outcome:
    """Only what the annotations say: the rest is the proxy-wide value."""
    policy: dict[str, object] = {}
    timeouts = Timeouts(*(found.get(f"proxy-{kind}-timeout") for kind in ("connect", "read", "send")))
    if timeouts != Timeouts():
        policy["timeouts"] = timeouts
    if found.has(("proxy-next-upstream", "proxy-next-upstream-tries", "proxy-next-upstream-timeout")):
        policy["retries"] = Retries(
            found.effective("proxy-next-upstream"),
            found.effective("proxy-next-upstream-tries"),
            float(found.effective("proxy-next-upstream-timeout")),
        )
    if found.has(_BUFFERS):
        policy["buffering"] = Buffering(**{field: found.get(name) for name, field in _BUFFERS.items()})
    if found.has(("proxy-body-size",)):
        policy["body_limit"] = found.get("proxy-body-size")
    if found.get("proxy-http-version") == "1.0":
        policy["http_version"] = "1.0"
    return Outcome(policy)


def _row(name: str, parse: values.Parser, fills: str, doc: str, risk: Risk = "low") -> Annotation:
    default = f"the ConfigMap's {name}"
    mode: BadValueMode = "reject" if name == "client-body-buffer-size" else "ignore"
    return Annotation(name, parse, "route", risk, fills, doc, default, mode)


FAMILY = Family(
    (
        _row("proxy-connect-timeout", values.seconds, "timeouts", "Seconds to connect to an endpoint."),
        _row("proxy-send-timeout", values.seconds, "timeouts", "Seconds between two writes to the upstream."),
        _row("proxy-read-timeout", values.seconds, "timeouts", "Seconds between two reads from the upstream."),
        _row("proxy-next-upstream", conditions, "retries", "When the next endpoint is tried: " + " ".join(CONDITIONS) +
             ".", "medium"),
        _row("proxy-next-upstream-tries", partial(values.natural, most=1000), "retries",
             "Tries in all; 0 is no limit."),
        _row("proxy-next-upstream-timeout", partial(values.natural, most=1_000_000), "retries",
             "Seconds for all tries; 0 is no limit."),
        _row("proxy-body-size", values.size, "body_limit", "The largest request body; beyond, 413. 0 is no limit.",
             "medium"),
        _row("client-body-buffer-size", values.size, "buffering", "Memory for a request body.", "medium"),
        _row("proxy-request-buffering", values.switch, "buffering",
             "Whether request bodies are read before they go on."),
        _row("proxy-buffering", values.switch, "buffering", "Whether answers are held back."),
        _row("proxy-buffers-number", partial(values.natural, least=1, most=1024), "buffering",
             "Buffers for an answer."),
        _row("proxy-buffer-size", values.size, "buffering", "The size of a buffer, the headers of an answer in one."),
        _row("proxy-busy-buffers-size", values.size, "buffering", "How much of them may be busy sending."),
        _row("proxy-max-temp-file-size", values.size, "buffering", "The largest temporary file for an answer."),
        _row("proxy-http-version", values.one_of("1.0", "1.1"), "http_version", "The version of HTTP to the upstream."),
    ),
    _build,
)  # fmt: skip
