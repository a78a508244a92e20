"""The policy of a backend as lines, in the order in which ingress-nginx decides."""

from __future__ import annotations

from backends.haproxy import access, answers, reach
from backends.haproxy.draft import Draft
from backends.haproxy.routes import Target, is_plain
from gen.ir import Certificate, Redirect, Respond, Upstream


def decide(target: Target, subject: Upstream | Redirect | Respond, certificate: Certificate | None) -> Draft:
    """Everything that the policy of a target asks for.  Raises BadValue."""
    policy = target.policy
    draft = Draft(policy.error_pages)
    if is_plain(policy):
        return draft
    answers.told(draft, policy)
    if policy.access_log is False:
        draft.add("http-request set-log-level silent")
    if policy.cors:
        answers.cross_origin(draft, policy.cors)
    if isinstance(subject, Redirect):
        return draft
    if policy.error_pages:
        answers.pages(draft, policy.error_pages)
    if policy.https_redirect:
        answers.to_https(draft, policy.https_redirect)
    if isinstance(subject, Upstream):
        draft.deny(503, "if { nbsrv eq 0 }")
    elif subject.status == 503:
        draft.replace(503)
        return draft
    answers.groups(draft, policy, target.regex)
    access.limits(draft, policy)
    access.access(draft, policy)
    if isinstance(subject, Upstream):
        towards(draft, target, subject, certificate)
    else:
        draft.replace(subject.status)
    return draft


def towards(draft: Draft, target: Target, upstream: Upstream, certificate: Certificate | None) -> None:
    """What comes after all that may refuse a request.  Raises BadValue."""
    policy = target.policy
    answers.limit_body(draft, policy.body_limit)
    if policy.mirror:
        answers.copy(draft, policy.mirror)
    answers.onwards(draft, policy)
    answers.backwards(draft, policy)
    reach.chosen(draft, policy, upstream)
    reach.protocol(draft, policy, upstream, certificate)
    if policy.timeouts:
        reach.patience(draft, policy.timeouts)
    reach.once(draft, policy.retries)
    if policy.retries:
        reach.again(draft, policy.retries)
