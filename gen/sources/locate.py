"""From an object's field to a file and a line, by reading that one place again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from gen.ir import Source
from gen.k8s import Ref
from gen.sources import jsontext
from gen.sources.entries import BadText, Steps, Where, steps_of
from gen.sources.sections import Section, encoded, split


class Location(NamedTuple):
    """A line (from 1) of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Place(Struct, frozen=True, gc=False):
    """Where an object was found: its file, the first line and the digest of its section, and where it is in there."""

    file: str
    line: int
    digest: bytes
    where: Where


class Locator:
    """Finds the lines of fields; what was read stays at hand for the next question.

    Shape: `read` gives the bytes of a file, or raises OSError.
    """

    def __init__(self, places: Mapping[Ref, Place], read: Callable[[str], bytes]) -> None:
        self._places = places
        self._read = read
        self._sections = lru_cache(maxsize=128)(self._read_sections)  # issues come in the order of names, not of files
        self._yaml_lines = lru_cache(maxsize=8)(self._read_yaml_lines)
        self._json_items = lru_cache(maxsize=2)(self._read_json_items)

    def locate(self, source: Source) -> Location | None:
        """Where a source stands, None if unknown; the start of its object where the file is another one by now."""
        if source.file:
            return Location(source.file, source.line)
        place = self._places.get(Ref(source.kind, source.namespace, source.name))
        return self.at(place, source.field) if place else None

    def at(self, place: Place, field: str = "") -> Location:
        """Where a field of the object at a place stands."""
        first = Location(place.file, place.line + place.where.line)
        if not field and not place.where.path:
            return first
        try:
            section = self._sections(place.file).get(place.digest)
        except OSError:
            return first
        return Location(place.file, section.line + self._line(section, place.where, field)) if section else first

    def _line(self, section: Section, where: Where, field: str) -> int:
        from gen.sources.lines import nearest

        if section.is_json:
            item = self._json_items(section).get(where.path)
            return jsontext.line_in(item, field) if item else where.line
        return nearest(self._yaml_lines(section).get(where.line, {}), (*where.path, *steps_of(field)), where.line)

    def _read_sections(self, file: str) -> dict[bytes, Section]:
        return {section.digest: section for section in reversed(split(file, self._read(file)))}

    def _read_yaml_lines(self, section: Section) -> dict[int, dict[Steps, int]]:
        from gen.sources.lines import lines_of

        return lines_of(section.text)

    def _read_json_items(self, section: Section) -> dict[Steps, jsontext.Item]:
        try:
            return jsontext.items_in(encoded(section.text))
        except BadText:
            return {}
