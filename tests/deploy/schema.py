"""Objects against the schema of the API that the kubernetes package carries: unknown fields and wrong types are told.

The package's own parsers also take Python's names of fields; an API server does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes.client import models
from pydantic import ValidationError

PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "datetime": (str,),
    "object": (str, int, float, bool, list, dict),
    "bytes": (str,),
}
GENERIC = re.compile(r"(List|Dict)\[(?:str, )?(.+)\]")


def faults(item: Any) -> list[str]:
    """What an API server would not understand in an object."""
    name = f"{item['apiVersion'].removesuffix('.k8s.io').rpartition('/')[2].capitalize()}{item['kind']}"
    model = getattr(models, name, None)
    if model is None:
        return [f"the package has no {name}"]
    try:
        model.model_validate(item)
    except ValidationError as error:
        return str(error).splitlines()
    return list(differences(item, name, item["kind"]))


def differences(value: Any, kind: str, where: str) -> Iterator[str]:
    """Unknown fields and wrong types at and below a place."""
    if kind in PLAIN:
        if not any(type(value) is wanted for wanted in PLAIN[kind]):
            yield f"{where}: expected {kind}, found {value!r}"
    elif generic := GENERIC.fullmatch(kind):
        children = children_of(value, generic[1])
        if children is None:
            yield f"{where}: expected a {generic[1].lower()}, found {value!r}"
            return
        for key, child in children:
            yield from differences(child, generic[2], f"{where}[{key}]")
    else:
        yield from of_model(value, getattr(models, kind), where)


def children_of(value: Any, container: str) -> list[tuple[Any, Any]] | None:
    """What is in a list or a mapping, None where the value is something else."""
    if container == "Dict":
        return list(value.items()) if isinstance(value, dict) else None
    return list(enumerate(value)) if isinstance(value, list) else None


def of_model(value: Any, model: Any, where: str) -> Iterator[str]:
    """The same for a value with named fields."""
    if not isinstance(value, dict):
        yield f"{where}: expected fields, found {value!r}"
        return
    types = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
    for key, child in value.items():
        if key not in types:
            yield f"{where}.{key}: there is no such field"
        else:
            yield from differences(child, types[key], f"{where}.{key}")
