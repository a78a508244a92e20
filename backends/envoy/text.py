"""The text of a file: JSON with one resource a line, and whose each line is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec

from gen.ir import Source

Line = tuple[bytes, Source | None]
"""A line without its end, and the object that it was made from."""

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Memo:
    """What was made from the very same objects the last time is not made again."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[object, ...], object]] = {}
        self._next: dict[str, tuple[tuple[object, ...], object]] = {}

    def recall(self, name: str, make: Callable[..., T], *origins: object) -> T:
        """What `make` gives for these origins."""
        known = self._last.get(name)
        if known is None or any(a is not b for a, b in zip(known[0], origins, strict=True)):
            known = (origins, make(*origins))
        self._next[name] = known
        return known[1]  # type: ignore[return-value]  # kept under a name that always stands for the same type

    def same(self, name: str, value: T) -> T:
        """The value, or the very one of the last time where that is equal."""
        known = self._last.get(name)
        if known is not None and known[1] == value:
            value = known[1]
        self._next[name] = ((), value)
        return value

    def forget(self) -> None:
        """Drop what was not asked for since the last time."""
        self._last, self._next = self._next, {}


def line(value: Mapping[str, object], source: Source | None = None) -> Line:
    """A resource on one line."""
    return msgspec.json.format(_encode(value), indent=0), source


def block(value: Mapping[str, object]) -> list[Line]:
    """A resource on many lines, for those that are there to be read."""
    return [(text, None) for text in msgspec.json.format(_encode(value)).split(b"\n")]


def opened(head: Mapping[str, object], key: str, items: Iterable[Iterable[Line]], source: Source | None) -> list[Line]:
    """A resource whose list `key` has its items on lines of their own."""
    beginning = line(head)[0][:-1] + (b", " if head else b"")
    lines = [(b'%s"%s": [' % (beginning, key.encode()), source)]
    lines.extend(listed(items))
    lines.append((b"]}", source))
    return lines


def listed(items: Iterable[Iterable[Line]]) -> list[Line]:
    """Items of a list, with the commas between them."""
    lines: list[Line] = []
    for item in items:
        if lines:
            text, source = lines[-1]
            lines[-1] = (text + b",", source)
        lines.extend(item)
    return lines


def joined(lines: Iterable[Line]) -> bytes:
    """The bytes of a file."""
    return b"\n".join([text for text, _ in lines]) + b"\n"


def origins(lines: Iterable[Line]) -> tuple[tuple[int, Source], ...]:
    """The lines at which each object begins, as a Bundle has them."""
    found: list[tuple[int, Source]] = []
    for number, (_, source) in enumerate(lines, start=1):
        if source is not None and not (found and found[-1][1] is source):
            found.append((number, source))
    return tuple(found)
