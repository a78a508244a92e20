"""Who may pass: limits, networks, passwords, the word of another service; each one closes when in doubt."""

from __future__ import annotations

import re

import msgspec

from backends.haproxy import syntax
from backends.haproxy.draft import Draft
from backends.haproxy.routes import inner_target
from backends.haproxy.syntax import Encoded
from gen.backend import digest_of
from gen.policy import BasicAuth, ConnectionLimit, ExternalAuth, Policy, RateLimit, Text, Variable

TICKS = 1000  # a second; arrival times are kept in milliseconds, in 32 bits
COOKIES = 4  # that another service may set
WRAP = 0xFFFFFFFF
COUNTERS = 3  # HAProxy's stick counters
CRYPT = re.compile(
    r"\$2[aby]\$(?:0[4-9]|1[0-2])\$[./0-9A-Za-z]{53}"
    r"|\$1\$[./0-9A-Za-z]{0,8}\$[./0-9A-Za-z]{22}"
    r"|\$5\$(?:rounds=[0-9]{1,5}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}"
    r"|\$6\$(?:rounds=[0-9]{1,5}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}"
    r"|\$y\$j[789A]T\$[./0-9A-Za-z]{1,86}\$[./0-9A-Za-z]{43}"
    r"|[./0-9A-Za-z]{13}"
)
"""What crypt(3) knows, as long as it does not cost minutes: HAProxy tries every hash when it starts."""
SCRIPTED = re.compile(r"\$apr1\$[./0-9A-Za-z]{0,8}\$[./0-9A-Za-z]{22}|\{S?SHA\}[A-Za-z0-9+/]{27,200}={0,2}|\{PLAIN\}.+")
"""What the Lua script compares."""


def is_known(known: str) -> bool:
    """Whether a password can be compared with this hash."""
    return bool(CRYPT.fullmatch(known) or SCRIPTED.fullmatch(known))


def limits(draft: Draft, policy: Policy) -> None:
    """Connections first, then requests.  Raises BadValue."""
    counter = 0
    if policy.connection_limit:
        connections(draft, policy.connection_limit, counter)
        counter += 1
    for limit in policy.rate_limits or ():
        if counter == COUNTERS:
            draft.deny(503)  # one limit more than there are counters: closed rather than open
            return
        requests(draft, limit, counter)
        counter += 1


def connections(draft: Draft, limit: ConnectionLimit, counter: int) -> None:
    """So many requests at a time from one address."""
    unless = exempt(draft, limit.exempt)
    table = draft.part(
        "backend", [zone(limit.zone), Encoded("stick-table type ipv6 size 100k expire 10m store conn_cur")]
    )
    draft.add(f"http-request track-sc{counter} src table %s{unless}", table)
    draft.deny(limit.status, f"if {{ sc{counter}_conn_cur gt %s }}", syntax.whole(limit.most))


def requests(draft: Draft, limit: RateLimit, counter: int) -> None:
    """A leaky bucket: the table keeps when the bucket of an address will be empty."""
    drop = max(round(limit.period * TICKS / max(limit.rate, 1)), 1)
    full = drop * limit.burst
    unless = exempt(draft, limit.exempt)
    expire = syntax.duration(max((full + 2 * drop) / TICKS, 10.0))
    lines = [zone(limit.zone), syntax.rule("stick-table type ipv6 size 100k expire %s store gpt0", expire)]
    table = draft.part("backend", [*lines, syntax.rule("# %s in %s ms", syntax.whole(limit.rate), drop)])
    wait = f"txn.wait{counter}"
    draft.add(f"http-request track-sc{counter} src table %s{unless}", table)
    draft.add(f"http-request set-var(txn.now) date(0,ms),and({WRAP})")
    draft.add(f"http-request set-var({wait}) sc{counter}_get_gpt0,sub(txn.now),and({WRAP})")
    draft.add(
        f"http-request set-var({wait}) int(0) if {{ sc{counter}_get_gpt0 eq 0 }} or {{ var({wait}) -m int gt %s }}",
        full + drop,
    )
    draft.deny(limit.status, f"if {{ sc{counter}_tracked }} {{ var({wait}) -m int gt %s }}", full)
    later = f"var({wait}),add(txn.now),add(%s),and({WRAP})"
    draft.add(f"http-request sc-set-gpt0({counter}) {later} if {{ sc{counter}_tracked }}", drop)


def zone(name: str) -> Encoded:
    """A comment that tells the zones apart."""
    return syntax.rule("# zone %s", syntax.identifier(name))


def exempt(draft: Draft, networks: tuple[str, ...]) -> str:
    """The condition that leaves out some networks."""
    return f" unless {{ src -f {draft.networks(networks)} }}" if networks else ""


# ------------------------------------------------------------------ networks, passwords, another service


def access(draft: Draft, policy: Policy) -> None:
    """All of networks, passwords and external authentication, or one of them.  Raises BadValue."""
    if policy.satisfy_any and (policy.auth_basic or policy.auth_external):
        one_of(draft, policy)
        return
    networks(draft, policy)
    if policy.auth_basic:
        unauthorized(draft, policy.auth_basic, f"unless {passwords(draft, policy.auth_basic)}")
    if policy.auth_external:
        ask(draft, policy.auth_external, "")
        verdict(draft, policy.auth_external, "")


def networks(draft: Draft, policy: Policy) -> None:
    """Who comes from a wrong network goes."""
    if policy.deny:
        draft.deny(403, "if { src -f %s }", draft.networks(policy.deny))
    if policy.allow is not None:
        draft.deny(403, "unless { src -f %s }", draft.networks(policy.allow))


