"""Reading annotations in tests."""

from __future__ import annotations

from collections.abc import Mapping

from gen.dialects import ingress_nginx as dialect
from gen.dialects.annotation import Effects
from gen.dialects.ingress_nginx.configmap import effective
from gen.dialects.ingress_nginx.ground import Ground
from gen.ir import Source

SOURCE = Source("Ingress", "t1", "i")


def ground(*, is_strict: bool = False, **keys: str) -> Ground:
    """The ground over a ConfigMap, keys with underscores."""
    data = {name.replace("_", "-"): text for name, text in keys.items()}
    found, faults = effective(data, is_spec=is_strict)
    assert not faults
    plain = {key: one.value for key, one in found.items()} | {"https-port": 443}
    return Ground(plain, is_strict=is_strict)


LENIENT = ground()
STRICT = ground(is_strict=True)


def read(annotations: Mapping[str, str], on: Ground = LENIENT) -> Effects:
    """What annotations without their prefix amount to."""
    return dialect.read({f"{dialect.PREFIX}/{name}": text for name, text in annotations.items()}, SOURCE, on)


def codes(found: Effects) -> set[tuple[str, str]]:
    """The codes and severities of the issues."""
    return {(issue.code, issue.severity) for issue in found.issues}
