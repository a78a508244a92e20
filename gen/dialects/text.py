"""Text with variables, in the spelling of nginx: `$name` and `${name}`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gen.dialects.values import shown
from gen.errors import BadValue
from gen.policy import VARIABLES, Text, Variable

_NAMES: Mapping[str, str] = {name: name for name in VARIABLES} | {
    "best_http_host": "http_host",
    "binary_remote_addr": "remote_addr",
    "document_uri": "uri",
    "pass_access_scheme": "scheme",
    "pass_server_port": "server_port",
    "query_string": "args",
    "req_id": "request_id",
    "server_name": "host",
    "the_real_ip": "remote_addr",
}
_KINDS = (("http_", "header"), ("cookie_", "cookie"), ("arg_", "query"))
OF_THE_ROUTE = frozenset(("namespace", "ingress_name", "service_name", "service_port"))
"""Variables that translation itself fills in."""
_BRACES = frozenset("{}")
_PIECE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))|([^$]+)|(\$)")


def text(given: str, *, captures: bool = False, of_the_route: bool = False, braces: bool = False) -> Text:
    """Literal pieces and variables.

    Shape: `captures` allows `$1` to `$9`; `of_the_route` the variables that translation fills in; `braces` those that
    belong to no variable.
    Raises: BadValue (AnnotationInvalid) for a variable that gen does not know, a lone `$` and lone braces.
    """
    pieces: list[str | Variable] = []
    for braced, bare, plain, lone in _PIECE.findall(given):
        if lone or (not braces and not _BRACES.isdisjoint(plain)):
            raise BadValue("AnnotationInvalid", f"{shown(given)} has a $ that begins no variable, or lone braces")
        if plain:
            pieces.append(plain)
        else:
            pieces.extend(_variable(braced or bare, captures=captures, of_the_route=of_the_route))
    return tuple(pieces)


def _variable(name: str, *, captures: bool, of_the_route: bool) -> tuple[str | Variable, ...]:
    if captures and name[0].isdigit():
        return (Variable("capture", name[0]), *((name[1:],) if name[1:] else ()))
    if name in _NAMES:
        return (Variable(_NAMES[name]),)
    if of_the_route and name in OF_THE_ROUTE:
        return (Variable(name),)
    for prefix, kind in _KINDS:
        if name.startswith(prefix) and len(name) > len(prefix):
            rest = name[len(prefix) :]
            return (Variable(kind, rest.replace("_", "-").lower() if kind == "header" else rest),)
    raise BadValue("AnnotationInvalid", f"${shown(name)[1:-1]} is not a variable that gen knows")