def one_of(draft: Draft, policy: Policy) -> None:
    """Who satisfies one of them passes; the others get the answer of the last one that asked."""
    if policy.allow:
        other = f" !{{ src -f {draft.networks(policy.deny)} }}" if policy.deny else ""
        draft.add(
            f"http-request set-var(txn.passes) bool(true) if {{ src -f %s }}{other}", draft.networks(policy.allow)
        )
    if policy.auth_basic:
        draft.add(f"http-request set-var(txn.passes) bool(true) if {passwords(draft, policy.auth_basic)}")
    undecided = "!{ var(txn.passes) -m found }"
    if policy.auth_external:
        ask(draft, policy.auth_external, f"if {undecided}")
        draft.add("http-request set-var(txn.passes) bool(true) if { var(txn.auth_status) -m int 200:299 }")
        if not policy.auth_basic:
            verdict(draft, policy.auth_external, undecided)
    if policy.auth_basic:
        if policy.auth_external and policy.auth_external.signin:
            verdict(draft, policy.auth_external, undecided)
        unauthorized(draft, policy.auth_basic, f"if {undecided}")


def unauthorized(draft: Draft, auth: BasicAuth, condition: str) -> None:
    """Ask for a password."""
    realm = auth.realm.replace("\\", "\\\\").replace('"', '\\"')
    draft.add(
        f"http-request return status 401 hdr WWW-Authenticate %s {condition}", syntax.header(f'Basic realm="{realm}"')
    )


def passwords(draft: Draft, auth: BasicAuth) -> str:
    """The condition that a password is right."""
    if auth.scheme != "basic":
        return "{ always_false }"
    names = dict(reversed(auth.users))  # the first line of a name counts
    native = [(name, known) for name, known in sorted(names.items()) if CRYPT.fullmatch(known)]
    scripted = [(name, known) for name, known in sorted(names.items()) if SCRIPTED.fullmatch(known)]
    condition = "{ always_false }"
    if native:
        users = [syntax.rule("user %s password %s", syntax.word(name), syntax.word(known)) for name, known in native]
        condition = f"{{ http_auth({draft.part('userlist', users)}) }}"
    if scripted:
        content = b"".join(syntax.row(syntax.hexadecimal(name), syntax.hexadecimal(known)) for name, known in scripted)
        table = draft.file("maps", "map", content)
        draft.has_script = True
        draft.add(f"http-request set-var(txn.password) http_auth_user,hex,lower,map_str({table})")
        draft.add("http-request lua.password if { var(txn.password) -m found }")
        condition += " or { var(txn.password_fits) -m bool }"
    return condition


def ask(draft: Draft, auth: ExternalAuth, condition: str) -> None:
    """The sub-request; its answer is in variables of the transaction.  Raises BadValue."""
    draft.has_script = True
    told: list[tuple[str, Text]] = [
        ("X-Original-URL", (Variable("scheme"), "://", Variable("http_host"), Variable("request_uri"))),
        ("X-Original-Method", (Variable("request_method"),)),
        ("X-Sent-From", ("nginx-ingress-controller",)),
        ("X-Auth-Request-Redirect", auth.request_redirect),
        *auth.request_headers,
    ]
    draft.add("http-request set-var(txn.auth_backend) str(%s)", inner_target(auth.upstream, auth.tls, auth.host).name)
    draft.add("http-request set-var(txn.auth_method) str(%s)", syntax.token(auth.method))
    draft.add("http-request set-var-fmt(txn.auth_host) %s", syntax.text(auth.host))
    draft.add("http-request set-var-fmt(txn.auth_path) %s", syntax.text(auth.path or ("/",)))
    draft.add("http-request set-var-fmt(txn.auth_headers) %s", syntax.header_lines(told))
    if auth.response_headers:
        copied = Encoded(",".join(syntax.token(name) for name in auth.response_headers))
        draft.add("http-request set-var-fmt(txn.auth_copy) %s", copied)
    if auth.cache_key:
        remember(draft, auth)
    draft.add(f"http-request lua.authenticate {condition}".rstrip())
    fine = "" if auth.always_set_cookie else " { status 200:399 }"
    for number in range(COOKIES):
        cookie = f"txn.auth_cookie{number}"
        draft.add(f"http-after-response add-header Set-Cookie %%[var({cookie})] if {{ var({cookie}) -m found }}{fine}")


def remember(draft: Draft, auth: ExternalAuth) -> None:
    """Answers are kept for a while; never for another host or path, whose answer might be another one."""
    place = f"{digest_of(msgspec.msgpack.encode(auth))} "
    key = (place, Variable("host"), " ", Variable("uri"), " ", *auth.cache_key)
    valid = ";".join(f"{int(status)}={int(seconds)}" for statuses, seconds in auth.cache_valid for status in statuses)
    draft.add("http-request set-var-fmt(txn.auth_key) %s", syntax.text(key))
    draft.add("http-request set-var(txn.auth_valid) str(%s)", Encoded(valid or "-"))


def verdict(draft: Draft, auth: ExternalAuth, undecided: str) -> None:
    """What a refusal of the other service comes to.  Raises BadValue."""
    asked = f"{{ var(txn.auth_status) -m int %s }} {undecided}".rstrip()
    if auth.signin:
        draft.add(f"http-request return status 302 hdr Location %s if {asked % 401}", syntax.text(auth.signin))
    else:
        challenge = "txn.auth_challenge"
        header = f"hdr WWW-Authenticate %%[var({challenge})]"
        draft.add(f"http-request return status 401 {header} if {asked % 401} {{ var({challenge}) -m found }}")
        draft.deny(401, f"if {asked % 401}")
    draft.deny(403, f"if {asked % 403}")
    draft.deny(500, f"if !{{ var(txn.auth_status) -m int 200:299 }} {undecided}".rstrip())
