"""The page about annotations and keys of the ConfigMap, made from the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

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


class Support(NamedTuple):
    """What a proxy honours, and how, or why not: see gen.backend.Backend."""

    features: frozenset[str]
    words: Mapping[str, str]


def page(proxies: Mapping[str, Support]) -> str:
    """The page in Markdown; `proxies` by their names."""
    names = sorted(proxies)
    return "".join((_HEAD, *_families(names, proxies), _KEYS, *_settings()))


def _families(names: list[str], proxies: Mapping[str, Support]) -> Iterator[str]:
    for title, family in zip(TITLES, FAMILIES, strict=True):
        yield f"\n## {title.rstrip('.')}\n\n"
        yield f"| annotation | what it does | default | risk | scope | bad value | {' | '.join(names)} |\n"
        yield f"|---|---|---|---|---|---|{'---|' * len(names)}\n"
        for row in sorted(family.rows, key=lambda row: row.name):
            yield _line(row, [proxies[name].features for name in names])
        yield from _ways(dict.fromkeys(row.fills for row in family.rows if row.fills), names, proxies)


def _ways(fields: Iterable[str], names: list[str], proxies: Mapping[str, Support]) -> Iterator[str]:
    """How each proxy does what the rows ask for, or why it does not."""
    yield f"\n| how | {' | '.join(names)} |\n|---|{'---|' * len(names)}\n"
    for field in fields:
        yield f"| {field.replace('_', ' ')} | {' | '.join(_way(field, proxies[name]) for name in names)} |\n"


def _way(field: str, proxy: Support) -> str:
    is_done = field in ALWAYS or _word(field) in proxy.features
    return f"{proxy.words[field]}" if is_done else f"**no**: {proxy.words[field]}"


def _word(field: str) -> str:
    return "regex" if field == "match" else field


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
    return "yes" if row.fills in ALWAYS or _word(row.fills) in features else "no"


def _settings() -> Iterator[str]:
    for row in SETTINGS:
        default, spec = f"`{row.default}`" if row.default else "-", f"`{row.in_spec}`" if row.in_spec else "the same"
        yield f"| `{row.name}` | {default} | {spec} | {row.doc} |\n"
