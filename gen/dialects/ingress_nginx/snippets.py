"""Raw configuration of nginx: off unless the administrator wants it, and then only what is on a list."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Scope, Values
from gen.errors import BadValue
from gen.policy import Directive

_ALLOWED = """
    add_header add_trailer allow charset client_body_timeout client_max_body_size default_type deny etag expires gzip
    gzip_comp_level gzip_min_length gzip_types if keepalive_timeout limit_rate limit_rate_after more_clear_headers
    more_clear_input_headers more_set_headers more_set_input_headers override_charset proxy_buffering
    proxy_connect_timeout proxy_hide_header proxy_http_version proxy_ignore_headers proxy_pass_header proxy_read_timeout
    proxy_request_buffering proxy_send_timeout proxy_set_header return rewrite satisfy send_timeout set sub_filter
    sub_filter_last_modified sub_filter_once sub_filter_types
"""
ALLOWED = frozenset(_ALLOWED.split())
"""Directives that touch neither files nor code nor other hosts."""

_BLOCKS = frozenset(("if",))
_SIZE = 16 * 1024
_DEPTH = 3
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|([{};])|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(?=[\s;{)])|([^\s{};"'#]+(?:[{][^\s{};]*[}])?[^\s{};"']*)"""
)


def directives(text: str) -> tuple[Directive, ...]:
    """The directives of a snippet.

    Raises: BadValue (SnippetDenied) for what does not parse, leaves its block or is not on the list.
    """
    if len(text) > _SIZE or not text.isascii() or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text.replace("\r\n", "\n")):
        raise _denied("it is too long or has characters that are not printable ASCII")
    tokens = iter([*_tokens(text.replace("\r\n", "\n")), ("end", "")])
    return _block(tokens, 0)


def _denied(why: str) -> BadValue:
    return BadValue("SnippetDenied", f"the snippet cannot be used: {why}")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found:
            raise _denied(f"{values.shown(text[place : place + 20])} is not nginx's syntax")
        place = found.end()
        sign, quoted, word = found.groups()
        if sign:
            yield "sign", sign
        elif quoted:
            yield "word", re.sub(r"\\([\"'\\])", r"\1", quoted[1:-1])
        elif word:
            yield "word", word


def _block(tokens: Iterator[tuple[str, str]], depth: int) -> tuple[Directive, ...]:
    found: list[Directive] = []
    words: list[str] = []
    for kind, piece in tokens:
        if kind == "word":
            words.append(piece)
        elif piece == ";" and words:
            found.append(_directive(words, None))
            words = []
        elif piece == "{" and words and depth < _DEPTH:
            found.append(_directive(words, _block(tokens, depth + 1)))
            words = []
        elif not words and ((piece == "}" and depth) or (kind == "end" and not depth)):
            return tuple(found)
        elif piece != ";":
            raise _denied("its braces or semicolons do not match")
    raise _denied("it ends within a block")


def _directive(words: list[str], block: tuple[Directive, ...] | None) -> Directive:
    name, *arguments = words
    if name not in ALLOWED:
        raise _denied(f"{values.shown(name)} is not on the list of directives")
    if (block is not None) != (name in _BLOCKS):
        raise _denied(f"{name} is no block, or needs one")
    return Directive(name, tuple(arguments), block)


def _build(found: Values) -> Outcome:
    """Where snippets are switched off by the ConfigMap they are blanked."""
    if not found.settings["allow-snippet-annotations"]:
        return Outcome()
    snippet, server = found.get("configuration-snippet"), found.get("server-snippet")
    return Outcome({"directives": snippet} if snippet else {}, host={"directives": server} if server else {})


def _never(_: str) -> object:
    raise BadValue("SnippetDenied", "raw configuration is never rendered here")


def _row(name: str, scope: Scope, parse: values.Parser, doc: str, unsupported: str = "") -> Annotation:
    fills = "" if unsupported else "directives"
    return Annotation(name, parse, scope, "critical", fills, doc, "", "reject", unsupported=unsupported)


_RAW = "raw configuration is rendered only where its directives can be checked"
FAMILY = Family(
    (
        _row("configuration-snippet", "route", directives,
             "Directives of nginx for the routes, where allow-snippet-annotations and the risk level let them."),
        _row("server-snippet", "host", directives, "The same for the host."),
        _row("auth-snippet", "route", _never, "Directives for external authentication.", _RAW),
        _row("stream-snippet", "host", _never, "Directives for layer 4.", _RAW),
        _row("modsecurity-snippet", "route", _never, "Rules of ModSecurity.", _RAW),
    ),
    _build,
)  # fmt: skip
