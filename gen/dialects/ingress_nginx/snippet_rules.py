"""Which directives of nginx a snippet may have, and with which arguments.

What is on this list touches no files, runs no code, leads to no other upstream, and nginx accepts it: a value that
`nginx -t` refuses would hold up everybody's changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import Literal

from msgspec import Struct

from gen.dialects import values
from gen.dialects.directives import denied
from gen.dialects.regex import regex
from gen.dialects.values import shown
from gen.errors import BadValue
from gen.policy import Directive

Arguments = Sequence[str]
Place = Literal["route", "host", "if of a route", "if of a host"]

# ------------------------------------------------------------------ variables

_VARIABLES = """
    args binary_remote_addr body_bytes_sent bytes_sent connection connection_requests content_length content_type
    document_uri host hostname https is_args limit_rate msec nginx_version pid proxy_add_x_forwarded_for proxy_host
    proxy_port query_string realip_remote_addr realip_remote_port remote_addr remote_port remote_user request
    request_completion request_id request_length request_method request_time request_uri scheme server_addr server_name
    server_port server_protocol ssl_cipher ssl_client_escaped_cert ssl_client_fingerprint ssl_client_i_dn
    ssl_client_s_dn ssl_client_serial ssl_client_verify ssl_protocol ssl_server_name ssl_session_reused status
    time_iso8601 time_local upstream_addr upstream_bytes_received upstream_cache_status upstream_connect_time
    upstream_header_time upstream_response_length upstream_response_time upstream_status uri
    best_http_host pass_access_scheme pass_port pass_server_port req_id the_real_ip
"""
VARIABLES = frozenset(_VARIABLES.split())
"""Those of nginx, then those that ingress-nginx adds."""
_FAMILY = re.compile(r"(?:http|sent_http|upstream_http|upstream_cookie|cookie|arg)_[A-Za-z0-9_]{1,64}")
_DECODED = frozenset(("uri", "document_uri"))
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))|(\$)")
_OWN = re.compile(r"(?!gen_|http_|sent_|upstream_|cookie_|arg_|ssl_|proxy_)[a-z][a-z0-9_]{0,63}")

_FRAMING = frozenset(("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"))
_UPGRADING = frozenset(("connection", "upgrade"))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_TIME = re.compile(r"[0-9]{1,6}(?:ms|[smhd])?")
_SIZE = re.compile(r"[0-9]{1,6}[kKmM]?")
_TYPE = re.compile(r"\*|[A-Za-z0-9.+-]{1,64}/[A-Za-z0-9.*+-]{1,64}")
_CODE = re.compile(r"[2-5][0-9]{2}")


class Checker:
    """One snippet, while it is checked: which variables it sets, and which of them a client can put line breaks in."""

    def __init__(self) -> None:
        self._set: set[str] = set()
        self._decoded = set(_DECODED)
        self._raw_captures = False

    def block(self, tree: Sequence[Directive], place: Place) -> tuple[Directive, ...]:
        """The directives as they may be written.  Raises: BadValue (SnippetDenied)."""
        found: list[Directive] = []
        for each in tree:
            found += self._conditional(each, place) if each.name == "if" else self._directive(each, place)
        singles = [each.name for each in found if each.name in RULES and RULES[each.name].is_single]
        if len(singles) > len(set(singles)):
            raise denied("a directive stands twice that may stand once")
        return tuple(found)

    def _directive(self, each: Directive, place: Place) -> tuple[Directive, ...]:
        rule = RULES.get(each.name)
        if rule is None or each.block is not None:
            raise denied(f"{shown(each.name)} is not on the list of directives")
        if place not in rule.places:
            raise denied(f"{each.name} has no place in the {place}")
        try:
            return rule.check(self, each)
        except BadValue as fault:
            raise fault if fault.code == "SnippetDenied" else denied(f"{each.name}: {fault}") from fault

    def _conditional(self, each: Directive, place: Place) -> tuple[Directive, ...]:
        if each.block is None:
            raise denied("if needs a block")
        condition = self._condition(" ".join(map(_quoted, each.arguments)), each.arguments)
        outer, self._raw_captures = self._raw_captures, _is_raw(condition, self._decoded)
        inner: Place = "if of a host" if place.endswith("host") else "if of a route"
        block = self.block(each.block, inner)
        self._raw_captures = outer
        return (Directive("if", condition, block),)

    def _condition(self, text: str, words: Arguments) -> tuple[str, ...]:
        """`($name)`, or `($name`, an operator, and the text `)`; nginx itself lets the last brace stand alone."""
        given = list(words)
        if not given or not given[0].startswith("(") or not given[-1].endswith(")"):
            raise denied(f"the condition {shown(text)} is not in parentheses")
        given[0] = given[0][1:]
        given[-1] = given[-1][:-1]
        given = given[not given[0] : len(given) - (words[-1] == ")")]
        if len(given) not in {1, 3} or not re.fullmatch(r"\$[a-z][A-Za-z0-9_]*", given[0]):
            raise denied(f"the condition {shown(text)} is not a variable, or one compared with a text")
        self.text(given[0])
        if len(given) == 3:
            if given[1] in {"~", "~*", "!~", "!~*"}:
                _pattern(given[2])
            elif given[1] in {"=", "!="}:
                self.text(given[2])
            else:
                raise denied(f"{shown(given[1])} is no comparison")
        return tuple(given)

    def text(self, given: str, *, lines: bool = False) -> str:
        """A text whose variables exist, of one line unless `lines`."""
        if "\r" in given or (not lines and not {"\n", "\t"}.isdisjoint(given)):
            raise denied(f"{shown(given)} has a line break or a tab")
        for braced, bare, lone in _VARIABLE.findall(given):
            name = braced or bare
            known = name in VARIABLES or name in self._set or _FAMILY.fullmatch(name) or re.fullmatch("[1-9]", name)
            if lone or not known:
                raise denied(f"{shown(given)} has a $ that begins no variable that is known or set before")
        return given

    def line(self, given: str) -> str:
        """A text that a client cannot break into lines: without decoded paths."""
        names = {braced or bare for braced, bare, _ in _VARIABLE.findall(self.text(given))}
        if names & self._decoded or (not self._raw_captures and any(name.isdigit() for name in names)):
            raise denied(f"{shown(given)} may hold line breaks that a client sends: $request_uri has none")
        return given

    def assign(self, name: str, given: str) -> str:
        """The value of a `set`."""
        variable = name.removeprefix("$")
        if variable == name or variable in VARIABLES or not _OWN.fullmatch(variable):
            raise denied(f"{shown(name)} is not a variable that a snippet may set")
        self.text(given)
        try:
            self.line(given)
        except BadValue:
            self._decoded.add(variable)
        self._set.add(variable)
        return given


def _quoted(word: str) -> str:
    return word if word.isalnum() else shown(word)


def _pattern(text: str) -> None:
    try:
        regex(text, blanks=True)
    except BadValue as fault:
        raise denied(str(fault)) from fault


def _is_raw(condition: Arguments, decoded: set[str]) -> bool:
    """Whether captures hold what a client sent, as it sent it."""
    return len(condition) == 3 and condition[1] in {"~", "~*"} and condition[0][1:] not in decoded


# ------------------------------------------------------------------ directives

Check = Callable[[Checker, Directive], tuple[Directive, ...]]
ROUTE: tuple[Place, ...] = ("route", "host")
ANYWHERE: tuple[Place, ...] = ("route", "host", "if of a route", "if of a host")


class Rule(Struct, frozen=True):
    """Where a directive may stand, what gives it as it may be written, and whether a second one would be an error."""

    check: Check
    places: tuple[Place, ...] = ROUTE
    is_single: bool = True


def _fields(each: Directive, most: int) -> list[tuple[str, str]]:
    """`Name: value` as ingress-nginx's headers module takes it."""
    if not 0 < len(each.arguments) <= most or each.arguments[0].startswith("-"):
        raise denied(f"{each.name} needs `Name: value`, and its options are not supported")
    pairs = [argument.partition(":") for argument in each.arguments]
    return [(_header(name.strip()), value.strip()) for name, _, value in pairs]


