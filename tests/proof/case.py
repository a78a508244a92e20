"""The cases below tests/cases/: what each folder holds, read and checked.

    tests/cases/<family>/<case>/
        in.yaml         the objects; its first comment says what the case shows and cites the specification or an issue.
                        Comment lines that begin with one of these words say how it is run:
                            flags: options of the command line, such as --profile=ingress-nginx
                            alone: why it cannot share a proxy with other cases
                            needs: ipv6
        ir.yaml         the model that translation builds, and every Issue, word for word
        nginx/ ...      the files that each backend renders
        requests.yaml   rows: send -> want
        then.yaml       later steps: apply, delete, and the rows that hold from then on

An address of an endpoint is one of the documentation networks; when the case is run, an echo server on loopback
stands for it.  Each case keeps to a namespace and to host names of its own, so that all can run in one proxy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from tests.live.manifests import Manifest

ROOT = Path(__file__).resolve().parent.parent / "cases"
Text = str | None


class Send(Struct, frozen=True, forbid_unknown_fields=True):
    """A request, sent `times` times; `path` goes into the request line as it is."""

    host: str
    path: str = "/"
    method: str = "GET"
    scheme: str = "http"
    headers: Mapping[str, str] = {}
    body: str = ""
    sni: str | None = None
    http2: bool = False
    times: int = 1


class Upstream(Struct, frozen=True, forbid_unknown_fields=True):
    """The request as the upstream shall see it; a header that is null must be absent, /.../ is a regular expression."""

    method: str | None = None
    path: str | None = None
    body: str | None = None
    headers: Mapping[str, Text] = {}


class Want(Struct, frozen=True, forbid_unknown_fields=True):
    """The answer: `service` null means the proxy itself; `instances` are all that `times` requests shall reach."""

    status: int
    service: Text | msgspec.UnsetType = msgspec.UNSET
    instances: frozenset[str] | None = None
    upstream: Upstream = Upstream()
    headers: Mapping[str, Text] = {}
    certificate: tuple[str, ...] | None = None


class Otherwise(Struct, frozen=True, forbid_unknown_fields=True):
    """What one proxy answers otherwise, and why it must."""

    want: Want
    why: str


class Row(Struct, frozen=True, forbid_unknown_fields=True, rename={"exceptions": "except"}):
    """A request and its answer."""

    send: Send
    want: Want
    exceptions: Mapping[str, Otherwise] = {}

    def wanted_from(self, backend: str) -> Want:
        """The answer of that proxy."""
        return self.exceptions[backend].want if backend in self.exceptions else self.want


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """A later event: objects that are added or replaced, objects that go (`Kind namespace/name`), what holds then."""

    change: str
    requests: tuple[Row, ...]
    apply: tuple[Any, ...] = ()
    delete: tuple[str, ...] = ()


class Case(Struct, frozen=True, eq=False):
    """One case, read."""

    name: str
    folder: Path
    comment: tuple[str, ...]
    objects: tuple[Manifest, ...]
    rows: tuple[Row, ...]
    steps: tuple[Step, ...]

    def words(self, key: str) -> list[str]:
        """The words after `key:` in the comment."""
        return [word for line in self.comment if line.startswith(f"{key}:") for word in line.partition(":")[2].split()]

    @property
    def flags(self) -> tuple[str, ...]:
        """Its options of the command line."""
        return tuple(self.words("flags"))

    @property
    def is_alone(self) -> bool:
        """Whether it cannot share a proxy with other cases."""
        return bool(self.words("alone"))


def read_case(folder: Path) -> Case:
    """The case in a folder."""
    text = (folder / "in.yaml").read_text()
    comment = tuple(line[1:].strip() for line in re.match(r"(#.*\n)*", text).group().splitlines())  # type: ignore[union-attr]
    return Case(
        name=folder.relative_to(ROOT).as_posix(),
        folder=folder,
        comment=comment,
        objects=tuple(item for item in yaml.safe_load_all(text) if item),
        rows=read(folder / "requests.yaml", tuple[Row, ...]),
        steps=read(folder / "then.yaml", tuple[Step, ...]) if (folder / "then.yaml").exists() else (),
    )


def read(file: Path, shape: type[Any]) -> Any:
    """A YAML file of that shape; an error names the file."""
    try:
        return msgspec.convert(yaml.safe_load(file.read_text()), shape)
    except msgspec.ValidationError as error:
        raise ValueError(f"{file}: {error}") from error


def all_cases() -> list[Case]:
    """Every case, sorted by name."""
    return [read_case(file.parent) for file in sorted(ROOT.glob("*/*/in.yaml"))]


def after(objects: tuple[Manifest, ...], step: Step) -> tuple[Manifest, ...]:
    """The objects after a step."""
    kept = {identity(item): item for item in objects} | {identity(item): item for item in step.apply}
    missing = [name for name in step.delete if name not in kept]
    if missing:
        raise ValueError(f"{step.change}: {missing} cannot be deleted, there are {sorted(kept)}")
    return tuple(item for name, item in kept.items() if name not in step.delete)


def identity(item: Manifest) -> str:
    """`Kind namespace/name`, or `Kind name` for a cluster-scoped object."""
    meta = item["metadata"]
    return (
        f"{item['kind']} {meta['namespace']}/{meta['name']}"
        if "namespace" in meta
        else f"{item['kind']} {meta['name']}"
    )
