"""JSON manifests, decoded straight into the views: `kubectl get -o json`, lists, arrays.

Only objects that are well take this way.  Whatever is wrong is read once more as plain values, which say what it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from gen.errors import BadValue
from gen.k8s import decode
from gen.sources.entries import (
    API_VERSIONS,
    BadText,
    Entry,
    Fault,
    Steps,
    Where,
    admit,
    entries_of,
    fault_in,
    is_list,
    item_kind,
    meant_for_us,
    steps_of,
)

MAX_OBJECT = 8 * 1024 * 1024
"""No object of the API can be that large: etcd takes 1.5 MiB."""
BYTE = re.compile(r" \(byte (?P<offset>[0-9]+)\)$")


class Head(Struct, rename="camel", gc=False):
    """What an object says of itself."""

    kind: str | None = None
    api_version: str | None = None
    items: list[Raw] | UnsetType | None = UNSET


class Item(NamedTuple):
    """One JSON value of a section."""

    text: bytes
    where: Where = Where()


HEAD = msgspec.json.Decoder(Head)
ARRAY = msgspec.json.Decoder(list[Raw])


def read_entries(text: bytes, namespace: str) -> Iterator[Entry]:
    """The entries of a text that is one JSON value.

    Raises: BadText (JsonInvalid, TooDeep).
    """
    check(text)
    whole = Item(text)
    try:
        for item in items_of(whole, ARRAY.decode(text)) if is_array(text) else (whole,):
            yield from item_entries(item, namespace)
    except RecursionError:
        raise too_deep() from None


def is_array(text: bytes) -> bool:
    """Whether a JSON text is an array of values."""
    return text.startswith(b"[")


def is_json(text: bytes) -> bool:
    """Whether a text is one JSON value."""
    try:
        check(text)
    except BadText:
        return False
    return True


def check(text: bytes) -> None:
    """Raise BadText where a text is not one JSON value."""
    try:
        text.decode()
        msgspec.json.decode(text, type=Raw)
    except UnicodeDecodeError as error:
        raise BadText("JsonInvalid", "the text is not UTF-8", text.count(b"\n", 0, error.start)) from None
    except msgspec.DecodeError as error:
        place = BYTE.search(str(error))
        line = text.count(b"\n", 0, int(place["offset"])) if place else 0
        raise BadText("JsonInvalid", BYTE.sub("", str(error)), line) from None
    except RecursionError:
        raise too_deep() from None


def too_deep() -> BadText:
    """The fault of a text that would exhaust the stack."""
    return BadText("TooDeep", "the text is nested too deeply", 0)


def items_of(parent: Item, raws: list[Raw], *steps: str) -> Iterator[Item]:
    """The items of a list or an array, with the lines on which they start."""
    (line, path), start, end = parent.where, 0, 0
    for number, raw in enumerate(raws):
        text = bytes(raw)
        before, start = start, parent.text.find(text, end)
        line += parent.text.count(b"\n", before, start)
        yield Item(text, Where(line, (*path, *steps, number)))
        end = start + len(text)


def head_of(text: bytes) -> Head:
    """What a value says of itself: nothing, where it is no object."""
    try:
        return HEAD.decode(text)
    except UNREADABLE:
        return Head()


def item_entries(item: Item, namespace: str, list_kind: str = "", list_version: str = "") -> Iterator[Entry]:
    """The entries of one value; the API's own lists name kind and version of their items only once."""
    head = head_of(item.text)
    kind, version = head.kind or list_kind, head.api_version or list_version
    if API_VERSIONS.get(kind) == version:
        yield object_entry(item, kind, namespace)
    elif is_list(kind) and not isinstance(head.items, UnsetType):
        for inner in items_of(item, head.items or [], "items"):
            yield from item_entries(inner, namespace, item_kind(kind), version)
    elif not kind or not version or meant_for_us(kind, version):
        try:
            found = entries_of(msgspec.json.decode(item.text), item.where, namespace)
            yield from (located(entry, item) if isinstance(entry, Fault) else entry for entry in found)
        except UNREADABLE as error:
            yield Fault("JsonInvalid", str(error), item.where)


def object_entry(item: Item, kind: str, namespace: str) -> Entry:
    """The entry of a value that is meant to be an object of ours."""
    if len(item.text) > MAX_OBJECT:
        return Fault("TooLarge", f"an object of more than {MAX_OBJECT} bytes", item.where, kind=kind)
    try:
        require_unique_keys(item.text)
        return admit(decode(kind, item.text), item.where, namespace)
    except BadValue as error:
        return located(fault_in({**plain(item.text), "kind": kind}, error, item.where), item)
    except UNREADABLE as error:
        return Fault("JsonInvalid", str(error), item.where, kind=kind)


def plain(text: bytes) -> Mapping[str, object]:
    """An object as plain values, empty where it cannot be read."""
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except UNREADABLE:
        return {}


def require_unique_keys(text: bytes) -> None:
    """Raise BadValue where an object has a key twice; a text that comes out as it went in has none."""
    try:
        if msgspec.json.encode(msgspec.json.decode(text)) == msgspec.json.format(text, indent=-1):
            return
    except UNREADABLE:
        pass
    UNIQUE_KEYS.decode(text.decode())


def only_once(pairs: list[tuple[str, object]]) -> None:
    """Raise BadValue where an object has a key twice."""
    if len(dict(pairs)) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise BadValue("DuplicateKey", f"the key {twice[:60]!r} is there twice")


UNIQUE_KEYS = json.JSONDecoder(object_pairs_hook=only_once)
UNREADABLE = (ValueError, RecursionError)
"""What the decoders raise: malformed text, a number of thousands of digits, too many levels."""


def located(fault: Fault, item: Item) -> Fault:
    """The fault with the exact line of its field."""
    return replace(fault, where=item.where._replace(line=line_in(item, fault.field)))


def line_in(item: Item, field: str) -> int:
    """The line in the section on which a field of a value stands."""
    from gen.sources.lines import lines_of, nearest

    return item.where.line + nearest(lines_of(item.text.decode()).get(0, {}), steps_of(field), 0)


def items_in(text: bytes) -> dict[Steps, Item]:
    """Every value of a section that is not a list, by its path; raises BadText."""
    check(text)
    found: dict[Steps, Item] = {}
    rest = [Item(text)]
    while rest:
        item = rest.pop()
        if is_array(item.text):
            rest += items_of(item, ARRAY.decode(item.text))
        elif (head := head_of(item.text)).items and is_list(head.kind or ""):
            rest += items_of(item, head.items, "items")
        else:
            found[item.where.path] = item
    return found
