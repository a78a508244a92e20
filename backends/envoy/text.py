"""The text of a file: JSON with one resource a line, and whose each line is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from gen.backend import digest_of
from gen.ir import Source

Line = tuple[bytes, Source | None]
"""A line without its end, and the object that it was made from."""

_encode = msgspec.json.Encoder().encode


class Piece(Struct, frozen=True):
    """Some lines of a file, without the end of the last one.

    Shape: `origins` are whose they are, from the first line of each on, counted from 0; `digest` identifies the text.
    """

    text: bytes
    lines: int
    origins: tuple[tuple[int, Source], ...]
    digest: str


class Section(Struct, frozen=True):
    """Pieces that follow each other in a file, with `between` at the end of all but the last one."""

    pieces: tuple[Piece, ...]
    texts: tuple[bytes, ...]
    between: bytes
    digest: str

    @property
    def text(self) -> bytes:
        """Its lines, without the end of the last one."""
        return (self.between + b"\n").join(self.texts)


class Places(Mapping[str, tuple[tuple[int, Source], ...]]):
    """The origins of a Bundle, which are asked for only where something is refused."""

    def __init__(self, files: Mapping[str, Iterable[Section]]) -> None:
        self._files = files

    def __getitem__(self, file: str) -> tuple[tuple[int, Source], ...]:
        return origins(piece for section in self._files[file] for piece in section.pieces)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


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


def piece(lines: Sequence[Line]) -> Piece:
    """Lines that stay together."""
    found: list[tuple[int, Source]] = []
    for number, (_, source) in enumerate(lines):
        if source is not None and not (found and found[-1][1] is source):
            found.append((number, source))
    text = b"\n".join([text for text, _ in lines])
    return Piece(text, len(lines), tuple(found), digest_of(text))


def section(pieces: Iterable[Piece], between: bytes = b",") -> Section:
    """Pieces one after the other."""
    pieces = tuple(pieces)
    texts = tuple([each.text for each in pieces])
    return Section(pieces, texts, between, "".join([each.digest for each in pieces]))


def joined(sections: Iterable[Section]) -> bytes:
    """The bytes of a file."""
    return b"\n".join([each.text for each in sections if each.pieces]) + b"\n"


def origins(pieces: Iterable[Piece]) -> tuple[tuple[int, Source], ...]:
    """The lines at which each object begins, as a Bundle has them."""
    found: list[tuple[int, Source]] = []
    first = 1
    for piece in pieces:
        found += [(first + number, source) for number, source in piece.origins]
        first += piece.lines
    return tuple(found)
