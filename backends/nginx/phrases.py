"""Directives, blocks and texts with values of the request, built of encoded words alone."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from backends.nginx.syntax import Word, limited, unexpanded
from gen.errors import BadValue
from gen.policy import Text, Variable

HEADER = re.compile(r"[A-Za-z0-9!#%&'*+.^_`|~-]+")
PLAIN = re.compile(r"[A-Za-z0-9_.:@/+=!-]+")
VARIABLES = {
    "host": "$host",
    "http_host": "$gen_host",
    "scheme": "$scheme",
    "uri": "$uri",
    "request_uri": "$request_uri",
    "escaped_request_uri": "$gen_escaped_request_uri",
    "args": "$args",
    "is_args": "$is_args",
    "remote_addr": "$remote_addr",
    "remote_user": "$remote_user",
    "request_method": "$request_method",
    "request_id": "$gen_request_id",
    "server_port": "$server_port",
}


def directive(name: str, *arguments: Word | int) -> Word:
    """One directive.  Raises: TypeError for an argument that no encoder wrote."""
    for argument in arguments:
        if type(argument) is not Word and type(argument) is not int:
            raise TypeError(f"an argument of {name} was not encoded: {str(argument)[:80]!r}")
    return Word(" ".join((name, *(str(argument) for argument in arguments if argument != ""))) + ";")


def block(opening: Word, lines: list[Word]) -> list[Word]:
    """A block, one line each."""
    return [Word(f"{opening} {{"), *(Word(f"    {line}") for line in lines), Word("}")]


def answer_if(condition: Word, *lines: Word) -> list[Word]:
    """What is done at once where a condition holds; the lines have to end in an answer."""
    return block(Word(f"if ({condition})"), list(lines))


def on(flag: bool) -> Word:
    """A switch."""
    return Word("on" if flag else "off")


def plain(text: str) -> Word:
    """A word that needs no quotes: a status, a cipher list, a protocol."""
    if not PLAIN.fullmatch(text):
        raise BadValue("BadName", f"expected a plain word, got {text[:50]!r}")
    return Word(text)


def header(name: str) -> Word:
    """The name of a header."""
    if not HEADER.fullmatch(name) or len(name) > 256:
        raise BadValue("InvalidHeader", f"expected the name of a header, got {name[:50]!r}")
    return Word(f'"{name}"') if re.search(r"[#'`|^~&!%*]", name) else Word(name)


def added(always: Iterable[tuple[str, Word]], on_success: Iterable[tuple[str, Word]] = ()) -> list[Word]:
    """Headers for the client."""
    lines = [directive("add_header", header(name), word, Word("always")) for name, word in always]
    return lines + [directive("add_header", header(name), word) for name, word in on_success]


def header_variable(name: str, prefix: str = "http") -> Word:
    """The variable of a header of the request; empty for a name that no variable can have."""
    field = name.lower().replace("-", "_")
    return Word(f"${prefix}_{field}") if re.fullmatch(r"[a-z0-9_]+", field) else Word("$gen_nothing")


def network(text: str) -> Word:
    """An address or a network."""
    try:
        return Word(str(ipaddress.ip_network(text, strict=False)))
    except ValueError as error:
        raise BadValue("AddressInvalid", f"expected a network, got {text[:50]!r}") from error


def text(pieces: Text) -> Word:
    """A word with values of the request in it."""
    return Word(f'"{limited("".join(map(_piece, pieces)))}"')


def _piece(piece: str | Variable) -> str:
    if isinstance(piece, str):
        return unexpanded(piece)
    name, argument = piece.name, piece.argument
    if name in {"header", "cookie", "query"}:
        prefix = {"header": "http", "cookie": "cookie", "query": "arg"}[name]
        field = argument.lower().replace("-", "_") if name == "header" else argument
        return f"${{{prefix}_{field}}}" if re.fullmatch(r"[A-Za-z0-9_]+", field) else ""
    if name == "capture" and re.fullmatch("[1-9]", argument):
        return f"${argument}"
    if name not in VARIABLES:
        raise BadValue("VariableUnsupported", f"the variable {name[:50]} is not known")
    return f"${{{VARIABLES[name][1:]}}}"


def path_text(pieces: Text) -> Word:
    """The replacement of a `rewrite`: a path, in which a question mark would begin a query, and a scheme redirect."""
    first = pieces[0] if pieces else ""
    if isinstance(first, str) and not first.startswith("/"):
        pieces = ("/", *pieces)
    if any("?" in piece for piece in pieces if isinstance(piece, str)):
        raise BadValue("InvalidPath", "expected a path without a query")
    return text(pieces)


def quoted_string(value: str) -> Word:
    """The text between the quotes of a header such as WWW-Authenticate."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return Word(f'"{limited(unexpanded(escaped))}"')


EMPTY = Word('""')


def escaped(text: str) -> str:
    """Text as a regex that finds nothing else."""
    return re.escape(text)