def _header(name: str, *, framing: bool = True) -> str:
    values.header_name(name)
    if framing and name.lower() in _FRAMING:
        raise denied(f"{name} belongs to the connection")
    return name


def _response_header(checker: Checker, each: Directive) -> tuple[Directive, ...]:
    if len(each.arguments) not in {2, 3} or each.arguments[2:] not in {(), ("always",)}:
        raise denied("add_header needs a name, a value and perhaps `always`")
    checker.line(each.arguments[1])
    return (Directive(each.name, (_header(each.arguments[0]), *each.arguments[1:])),)


def _replaced_headers(checker: Checker, each: Directive) -> tuple[Directive, ...]:
    return tuple(Directive(each.name, (name, checker.line(value))) for name, value in _fields(each, 32))


def _hidden(_: Checker, each: Directive) -> tuple[Directive, ...]:
    return tuple(Directive("proxy_hide_header", (name,)) for name, _value in _fields(each, 32))


def _request_headers(checker: Checker, each: Directive) -> tuple[Directive, ...]:
    """Upgrades pass anyway, so what snippets commonly do for them is left out."""
    if each.name == "proxy_set_header":
        if len(each.arguments) != 2:
            raise denied("proxy_set_header needs a name and a value")
        pairs = [(_header(each.arguments[0], framing=False), each.arguments[1])]
        pairs = [pair for pair in pairs if pair[0].lower() not in _UPGRADING]
    else:
        pairs = _fields(each, 32)
    return tuple(Directive("proxy_set_header", (_header(name), checker.line(value))) for name, value in pairs)


def _returned(checker: Checker, each: Directive) -> tuple[Directive, ...]:
    code, *rest = each.arguments or ("",)
    if len(each.arguments) == 1 and code.startswith(("http://", "https://")):
        return (Directive("return", ("302", checker.line(code))),)
    if not _CODE.fullmatch(code) or len(rest) > 1:
        raise denied("return needs a status from 200 to 599 and perhaps a text, or a URL")
    for text in rest:
        if int(code) in _REDIRECTS:
            checker.line(text)
        else:
            checker.text(text, lines=True)
    return (each,)


