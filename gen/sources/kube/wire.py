"""Bytes of the API to objects: lists, events, and what is wrong with them.

Everything is decoded in two steps, the envelope and then each object by itself, so one bad object never costs more
than itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import msgspec
from msgspec import Raw, Struct

from gen.errors import BadValue
from gen.ir import Issue, Source
from gen.k8s import CLUSTER_SCOPED, Object, Ref, decode, ref_of
from gen.sources.kube.errors import Doubtful, Refused
from gen.sources.kube.trim import trimmed

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
INITIAL_END = "k8s.io/initial-events-end"


class _ListMeta(Struct, rename="camel"):
    resource_version: str | None = None
    continue_: str | None = msgspec.field(default=None, name="continue")


class _List(Struct):
    metadata: _ListMeta
    kind: str = ""
    items: list[Raw] | None = None


class _HeadMeta(Struct, rename="camel"):
    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    annotations: Mapping[str, str] | None = None


class _Head(Struct):
    metadata: _HeadMeta
    kind: str = ""


class _Event(Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: Raw


class _Status(Struct):
    code: int | None = None
    message: str | None = None
    reason: str | None = None


_LIST, _HEAD, _EVENT, _STATUS = (msgspec.json.Decoder(shape) for shape in (_List, _Head, _Event, _Status))


class Page(Struct):
    """A part of a list: where it stands in the server's history, and how to ask for the rest ("" when it is all)."""

    version: str
    rest: str
    items: list[Raw]


class Event(Struct):
    """One line of a watch, its object not decoded yet; `whole` marks the end of the initial events."""

    type: str
    version: str
    ref: Ref
    uid: str | None
    raw: Raw
    whole: bool


def read_page(kind: str, body: bytes) -> Page:
    """A list of objects of a kind.  Raises Doubtful for anything else."""
    try:
        found = cast("_List", _LIST.decode(body))
    except UNDECODABLE as error:
        raise Doubtful(f"the list of {kind} objects cannot be read: {error}") from error
    version = found.metadata.resource_version
    if found.kind != f"{kind}List" or not version:
        raise Doubtful(f"expected a {kind}List with a resourceVersion, got {found.kind!r}")
    return Page(version, found.metadata.continue_ or "", found.items or [])


def read_event(kind: str, line: bytes) -> Event:
    """One event of a watch of a kind.

    Raises: Refused for an ERROR event, with its status; Doubtful for anything that is not an event of this kind.
    """
    try:
        event = cast("_Event", _EVENT.decode(line))
        if event.type == "ERROR":
            raise refusal(500, event.object)
        head = cast("_Head", _HEAD.decode(event.object))
    except UNDECODABLE as error:
        raise Doubtful(f"an event of {kind} objects cannot be read: {error}") from error
    meta = head.metadata
    if head.kind != kind or not meta.resource_version:
        raise Doubtful(f"expected an event of a {kind} with a resourceVersion, got one of {head.kind!r}")
    whole = event.type == "BOOKMARK" and (meta.annotations or {}).get(INITIAL_END) == "true"
    return Event(event.type, meta.resource_version, _ref(kind, meta), meta.uid, event.object, whole)


def read_object(kind: str, raw: Raw | bytes) -> tuple[Ref, Object | Issue]:
    """An object, or the Issue that says why it cannot be read."""
    try:
        item = decode(kind, raw)
    except BadValue as error:
        return _fault(kind, raw, error.code, str(error), error.field)
    except UNDECODABLE as error:
        return _fault(kind, raw, "BadType", str(error), "")
    return ref_of(item), trimmed(item)


def read_single(ref: Ref, body: bytes) -> Object | Issue:
    """An object that was asked for by its name.  Raises Doubtful for another one."""
    try:
        head = cast("_Head", _HEAD.decode(body))
    except UNDECODABLE as error:
        raise Doubtful(f"{ref} cannot be read: {error}") from error
    if head.kind != ref.kind or head.metadata.name != ref.name:
        raise Doubtful(f"expected {ref}, got {head.kind!r} {head.metadata.name!r}")
    return read_object(ref.kind, body)[1]


def refusal(status: int, body: Raw | bytes, retry_after: str | None = None) -> Refused:
    """What a `Status` says, or at least its HTTP status when something else than the API server answered."""
    try:
        said = cast("_Status", _STATUS.decode(body))
    except UNDECODABLE:
        said = _Status(message="the answer is not one of an API server")
    wait = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdecimal() else 0.0
    return Refused(said.code or status, said.message or said.reason or "no reason given", wait)


def is_older(version: str, than: str) -> bool:
    """Whether one resourceVersion lies before another; never, where they are not both numbers."""
    comparable = all(text.isascii() and text.isdecimal() for text in (version, than))
    return comparable and (len(version), version) < (len(than), than)


def _ref(kind: str, meta: _HeadMeta) -> Ref:
    return Ref(kind, "" if kind in CLUSTER_SCOPED else meta.namespace or "default", meta.name)


def _fault(kind: str, raw: Raw | bytes, code: str, message: str, field: str) -> tuple[Ref, Issue]:
    try:
        ref = _ref(kind, cast("_Head", _HEAD.decode(raw)).metadata)
    except UNDECODABLE:
        ref = Ref(kind, "", "")
    return ref, Issue(Source(ref.kind, ref.namespace, ref.name, field), code, message)
