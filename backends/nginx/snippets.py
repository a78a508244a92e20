"""Raw directives of a route or a host, written anew from their tree.

nginx inherits lists of headers only as a whole, so what a snippet says of headers joins those that are there anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from backends.nginx import phrases
from backends.nginx.parts import Base, Headers, Parts, overlaid
from backends.nginx.phrases import directive
from backends.nginx.syntax import Word, directive_name, expanding
from gen.errors import BadValue
from gen.policy import Directive

ALIASES = {
    "best_http_host": "gen_host",
    "pass_port": "server_port",
    "pass_server_port": "server_port",
    "req_id": "gen_request_id",
    "the_real_ip": "remote_addr",
}
"""What ingress-nginx calls by other names."""
ADDED = frozenset(("add_header", "more_set_headers"))
HEADERS = ADDED | {"proxy_hide_header", "proxy_set_header"}
PHASED = frozenset(("set", "if", "rewrite", "return", "break"))
"""What the rewrite module does, in order."""


def route(parts: Parts, tree: Sequence[Directive]) -> None:
    """Add the directives of a route; where both say something of one kind, theirs counts."""
    added = added_of(tree, parts.base)
    parts.added += added.response_headers
    parts.added_on_success += added.success_headers
    parts.hidden += added.hidden
    parts.sent |= dict(added.request_headers)
    parts.checks += phased(tree, parts.base, parts.response_lines)
    others = [each for each in tree if each.name not in HEADERS | PHASED]
    parts.lines[:] = without(parts.lines, others)
    parts.lines += [written(each, parts.base) for each in others]


def without(lines: Sequence[Word], others: Sequence[Directive]) -> list[Word]:
    """Lines without those that others replace; networks are added."""
    replaced = {each.name for each in others} - HEADERS - PHASED - {"allow", "deny"}
    return [line for line in lines if line.partition(" ")[0] not in replaced]


def base_with(base: Base, tree: Sequence[Directive]) -> Base:
    """The headers of a host: those of the whole proxy, and its own."""
    added = added_of(tree, base)
    return msgspec.structs.replace(
        base,
        request_headers=overlaid(base.request_headers, dict(added.request_headers)),
        response_headers=base.response_headers + added.response_headers,
        success_headers=added.success_headers,
        hidden=(*base.hidden, *added.hidden),
    )


def host(base: Base, tree: Sequence[Directive]) -> list[Word]:
    """The lines of a server, whose headers are those of `base`."""
    lines = phased(tree, base, list)
    lines += [written(each, base) for each in tree if each.name not in HEADERS | PHASED]
    if any(each.name in ADDED for each in tree):
        lines += phrases.added(base.response_headers, base.success_headers)
    if any(each.name == "proxy_set_header" for each in tree):
        lines += [directive("proxy_set_header", phrases.header(name), word) for name, word in base.request_headers]
    if any(each.name in {"proxy_hide_header", "more_set_headers"} for each in tree):
        names = dict.fromkeys(name.lower() for name in base.hidden)
        lines += [directive("proxy_hide_header", phrases.header(name)) for name in names]
    return lines


def added_of(tree: Sequence[Directive], base: Base) -> Base:
    """The headers of some directives alone."""
    always: Headers = ()
    success: Headers = ()
    sent: Headers = ()
    hidden: tuple[str, ...] = ()
    for each in tree:
        name, *values = each.arguments or ("",)
        if each.name in {"proxy_hide_header", "more_set_headers"}:
            hidden += (name,)
        if each.name == "proxy_set_header":
            sent += ((name, argument(values[0], base)),)
        elif each.name in ADDED and values[0]:
            pair = (name, argument(values[0], base))
            if each.name == "add_header" and "always" not in values[1:]:
                success += (pair,)
            else:
                always += (pair,)
    return Base(sent, always, hidden, success_headers=success)


def phased(tree: Sequence[Directive], base: Base, headers: Callable[[], list[Word]]) -> list[Word]:
    """The directives of the rewrite module; `headers` are those that a block with headers of its own has to repeat."""
    lines: list[Word] = []
    for each in tree:
        if each.name == "if":
            inner = each.block or ()
            own = added_of(inner, base)
            repeated = headers() if own.response_headers or own.success_headers else []
            rest = [written(one, base) for one in inner if one.name not in HEADERS | PHASED]
            body = [*repeated, *phrases.added(own.response_headers, own.success_headers), *rest]
            lines += phrases.block(Word(f"if ({condition(each, base)})"), [*body, *phased(inner, base, headers)])
        elif each.name in PHASED:
            lines.append(written(each, base))
    return lines


def condition(each: Directive, base: Base) -> str:
    """A variable, or one compared with a text."""
    variable, *comparison = each.arguments
    name = argument(str(directive_name(variable)), base).strip('"')
    if not comparison:
        return name
    operator, text = comparison
    if operator not in {"=", "!=", "~", "~*", "!~", "!~*"}:
        raise BadValue("SnippetDenied", f"{operator[:20]!r} is no comparison")
    return f"{name} {operator} {argument(text, base)}"


def written(each: Directive, base: Base) -> Word:
    """One directive without a block."""
    return directive(directive_name(each.name), *(argument(text, base) for text in each.arguments))


def argument(text: str, base: Base) -> Word:
    """An argument, its variables by the names that they have here."""
    aliases = {**ALIASES, "pass_access_scheme": base.scheme.removeprefix("$")}
    return expanding(re.sub(r"\$(\{?)(\w+)", lambda found: f"${found[1]}{aliases.get(found[2], found[2])}", text))