def _rewritten(checker: Checker, each: Directive) -> tuple[Directive, ...]:
    """A `?` in the replacement makes nginx before 1.30.1 write behind its buffer (CVE-2026-42945)."""
    if len(each.arguments) not in {2, 3} or each.arguments[2:3] not in {(), *((flag,) for flag in _FLAGS)}:
        raise denied("rewrite needs a pattern, a replacement and perhaps last, break, redirect or permanent")
    pattern, replacement = each.arguments[:2]
    _pattern(pattern)
    if "?" in checker.text(replacement):
        raise denied("the replacement of a rewrite may have no ?")
    return (each,)


_FLAGS = ("last", "break", "redirect", "permanent")


def _assigned(checker: Checker, each: Directive) -> tuple[Directive, ...]:
    if len(each.arguments) != 2:
        raise denied("set needs a variable and a value")
    checker.assign(*each.arguments)
    return (each,)


def _network(_: Checker, each: Directive) -> tuple[Directive, ...]:
    try:
        if each.arguments != ("all",):
            (network,) = each.arguments
            ip_network(network)
    except ValueError as error:
        raise denied(f"{each.name} needs a network or `all`") from error
    return (each,)


def _words(*patterns: re.Pattern[str], least: int = 1, most: int = 1) -> Check:
    """Arguments that match the patterns in turn, the last one as often as it takes."""

    def check(_: Checker, each: Directive) -> tuple[Directive, ...]:
        wanted = [*patterns, *[patterns[-1]] * len(each.arguments)]
        fits = all(pattern.fullmatch(word) for pattern, word in zip(wanted, each.arguments, strict=False))
        if not least <= len(each.arguments) <= most or not fits:
            raise denied(f"{each.name} has arguments that gen does not know")
        return (each,)

    return check


def _texts(number: int) -> Check:
    def check(checker: Checker, each: Directive) -> tuple[Directive, ...]:
        if len(each.arguments) != number:
            raise denied(f"{each.name} needs {number} arguments")
        return (Directive(each.name, tuple(map(checker.text, each.arguments))),)

    return check


_ON_OFF = _words(re.compile("on|off"))
_SECONDS = _words(_TIME)
_BYTES = _words(_SIZE)
_IN_ROUTES: tuple[Place, ...] = ("route", "host", "if of a route")

RULES: Mapping[str, Rule] = {
    "add_header": Rule(_response_header, _IN_ROUTES, is_single=False),
    "more_set_headers": Rule(_replaced_headers, _IN_ROUTES, is_single=False),
    "more_clear_headers": Rule(_hidden, is_single=False),
    "proxy_hide_header": Rule(_hidden, is_single=False),
    "proxy_set_header": Rule(_request_headers, is_single=False),
    "more_set_input_headers": Rule(_request_headers, is_single=False),
    "more_clear_input_headers": Rule(_request_headers, is_single=False),
    "return": Rule(_returned, ANYWHERE, is_single=False),
    "rewrite": Rule(_rewritten, ANYWHERE, is_single=False),
    "set": Rule(_assigned, ANYWHERE, is_single=False),
    "break": Rule(_texts(0), ANYWHERE, is_single=False),
    "allow": Rule(_network, is_single=False),
    "deny": Rule(_network, is_single=False),
    "sub_filter": Rule(_texts(2), is_single=False),
    "sub_filter_once": Rule(_ON_OFF),
    "sub_filter_last_modified": Rule(_ON_OFF),
    "sub_filter_types": Rule(_words(_TYPE, most=32)),
    "default_type": Rule(_words(_TYPE)),
    "charset": Rule(_words(re.compile("[A-Za-z0-9-]{1,32}"))),
    "expires": Rule(_words(re.compile("-?[0-9]{1,6}[smhdwy]?|off|max|epoch")), _IN_ROUTES),
    "etag": Rule(_ON_OFF),
    "gzip": Rule(_ON_OFF, _IN_ROUTES),
    "gzip_types": Rule(_words(_TYPE, most=64)),
    "gzip_min_length": Rule(_words(re.compile("[0-9]{1,9}"))),
    "gzip_comp_level": Rule(_words(re.compile("[1-9]"))),
    "limit_rate": Rule(_BYTES, _IN_ROUTES),
    "limit_rate_after": Rule(_BYTES, _IN_ROUTES),
    "client_max_body_size": Rule(_BYTES),
    "client_body_timeout": Rule(_SECONDS),
    "send_timeout": Rule(_SECONDS),
    "keepalive_timeout": Rule(_SECONDS),
    "proxy_connect_timeout": Rule(_SECONDS),
    "proxy_read_timeout": Rule(_SECONDS),
    "proxy_send_timeout": Rule(_SECONDS),
    "proxy_buffering": Rule(_ON_OFF),
    "proxy_request_buffering": Rule(_ON_OFF),
    "proxy_http_version": Rule(_words(re.compile(r"1\.[01]"))),
    "access_log": Rule(_words(re.compile("off"))),
    "absolute_redirect": Rule(_ON_OFF),
}
