"""The cases below tests/cases/: what each folder holds, read and checked.

    tests/cases/<family>/common.yaml     objects that all cases of the family have, and their flags; most have none
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

A case below annotations/ has the name of the annotation that it is about, one below configmap/ is about the keys of its
ConfigMap.  Instead of whole files they keep what these change, one file a backend: nginx.diff, haproxy.diff, envoy.diff
(see tests.proof.golden).

An address of an endpoint is one of the documentation networks; when the case is run, an echo server on loopback
stands for it.  Each case keeps to objects and to host names of its own, so that all can run in one proxy.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from gen.dialects.ingress_nginx import ROWS
from tests.live.manifests import Manifest

ROOT = Path(__file__).resolve().parent.parent / "cases"
Text = str | None
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Send(Struct, frozen=True, forbid_unknown_fields=True):
    """A request, sent `times` times; `path` goes into the request line as it is.

    Shape: `at_once` sends all of them together; `keep_cookies` sends the cookies of the first answer with the others;
    `certificate` is a file of tests/data that the client shows, `newest_tls` is TLSv1.2 or empty; `size` adds so many
    bytes to the body.
    """

    host: str
    path: str = "/"
    method: str = "GET"
    scheme: str = "http"
    headers: Mapping[str, str] = {}
    body: str = ""
    sni: str | None = None
    http2: bool = False
    times: int = 1
    at_once: bool = False
    keep_cookies: bool = False
    certificate: str = ""
    newest_tls: str = ""
    size: int = 0


class Upstream(Struct, frozen=True, forbid_unknown_fields=True):
    """The request as the upstream shall see it; a header that is null must be absent, /.../ is a regular expression."""

    method: str | None = None
    path: str | None = None
    version: str | None = None
    body: str | None = None
    headers: Mapping[str, Text] = {}


class Want(Struct, frozen=True, forbid_unknown_fields=True):
    """The answer.

    Shape: `status` may be the number of answers by their status, and 0 is a connection without an answer; `service`
    null means the proxy itself; `instances` are all that `times` requests shall reach, `instance_count` how many,
    `most_instances` at most; `others` are Services that must see a request of their own (null: must see none);
    `seconds` is how long it takes at least.
    """

    status: int | Mapping[int, int]
    service: Text | msgspec.UnsetType = msgspec.UNSET
    instances: frozenset[str] | None = None
    instance_count: int | None = None
    most_instances: int | None = None
    others: Mapping[str, Upstream | None] = {}
    seconds: float = 0.0
    upstream: Upstream = Upstream()
    headers: Mapping[str, Text] = {}
    certificate: tuple[str, ...] | None = None
    cipher: str | None = None


class Otherwise(Struct, frozen=True, forbid_unknown_fields=True):
    """What one proxy answers otherwise, and why it must."""

    want: Want
    why: str


class Row(Struct, frozen=True, forbid_unknown_fields=True, rename={"exceptions": "except"}):
    """A request and its answer; `differs` says why the proxies agree on no more than what is wanted."""

    send: Send
    want: Want
    exceptions: Mapping[str, Otherwise] = {}
    differs: str = ""

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
    common: Path | None = None
    common_flags: tuple[str, ...] = ()

    def words(self, key: str) -> list[str]:
        """The words after `key:` in the comment."""
        return words(self.comment, key)

    @property
    def flags(self) -> tuple[str, ...]:
        """Its options of the command line, else those of its family."""
        return tuple(self.words("flags")) or self.common_flags

    @property
    def annotation(self) -> str:
        """The annotation that the case is about, "" where it is about none."""
        return self.folder.name if self.folder.name in ROWS and self.folder.parent.name == "annotations" else ""

    @property
    def sources(self) -> tuple[str, ...]:
        """The files with its objects."""
        return tuple(str(file) for file in (self.common, self.folder / "in.yaml") if file)

    @property
    def is_alone(self) -> bool:
        """Whether it cannot share a proxy with other cases."""
        return bool(self.words("alone"))


def read_case(folder: Path) -> Case:
    """The case in a folder."""
    common = folder.parent / "common.yaml"
    flags = words(comment_of(common), "flags") if common.exists() else []
    return Case(
        name=folder.relative_to(ROOT).as_posix(),
        folder=folder,
        comment=comment_of(folder / "in.yaml"),
        objects=(*common_objects(folder.parent), *objects_in(folder / "in.yaml")),
        rows=read(folder / "requests.yaml", tuple[Row, ...]),
        steps=read(folder / "then.yaml", tuple[Step, ...]) if (folder / "then.yaml").exists() else (),
        common=common if common.exists() else None,
        common_flags=tuple(flags),
    )


def comment_of(file: Path) -> tuple[str, ...]:
    """The lines of the comment at the beginning of a file."""
    found = re.match(r"(#.*\n)*", file.read_text())
    return tuple(line[1:].strip() for line in found.group().splitlines()) if found else ()


def words(comment: tuple[str, ...], key: str) -> list[str]:
    """The words after `key:` in a comment."""
    return [word for line in comment if line.startswith(f"{key}:") for word in line.partition(":")[2].split()]


@functools.cache
def common_objects(family: Path) -> tuple[Manifest, ...]:
    """The objects that all cases of a family have."""
    return objects_in(family / "common.yaml") if (family / "common.yaml").exists() else ()


def objects_in(file: Path) -> tuple[Manifest, ...]:
    """The objects in a file."""
    return tuple(item for item in yaml.load_all(file.read_text(), Loader) if item)


def read(file: Path, shape: type[Any]) -> Any:
    """A YAML file of that shape; an error names the file."""
    try:
        return msgspec.convert(yaml.load(file.read_text(), Loader), shape)
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
