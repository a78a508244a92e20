"""The oracle: who must answer a request by the Kubernetes Ingress specification, as short as it can be said.

It reads the manifests themselves and shares no code with gen.  What the specification leaves open is as gen's `spec`
profile states it: the oldest Ingress wins, then namespace/name in alphabetical order; a host belongs to the namespace
of its oldest Ingress; a host never falls through to another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

Manifest = Mapping[str, Any]


def answer(ingresses: Iterable[Manifest], host: str, target: str) -> str | None:
    """The Service that must answer a request for `target` (as it stands in the request line), None for a 404."""
    oldest_first = sorted(ingresses, key=_age)
    name = _virtual_host(oldest_first, host.lower().partition(":")[0].removesuffix("."))
    claimants = [item for item in oldest_first if name in _hosts(item)]
    owners = [item for item in claimants if _namespace(item) == _namespace(claimants[0])]
    path = _normalised(target.partition("?")[0])
    matches = [rule for item in owners for rule in _paths(item, name) if _is_match(rule, path)]
    if matches:
        return _service(max(matches, key=_rank)["backend"])  # the first of equals, so the oldest
    defaults = [item for item in owners if "defaultBackend" in item["spec"]]
    if name == "":
        defaults += [
            item for item in oldest_first if not item["spec"].get("rules") and "defaultBackend" in item["spec"]
        ]
    return _service(defaults[0]["spec"]["defaultBackend"]) if defaults else None


def _age(item: Manifest) -> tuple[str, str]:
    meta = item["metadata"]
    return meta.get("creationTimestamp", "9999"), f"{_namespace(item)}/{meta['name']}"


def _namespace(item: Manifest) -> str:
    return str(item["metadata"].get("namespace", "default"))


def _hosts(item: Manifest) -> set[str]:
    return {rule.get("host", "").lower() for rule in item["spec"].get("rules") or ()}


def _virtual_host(ingresses: Sequence[Manifest], host: str) -> str:
    """The exact name, else the wildcard with one label more, else the catch-all."""
    known = {name for item in ingresses for name in _hosts(item)}
    return next((name for name in (host, "*." + host.partition(".")[2]) if name in known), "")


def _paths(item: Manifest, name: str) -> Iterator[Manifest]:
    for rule in item["spec"].get("rules") or ():
        if rule.get("host", "").lower() == name:
            yield from (rule.get("http") or {}).get("paths") or ()


def _normalised(path: str) -> str:
    """Decoded, without empty and dot segments; a final slash stays."""
    segments: list[str] = []
    for segment in unquote(path).split("/"):
        if segment == "..":
            segments[-1:] = []
        elif segment not in {"", "."}:
            segments.append(segment)
    ends_open = unquote(path).endswith(("/", "/.", "/.."))
    return "/" + "/".join(segments) + ("/" if ends_open and segments else "")


def _is_match(rule: Manifest, path: str) -> bool:
    wanted = unquote(rule.get("path") or "/")
    if rule.get("pathType") == "Exact":
        return path == wanted
    wanted = wanted.rstrip("/")
    return path == wanted or path.startswith(wanted + "/")


def _rank(rule: Manifest) -> tuple[bool, int]:
    return rule.get("pathType") == "Exact", len(unquote(rule.get("path") or "/").rstrip("/"))


def _service(backend: Manifest) -> str:
    return str(backend["service"]["name"])
