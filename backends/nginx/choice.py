"""Which upstream, and which of its endpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence

from backends.nginx import phrases
from backends.nginx.parts import Parts, Target
from backends.nginx.phrases import EMPTY, directive
from backends.nginx.syntax import REST, Word, literal, percent, value
from gen.backend import digest_of
from gen.policy import Affinity, Canary

KEY = Word("$gen_balance_key")
EXPIRES = Word("set_by_lua_block $gen_expires { return gen.date(ngx.var.gen_expires_in) }")
BAD_FOR_NONE = r"Chrome/[4-6][0-9]\.|iPhone OS 12_|iPad; CPU OS 12_|Macintosh.*OS X 10_14.*Version/.*Safari"


def cookie_of(parts: Parts, name: str, kind: str) -> Word:
    """The value of a cookie, whose name need not be one that a variable of nginx may have."""
    pattern = literal(rf"~(?:^|;\s*){re.escape(name)}=([^;]*)")
    return parts.map(Word("$http_cookie"), kind, EMPTY, [(pattern, Word("$1"))])


def canary(parts: Parts, rule: Canary, main: Word, other: Word) -> Word:
    """A variable with the group for a request: by the affinity cookie, header, cookie, weight, in this order."""
    groups = (Word(f'"{main}"'), Word(f'"{other}"'))
    found = groups[0]
    if rule.weight > 0:
        found = _by_weight(parts, rule, groups)
    if rule.cookie:
        cookie = cookie_of(parts, rule.cookie, "canary_value")
        found = parts.map(cookie, "canary_cookie", found, _words(groups))
    if rule.header:
        header = phrases.header_variable(rule.header)
        cases = _words(groups)
        if rule.header_value:
            cases = [(literal(rf"~^{re.escape(rule.header_value)}\z"), groups[1])]
        elif rule.header_pattern:
            cases = [(EMPTY, found), (literal(f"~{rule.header_pattern}"), groups[1])]
        found = parts.map(header, "canary_header", found, cases)
    affinity = parts.route.policy.affinity
    if affinity and rule.sticky:
        pins = [
            (literal(rf"~\|{backend_mark(group)}$"), word) for group, word in zip((main, other), groups, strict=True)
        ]
        found = parts.map(_affinity_cookie(parts, affinity), "canary_pin", found, pins)
    return found


def backend_mark(group: Word) -> str:
    """What a cookie says of the upstream that it was given for."""
    return digest_of(group.encode())


def _words(groups: tuple[Word, Word]) -> list[tuple[Word, Word]]:
    return [(literal(r"~^always\z"), groups[1]), (literal(r"~^never\z"), groups[0])]


def _by_weight(parts: Parts, rule: Canary, groups: tuple[Word, Word]) -> Word:
    share = min(10000 * rule.weight // max(rule.weight_total, 100), 10000)
    if share >= 10000:
        return groups[1]
    target = parts.variable("canary_weight")
    lines = [directive(percent(share), groups[1]), directive(REST, groups[0])]
    parts.maps += phrases.block(Word(f"split_clients $request_id {target}"), lines)
    parts.variables += 1
    return target


def _affinity_cookie(parts: Parts, affinity: Affinity) -> Word:
    made = Word(f"map $http_cookie {parts.variable('affinity')} {{")
    return parts.variable("affinity") if made in parts.maps else cookie_of(parts, affinity.cookie, "affinity")


def affinity(parts: Parts, rule: Affinity, chosen: Word, groups: Sequence[tuple[Word, Target]]) -> Word:
    """Keep a client at its endpoint: balanced by a hash of its cookie, persistent by the endpoint that it names.

    Shape: gives what to pass to; `chosen` is the group, or a variable with one of the `groups`.
    """
    cookie = _affinity_cookie(parts, rule)
    group = Word(f'"{chosen}"') if not chosen.startswith("$") else chosen
    marks = [(Word(f'"{name}"'), Word(f'"{backend_mark(name)}"')) for name, _ in groups]
    mark = parts.map(group, "affinity_mark", EMPTY, marks) if len(marks) > 1 else marks[0][1]
    if rule.persistent:
        chosen, fresh = _persistent(parts, cookie, chosen, groups)
    else:
        key = [(EMPTY, Word("$request_id")), (literal(r"~^([^|]+)"), Word("$1"))]
        parts.last.append(directive("set", KEY, parts.map(cookie, "affinity_key", cookie, key)))
        fresh = parts.map(cookie, "affinity_new", EMPTY, [(EMPTY, Word("$request_id"))])
        if rule.change_on_failure:  # more than one endpoint was tried
            retried = [(literal("~,"), Word("$request_id"))]
            fresh = parts.map(Word("$upstream_addr"), "affinity_changed", fresh, retried)
    text = _cookie(parts, rule, Word(f"{fresh}|{str(mark).strip(chr(34))}"))
    cases = [(EMPTY, EMPTY)]
    answer = parts.map(fresh, "affinity_set", Word(f'"{text}"'), cases)
    rule_canary = parts.route.policy.canary
    if rule_canary and not rule_canary.sticky and len(groups) > 1:
        answer = parts.map(group, "affinity_main", EMPTY, [(Word(f'"{groups[0][0]}"'), answer)])
    parts.added.append(("Set-Cookie", answer))
    return chosen


def _persistent(parts: Parts, cookie: Word, chosen: Word, groups: Sequence[tuple[Word, Target]]) -> tuple[Word, Word]:
    """The server that the cookie names, and the name of the one that answered where the cookie named none."""
    servers = [(name, server, digest_of(server.encode())) for name, target in groups for server in target.servers]
    group = parts.map(Word(f'"{chosen}"'), "affinity_group", Word(f'"{chosen}"'), [])
    known = [(literal(rf"~^{name}:{mark}\|"), Word(f'"{server}"')) for name, server, mark in servers]
    target = parts.map(Word(f'"{group}:{cookie}"'), "affinity_server", group, known)
    names = {server: mark for _, server, mark in servers}
    answered = [(literal(rf"~(?:^|[ ,]){re.escape(server)}$"), Word(mark)) for server, mark in names.items()]
    by_address = parts.map(Word("$upstream_addr"), "affinity_answered", EMPTY, answered)
    hits = [(key, EMPTY) for key, _ in known]
    return target, parts.map(Word(f'"{group}:{cookie}"'), "affinity_new", by_address, hits)


def _cookie(parts: Parts, rule: Affinity, value_of: Word) -> str:
    """The text of a Set-Cookie."""
    pieces = [f"{_plain(rule.cookie)}={value_of}"]
    if rule.expires is not None and parts.base.has_lua:
        parts.last += [directive("set", Word("$gen_expires_in"), int(rule.expires)), EXPIRES]
        pieces.append("Expires=$gen_expires")
    if rule.max_age is not None or (rule.expires is not None and not parts.base.has_lua):
        pieces.append(f"Max-Age={int(rule.max_age if rule.max_age is not None else rule.expires or 0)}")
    if rule.domain:
        pieces.append(f"Domain={_plain(rule.domain)}")
    pieces.append(f"Path={_plain(rule.path or '/')}")
    tail = "; HttpOnly"
    if rule.same_site:
        same = Word(f'"; SameSite={_plain(rule.same_site)}"')
        if rule.conditional_same_site_none and rule.same_site.lower() == "none":
            same = parts.map(Word("$http_user_agent"), "same_site", same, [(literal(f"~{BAD_FOR_NONE}"), EMPTY)])
        tail += str(same).strip('"')
    if rule.secure:
        return "; ".join((*pieces, "Secure")) + tail
    secure = parts.map(parts.base.scheme, "secure", EMPTY, [(Word("https"), Word('"; Secure"'))])
    return "; ".join(pieces) + str(secure) + tail


def _plain(text: str) -> str:
    return str(value(text.replace(";", "")))[1:-1]


def hashed(parts: Parts) -> None:
    """The text that is hashed; a subset adds a number by chance to it."""
    policy = parts.route.policy
    text = str(phrases.text(policy.hash_by or ()))[1:-1]
    if policy.hash_subset:
        count = min(max(policy.hash_subset, 1), 100)
        shares = [Word(f"{10000 // count / 100:.2f}% {number};") for number in range(count - 1)]
        chance = parts.variable("chance")
        parts.maps += phrases.block(Word(f"split_clients $request_id {chance}"), [*shares, Word(f"* {count - 1};")])
        parts.variables += 1
        text += f"#{chance}"
    parts.last.append(directive("set", KEY, Word(f'"{text}"')))
