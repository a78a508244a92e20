"""The page about annotations and keys of the ConfigMap, made from the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gen.dialects.annotation import Annotation
from gen.dialects.ingress_nginx import FAMILIES, PREFIX, TITLES
from gen.dialects.ingress_nginx.configmap import SETTINGS

ALWAYS = frozenset(("action",))
"""What every proxy does, since translation itself has done it."""

_MODES = {"reject": "the Ingress is left out", "close": "503", "ignore": "the default"}
_HEAD = f"""# Annotations

Made from the rows of the registry; do not edit it by hand.

All names begin with `{PREFIX}/` (see `--annotations-prefix`). An annotation means the same in both profiles and on all
proxies; what a proxy cannot do is reported as `ProxyLacks`, and a protection that it cannot give closes the route
(503). The column *bad value* says what a value that cannot be used costs in the ingress-nginx profile; in the spec
profile it is never ignored. Annotations above the ConfigMap's `annotations-risk-level` are refused.
"""
_KEYS = """
## Keys of the global ConfigMap

`gen config print` shows the effective values. A key that is not here has no effect, which is reported.

| key | default in ingress-nginx | in spec | what it does |
|---|---|---|---|
"""


def page(features: Mapping[str, frozenset[str]]) -> str:
    """The page in Markdown; `features` are those of each proxy by its name."""
    names = sorted(features)
    return "".join((_HEAD, *_families(names, features), _KEYS, *_settings()))


def _families(names: list[str], features: Mapping[str, frozenset[str]]) -> Iterator[str]:
    for title, family in zip(TITLES, FAMILIES, strict=True):
        yield f"\n## {title.rstrip('.')}\n\n"
        yield f"| annotation | what it does | default | risk | scope | bad value | {' | '.join(names)} |\n"
        yield f"|---|---|---|---|---|---|{'---|' * len(names)}\n"
        for row in sorted(family.rows, key=lambda row: row.name):
            yield _line(row, [features[name] for name in names])


def _line(row: Annotation, features: list[frozenset[str]]) -> str:
    aliases = "".join(f", `{alias}`" for alias in row.aliases)
    default = row.default or "-"
    doc = f"No effect: {row.unsupported}. {row.doc}" if row.unsupported else row.doc
    cells = [f"`{row.name}`{aliases}", doc, default, row.risk, row.scope, _MODES[row.bad_value]]
    cells.extend(_support(row, has) for has in features)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _support(row: Annotation, features: frozenset[str]) -> str:
    if not row.fills:
        return "-"
    word = "regex" if row.fills == "match" else row.fills
    return "yes" if word in ALWAYS or word in features else "no"


def _settings() -> Iterator[str]:
    for row in SETTINGS:
        default, spec = f"`{row.default}`" if row.default else "-", f"`{row.in_spec}`" if row.in_spec else "the same"
        yield f"| `{row.name}` | {default} | {spec} | {row.doc} |\n"
