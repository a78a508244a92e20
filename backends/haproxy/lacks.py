"""What HAProxy does not do of the policies that it knows."""

from __future__ import annotations

from collections.abc import Iterator

from backends.haproxy.access import COUNTERS, is_known
from backends.haproxy.reach import CONDITIONS
from gen.backend import Lack
from gen.ir import HostPolicy, Options, Policy
from gen.policy import Retries

BUFFER = "12 kB"
"""What HAProxy holds of a body at a time."""

UNREACHABLE = frozenset((502, 503, 504))
"""What HAProxy answers for an upstream that does not."""


def lacks(part: Policy | HostPolicy | Options) -> Iterator[Lack]:
    """See gen.backend.Backend."""
    match part:
        case Policy():
            yield from of_access(part)
            yield from of_requests(part)
        case HostPolicy():
            if part.prefer_server_ciphers is False:
                yield Lack("prefer_server_ciphers", "cannot be turned off for one host")
        case Options():
            if part.gzip and part.gzip.min_length:
                yield Lack("gzip.min_length", "is not honoured: short answers are compressed, too")
            if part.retry_conditions:
                yield from of_conditions("retry_conditions", part.retry_conditions)


def of_access(policy: Policy) -> Iterator[Lack]:
    """What concerns who may pass."""
    if policy.auth_basic:
        if policy.auth_basic.scheme != "basic":
            yield Lack("auth_basic.scheme", "digest is not supported", closes=True)
        for name, known in policy.auth_basic.users:
            if not is_known(known):
                yield Lack("auth_basic.users", f"has a hash for {name} of an unknown kind, so no password fits")
    if len(policy.rate_limits or ()) + bool(policy.connection_limit) > COUNTERS:
        yield Lack("rate_limits", f"are more than the {COUNTERS} that can be counted", closes=True)
    if policy.upstream_tls and policy.upstream_tls.verify:
        yield Lack("upstream_tls.verify_depth", "is not checked: a chain may have any length")


def of_requests(policy: Policy) -> Iterator[Lack]:
    """What concerns the way to the upstream and back."""
    if policy.mirror and policy.mirror.body:
        yield Lack(
            "mirror.body",
            f"is limited: no copy is made of a request with a body of more than {BUFFER}, or of unknown size",
        )
    if policy.error_pages and policy.error_pages.upstream:
        if not UNREACHABLE.isdisjoint(policy.error_pages.statuses):
            yield Lack("error_pages.statuses", "are replaced where the upstream answers with them, not where it cannot")
        yield Lack("error_pages", f"are asked for without the body of a request of more than {BUFFER}")
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
    yield from of_conditions("retries.conditions", retries.conditions)


def of_conditions(field: str, conditions: tuple[str, ...]) -> Iterator[Lack]:
    """Answers after which nothing is tried again."""
    for each in conditions:
        if each not in CONDITIONS and each != "non_idempotent":
            yield Lack(field, f"{each} is no reason to try again")
