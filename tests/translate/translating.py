"""From raw manifests to a translation, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gen.errors import BadValue
from gen.ir import Forward, Host, Issue, Source
from gen.k8s import KINDS, Object, parse, ref_of
from gen.store import Change, Store
from gen.translate import Settings, Translation, Translator

Manifest = Mapping[str, Any]
FILES = Settings(assume_class=True, allow_loopback=True, allow_external_name=True)


def objects(manifests: Iterable[Manifest]) -> list[Object]:
    """The views of manifests that are known to be well-formed."""
    return [parse(item["kind"], item) for item in manifests]


def store_of(items: Iterable[Object]) -> Store:
    """A store that holds these objects."""
    store = Store()
    store.apply(Change(ref_of(item), item) for item in items)
    return store


def translate(manifests: Iterable[Manifest], settings: Settings = FILES, *, now: float | None = None) -> Translation:
    """The translation of manifests, from scratch."""
    return Translator(settings).translate(store_of(objects(manifests)), now=now)


def translate_any(manifests: Iterable[Any], settings: Settings, *, now: float | None = None) -> Translation:
    """The same for input that may be anything: what is no object becomes an issue, as a source would do it."""
    good: list[Object] = []
    bad: list[Issue] = []
    for item in manifests:
        kind = str(item.get("kind", "")) if isinstance(item, dict) else ""
        if kind not in KINDS:
            bad.append(Issue(Source("", "", ""), "UnsupportedKind" if kind else "BadType", ""))
            continue
        try:
            good.append(parse(kind, item))
        except BadValue as fault:
            bad.append(Issue(Source(kind, "", ""), fault.code, str(fault)))
    found = Translator(settings).translate(store_of(good), now=now)
    return Translation(found.config, tuple(sorted((*found.issues, *bad))))


def codes(translation: Translation, severity: str = "") -> set[str]:
    """The codes of the issues, perhaps only of one severity."""
    return {issue.code for issue in translation.issues if severity in {"", issue.severity}}


def table(host: Host) -> list[tuple[str, str, str]]:
    """The routes of a host in words: kind, path, where to."""
    return [(route.match.kind, route.match.path, words(route.action)) for route in host.routes]


def words(action: object) -> str:
    """An action in words."""
    if isinstance(action, Forward):
        return action.split[0].upstream
    status = getattr(action, "status", "")
    return f"{status} {getattr(action, 'url', '') or getattr(action, 'path', '')}".strip()
