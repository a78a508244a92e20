"""More names for a host, and what happens at its root: server-alias, from-to-www-redirect, app-root."""

from __future__ import annotations

import re

from gen.dialects import values
from gen.dialects.annotation import Annotation, Family, Outcome, Values
from gen.dialects.regex import regex
from gen.errors import BadValue
from gen.ir import Redirect

_APP_ROOT = re.compile(r"/(?!/)[A-Za-z0-9._~/:?&=+!()*,-]{0,1023}")


def _aliases(text: str) -> tuple[str, ...]:
    """Names, `*.` names, and regexes behind a `~`, sorted."""
    values.plain(text, limit=4096)
    return tuple(sorted(f"~{regex(item[1:])}" if item[0] == "~" else values.host(item) for item in values.words(text)))


def _app_root(text: str) -> str:
    values.plain(text)
    if not _APP_ROOT.fullmatch(text) or re.search(r"/\.\.?(?:/|\Z)", text.partition("?")[0]):
        raise BadValue("AnnotationInvalid", f"{values.shown(text)} is not an absolute path, perhaps with a query")
    return text


def _build(found: Values) -> Outcome:
    effects: dict[str, object] = {}
    aliases = found.get("server-alias", ())
    patterns = tuple(alias[1:] for alias in aliases if alias.startswith("~"))
    if patterns and found.is_strict:
        raise BadValue("InvalidHost", f"{values.shown(patterns[0])} is a regex, which could take any name")
    effects["alias_patterns"] = patterns
    effects["aliases"] = tuple(alias for alias in aliases if not alias.startswith("~"))
    if found.get("from-to-www-redirect"):
        effects["www"] = Redirect(found.settings["http-redirect-code"], cut_slash=True)
    if root := found.get("app-root"):
        path, _, query = root.partition("?")
        effects["app_root"] = Redirect(302, path=path, query=query)
    return Outcome(effects=effects)


FAMILY = Family(
    (
        Annotation(
            "server-alias", _aliases, "host", "high", "aliases",
            "More names of the host, comma-separated; a name that is a host of its own is left out. In the "
            "ingress-nginx profile `~` begins a regex.", bad_value="reject",
        ),
        Annotation(
            "from-to-www-redirect", values.boolean, "host", "low", "action",
            "The same name with (or without) `www.` redirects to this host.", "false", "reject",
        ),
        Annotation(
            "app-root", _app_root, "host", "medium", "action", "A request for exactly `/` is redirected to this path.",
        ),
    ),
    _build,
)  # fmt: skip
