"""What answers.lua is told of a route: how it is answered whoever asks, and what its answers say."""

from __future__ import annotations

from collections.abc import Iterable

from backends.envoy import captures, clients, pages, syntax
from backends.envoy.redirects import redirect
from backends.envoy.syntax import Json
from backends.envoy.ways import Clusters
from gen.ir import NO_POLICY, Forward, Redirect, Respond, Route
from gen.policy import ClientCertificate, Cors, HttpsRedirect


def per_filter(route: Route, clusters: Clusters, client: ClientCertificate | None) -> Json:
    """The entry for answers.lua, if it has anything to do.  Raises BadValue."""
    asked: Json = {"client": clients.told(client)} if client else {}
    asked |= pages.told(route.policy, clusters)
    policy = route.policy
    if isinstance(route.action, Redirect):
        asked["redirect"] = redirect(route.action)
    if policy.cors:
        asked["cors"] = cross_origin(policy.cors)
    if policy.response_headers:
        asked["headers"] = headers(policy.response_headers)
    if policy.https_redirect and not isinstance(route.action, Redirect):
        asked["https"] = https(policy.https_redirect)
    if is_out_of_service(route, clusters.idle):
        asked["is_out_of_service"] = True
    if groups := captures.per_filter(route):
        asked["captures"] = True
    return {**(syntax.told("answers", **asked) if asked else {}), **groups}


def is_out_of_service(route: Route, idle: frozenset[str]) -> bool:
    """Whether nobody gets an answer, and some might be refused for another reason if it were not said first."""
    if route.policy is NO_POLICY:
        return False
    match route.action:
        case Forward(split):
            return all(part.upstream in idle for part in split if part.weight > 0)
        case Respond(status):
            return status == 503
    return False


def headers(pairs: Iterable[tuple[str, str]]) -> list[Json]:
    """Headers of answers.  Raises BadValue."""
    return [{"name": syntax.header_name(name), "value": syntax.header_value(value)} for name, value in pairs]


def https(redirect: HttpsRedirect) -> Json:
    """How plain HTTP is sent to HTTPS."""
    port = f":{syntax.port(redirect.port)}" if redirect.port else ""
    return {"status": str(redirect.status), "port": port, "keep_slash": redirect.keep_slash}


def cross_origin(cors: Cors) -> Json:
    """Who may read answers, and what they are told.  Raises BadValue."""
    told = [
        *([("access-control-allow-credentials", "true")] if cors.credentials else []),
        ("access-control-allow-methods", cors.methods),
        ("access-control-allow-headers", cors.headers),
        *([("access-control-expose-headers", cors.expose)] if cors.expose else []),
        ("access-control-max-age", str(cors.max_age)),
    ]
    origins = {"origins": [origin(each) for each in cors.origins]} if cors.origins else {}
    return {"headers": headers(told), **origins}


def origin(text: str) -> Json:
    """An origin, in lower case; `*.` is one label."""
    scheme, found, rest = syntax.bounded(text.lower()).partition("://*.")
    return {"before": f"{scheme}://", "after": f".{rest}"} if found else {"whole": text.lower()}
