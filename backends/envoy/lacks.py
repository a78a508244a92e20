"""What Envoy does not do of the policies that it knows."""

from __future__ import annotations

from collections.abc import Iterator

from backends.envoy.access import HASH
from backends.envoy.bodies import HELD
from backends.envoy.handshakes import ciphers
from backends.envoy.onwards import STATUSES
from backends.envoy.trust import EVERYBODY
from gen.backend import Lack
from gen.ir import HostPolicy, Options, Policy
from gen.policy import Retries

COPY = "1 MiB"
"""Up to this size a body is held for a copy."""

REASONS = frozenset(("error", "timeout", "non_idempotent", "off", *STATUSES))


def lacks(part: Policy | HostPolicy | Options) -> Iterator[Lack]:
    """See gen.backend.Backend."""
    match part:
        case Policy():
            yield from of_access(part)
            yield from of_requests(part)
        case HostPolicy():
            if part.ciphers and not ciphers(part.ciphers):
                yield Lack("ciphers", "are none that this proxy has, so that only TLS 1.3 is spoken")
        case Options():
            if part.tls_ciphers and not ciphers(part.tls_ciphers):
                yield Lack("tls_ciphers", "are none that this proxy has, so that only TLS 1.3 is spoken")
            if part.proxy_protocol is not None and EVERYBODY.isdisjoint(part.proxy_protocol):
                yield Lack("proxy_protocol", "is for these networks alone: all other peers are refused")


def of_access(policy: Policy) -> Iterator[Lack]:
    """What concerns who may pass."""
    if policy.auth_basic:
        if policy.auth_basic.scheme != "basic":
            yield Lack("auth_basic.scheme", "digest is not supported", closes=True)
        for name, known in policy.auth_basic.users:
            if not HASH.fullmatch(known):
                yield Lack("auth_basic.users", f"has a hash for {name} of an unknown kind, so no password fits")
    if policy.auth_external and policy.auth_external.cache_key:
        yield Lack("auth_external.cache_key", "has no effect: each request is asked about")
    if len({limit.exempt for limit in policy.rate_limits or ()}) > 1:
        yield Lack("rate_limits", "of one route exempt different networks", closes=True)
    if policy.error_pages and policy.error_pages.upstream:
        yield Lack("error_pages", "are asked for without the body of the request, and not for one that is too large")
    if policy.bandwidth and policy.bandwidth.after:
        yield Lack("bandwidth.after", "has no effect: the limit counts from the first byte on")
    if policy.body_limit and policy.body_limit > HELD:
        yield Lack("body_limit", f"is {HELD} for a body of unknown size, which is held in memory")


def of_requests(policy: Policy) -> Iterator[Lack]:
    """What concerns the way to the upstream and back."""
    if policy.protocol == "fcgi":
        yield Lack("protocol", "FastCGI is not spoken", closes=True)
    if policy.mirror and policy.mirror.body:
        yield Lack("mirror.body", f"is limited: no copy is made of a request with a body of more than {COPY}")
    if policy.affinity and policy.affinity.change_on_failure and not policy.affinity.persistent:
        yield Lack("affinity.change_on_failure", "is not honoured: another endpoint answers, the cookie stays as it is")
    if policy.timeouts and policy.timeouts.send not in (None, policy.timeouts.read):
        yield Lack("timeouts.send", "has no effect: the time for reading counts for both directions")
    if policy.retries:
        yield from of_retries(policy.retries)


def of_retries(retries: Retries) -> Iterator[Lack]:
    """What concerns further tries."""
    if retries.timeout:
        yield Lack("retries.timeout", "has no effect: each try has its own time")
    for each in retries.conditions:
        if each not in REASONS:
            yield Lack("retries.conditions", f"{each} is no reason to try again")
