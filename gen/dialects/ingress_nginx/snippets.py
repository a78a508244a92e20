"""Raw configuration of nginx: off unless the administrator wants it, and then only what is on a list."""

from __future__ import annotations

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Scope, Values
from gen.dialects.directives import parse
from gen.dialects.ingress_nginx.snippet_rules import Checker
from gen.errors import BadValue
from gen.policy import Directive


def of_routes(text: str) -> tuple[Directive, ...]:
    """The directives of a snippet for routes.

    Raises: BadValue (SnippetDenied) for what does not parse, leaves its block or is not on the list.
    """
    return Checker().block(parse(text), "route")


def of_host(text: str) -> tuple[Directive, ...]:
    """The same for a host.  Raises: BadValue (SnippetDenied)."""
    return Checker().block(parse(text), "host")


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
        _row("configuration-snippet", "route", of_routes,
             "Directives of nginx for the routes, where allow-snippet-annotations and the risk level let them."),
        _row("server-snippet", "host", of_host, "The same for the host."),
        _row("auth-snippet", "route", _never, "Directives for external authentication.", _RAW),
        _row("stream-snippet", "host", _never, "Directives for layer 4.", _RAW),
        _row("modsecurity-snippet", "route", _never, "Rules of ModSecurity.", _RAW),
    ),
    _build,
)  # fmt: skip
