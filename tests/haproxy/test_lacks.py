"""What HAProxy does not do of a policy is told, and closes what it would leave open."""

from __future__ import annotations

import pytest

from backends.haproxy.lacks import lacks
from gen.ir import HostPolicy, Options, Policy
from gen.policy import (
    Affinity,
    BasicAuth,
    ErrorPages,
    ExternalAuth,
    Gzip,
    Mirror,
    RateLimit,
    Retries,
    Timeouts,
    UpstreamTls,
)

LIMITS = tuple(RateLimit(str(number), 1, 1.0, 1) for number in range(4))
SHA = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="


@pytest.mark.parametrize(("part", "field", "closes"), [
    (Policy(auth_basic=BasicAuth("", (), "digest")), "auth_basic.scheme", True),
    (Policy(auth_basic=BasicAuth("", (("a", SHA), ("b", "$9$x")))), "auth_basic.users", False),
    (Policy(rate_limits=LIMITS), "rate_limits", True),
    (Policy(upstream_tls=UpstreamTls(verify=True)), "upstream_tls.verify_depth", False),
    (Policy(mirror=Mirror("u", (), ())), "mirror.body", False),
    (Policy(error_pages=ErrorPages((404,), "u")), "error_pages", False),
    (Policy(affinity=Affinity(change_on_failure=True)), "affinity.change_on_failure", False),
    (Policy(timeouts=Timeouts(send=3)), "timeouts.send", False),
    (Policy(retries=Retries(("error",), timeout=3)), "retries.timeout", False),
    (Policy(retries=Retries(("error", "http_429"))), "retries.conditions", False),
    (HostPolicy(prefer_server_ciphers=False), "prefer_server_ciphers", False),
    (Options(gzip=Gzip()), "gzip.min_length", False),
    (Options(retry_conditions=("http_429",)), "retry_conditions", False),
])  # fmt: skip
def test_what_is_not_done_is_told(part: Policy | HostPolicy | Options, field: str, closes: bool) -> None:
    assert [(lack.field, lack.closes) for lack in lacks(part)] == [(field, closes)]


@pytest.mark.parametrize("part", [
    Policy(),
    HostPolicy(prefer_server_ciphers=True),
    Options(retry_conditions=("error", "timeout", "non_idempotent")),
    Policy(auth_basic=BasicAuth("", (("a", SHA),)), auth_external=ExternalAuth("u", (), ()), rate_limits=LIMITS[:3]),
    Policy(timeouts=Timeouts(1, 2, 2), retries=Retries(("error",)), affinity=Affinity(), body_limit=1),
    Policy(affinity=Affinity(persistent=True, change_on_failure=True), upstream_tls=UpstreamTls()),
])  # fmt: skip
def test_what_is_done_is_not_told(part: Policy | HostPolicy | Options) -> None:
    assert not list(lacks(part))
