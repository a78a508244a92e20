"""What upstream.lua is told of a route: what a request becomes for its upstream, and the answer on its way back."""

from __future__ import annotations

from backends.envoy import syntax
from backends.envoy.choices import mark
from backends.envoy.filters import EXTENSION, HTTP, SESSION
from backends.envoy.syntax import Format, Json
from backends.envoy.ways import Clusters, way_of_our_own
from gen.errors import BadValue
from gen.ir import NO_POLICY, Forward, Match, Policy, Route
from gen.policy import Affinity, CookieRewrite, Mirror, Retries, Text, Variable

SESSION_HEADER = "x-gen-session"
"""Between upstream.lua and the filter that knows which endpoint answered."""

STATUSES = {f"http_{status}": status for status in (403, 404, 429, 500, 502, 503, 504)}
STANDARD = frozenset(
    (
        *("x-original-forwarded-for", "x-original-forwarded-host", "x-forwarded-for", "x-real-ip"),
        *("x-forwarded-host", "x-forwarded-port", "x-forwarded-scheme", "x-scheme"),
    )
)
"""The headers that the route table sets after upstream.lua has run."""


def per_filter(route: Route, clusters: Clusters) -> Json:
    """What the filters after the checks of access do.  Raises BadValue."""
    policy = route.policy
    if policy is NO_POLICY or not isinstance(route.action, Forward):
        return {}
    asked = {**of_request(policy), **of_answer(policy)}
    if policy.affinity:
        asked["affinity"] = affinity(policy.affinity, mark(route))
    elif policy.hash_by:
        asked["hash"] = syntax.text(policy.hash_by)
        asked |= {"hash_subset": str(policy.hash_subset)} if policy.hash_subset else {}
    if policy.mirror:
        asked["mirror"] = mirror(policy.mirror, clusters)
    if policy.retries and (again := retries(policy.retries)):
        asked["retries"] = again
    return {**(syntax.told("upstream", **asked) if asked else {}), **choosing(policy)}


def of_request(policy: Policy) -> Json:
    """Host, path and headers for the upstream.  Raises BadValue."""
    asked: Json = {}
    if is_made(policy.upstream_host):
        asked["host"] = syntax.text(policy.upstream_host or ())
    if policy.rewrite is not None:
        asked["path"] = path(policy.rewrite)
    headers = [*(policy.request_headers or ())]
    if policy.forwarded_prefix:
        headers.append(("x-forwarded-prefix", policy.forwarded_prefix))
    if policy.connection_header:
        headers.append(("connection", (policy.connection_header,)))
    if headers:
        asked["headers"] = [header(name, value) for name, value in headers]
    return asked


def header(name: str, value: Text) -> Json:
    """A header for the upstream; one that the route table sets too is left to the route."""
    key = syntax.header_name(name)
    return {"name": key, "value": syntax.text(value), **({"is_late": True} if key in STANDARD else {})}


def late_headers(policy: Policy) -> list[Json]:
    """The headers that the route sets in the place of the route table's: another Host, and what upstream.lua left."""
    names = ["x-forwarded-host"] if is_made(policy.upstream_host) else []
    names += [key for name, _ in policy.request_headers or () if (key := name.lower()) in STANDARD]
    return [syntax.set_header(name, Format(f"%DYNAMIC_METADATA(gen:{name})%")) for name in dict.fromkeys(names)]


def path(pieces: Text) -> list[Json]:
    """A path that is put together of encoded pieces.  Raises BadValue."""
    made: Text = tuple(
        Match("exact", syntax.bounded(piece)).encoded if isinstance(piece, str) else piece for piece in pieces
    )
    first = made[0] if made else ""
    return syntax.text(made if isinstance(first, str) and first.startswith("/") else ("/", *made))


def is_made(text: Text | None) -> bool:
    """Whether a text depends on the request."""
    return any(isinstance(piece, Variable) for piece in text or ())


def retries(wanted: Retries) -> Json:
    """After which answers, and after which breaks of a connection, a request goes to another endpoint."""
    statuses = [str(STATUSES[each]) for each in wanted.conditions if each in STATUSES]
    words = ["reset"] if {"error", "timeout"} & set(wanted.conditions) else []
    words += ["retriable-status-codes"] if statuses else []
    told = {"words": ",".join(words), "statuses": ",".join(statuses)}
    return told | ({"any_method": True} if "non_idempotent" in wanted.conditions else {})


def mirror(wanted: Mirror, clusters: Clusters) -> Json:
    """Where a copy goes.  Raises BadValue."""
    return {
        "cluster": clusters.name(wanted.upstream, way_of_our_own(wanted.tls, wanted.host)),
        "host": syntax.text(wanted.host),
        "path": syntax.text(wanted.path or ("/",)),
        "has_body": wanted.body,
    }


# ------------------------------------------------------------------ the answer


def of_answer(policy: Policy) -> Json:
    """What becomes of the upstream's cookies and redirects.  Raises BadValue."""
    asked: Json = {}
    if policy.cookie_rewrites:
        asked["cookies"] = [cookie(each) for each in policy.cookie_rewrites]
    if policy.redirect_rewrites:
        asked["redirects"] = [
            {"old": syntax.bounded(each.old), "new": syntax.text(each.new)} for each in policy.redirect_rewrites
        ]
    return asked


def cookie(rewrite: CookieRewrite) -> Json:
    """A change of an attribute of cookies."""
    old = rewrite.old.removeprefix(".") if rewrite.attribute == "domain" else rewrite.old
    return {"attribute": rewrite.attribute, "old": syntax.bounded(old.lower()), "new": attribute(rewrite.new)}


# ------------------------------------------------------------------ which endpoint


def choosing(policy: Policy) -> Json:
    """What the filter behind upstream.lua does with the endpoint that a cookie names."""
    if not policy.affinity or not policy.affinity.persistent:
        return {}
    state = {"@type": f"{EXTENSION}http.stateful_session.header.v3.HeaderBasedSessionState", "name": SESSION_HEADER}
    session = {"session_state": {"name": "envoy.http.stateful_session.header", "typed_config": state}}
    return {SESSION: {"@type": f"{HTTP}stateful_session.v3.StatefulSessionPerRoute", "stateful_session": session}}


def affinity(wanted: Affinity, mark: str) -> Json:
    """The cookie that keeps a client at its endpoint.  Raises BadValue."""
    before = [wanted.domain and f"; Domain={attribute(wanted.domain)}", f"; Path={attribute(wanted.path)}"]
    return {
        "cookie": cookie_name(wanted.cookie),
        "mark": mark,
        "attributes": "".join(part for part in before if part),
        **({"expires": wanted.expires} if wanted.expires is not None else {}),
        **({"max_age": str(wanted.max_age)} if wanted.max_age is not None else {}),
        **({"secure": True} if wanted.secure else {}),
        **({"same_site": attribute(wanted.same_site)} if wanted.same_site else {}),
        **({"is_careful": True} if wanted.conditional_same_site_none and wanted.same_site.lower() == "none" else {}),
        **({"is_persistent": True} if wanted.persistent else {}),
    }


def cookie_name(text: str) -> str:
    """The name of a cookie.  Raises BadValue."""
    if not text or any(sign in '=;, \t"\\' for sign in syntax.bounded(text)):
        raise BadValue("BadCookie", f"{text[:80]!r} is not the name of a cookie")
    return text


def attribute(text: str) -> str:
    """The value of an attribute of a cookie.  Raises BadValue."""
    if ";" in syntax.bounded(text):
        raise BadValue("BadCookie", "an attribute of a cookie has no semicolon")
    return text
