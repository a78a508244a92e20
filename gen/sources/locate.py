"""From an object's field to a file and a line, by reading that one place again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from gen.ir import Source
from gen.k8s import Ref
from gen.sources import jsontext
from gen.sources.entries import BadText, Path, Where, path_of
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

    @property
    def first(self) -> Location:
        """The first line, as far as it is known without reading."""
        return Location(self.file, self.line + self.where.line)


class Locator:
    """Finds the lines of fields; what was read stays at hand for the next question.

    Shape: `read` gives the bytes of a file, or raises OSError.
    """

    def __init__(self, places: Mapping[Ref, Place], read: Callable[[str], bytes]) -> None:
        self._places = places
        self._read = read
        self._sections = lru_cache(maxsize=8)(self._read_sections)
        self._yaml_lines = lru_cache(maxsize=8)(self._read_yaml_lines)
        self._json_items = lru_cache(maxsize=2)(self._read_json_items)

    def locate(self, source: Source) -> Location | None:
        """Where a source stands, None if unknown; the start of its object where the file is another one by now."""
        if source.file:
            return Location(source.file, source.line)
        place = self._places.get(Ref(source.kind, source.namespace, source.name))
        if place is None:
            return None
        if not source.field and not place.where.path:
            return place.first
        section = self._section(place)
        return Location(place.file, section.line + self._line(section, place, source.field)) if section else place.first

    def _section(self, place: Place) -> Section | None:
        try:
            return self._sections(place.file).get(place.digest)
        except OSError:
            return None

    def _read_sections(self, file: str) -> dict[bytes, Section]:
        return {section.digest: section for section in reversed(split(file, self._read(file)))}

    def _line(self, section: Section, place: Place, field: str) -> int:
        from gen.sources.lines import nearest

        line, path = place.where
        if not section.is_json:
            return nearest(self._yaml_lines(section, line), (*path, *path_of(field)), line)
        item = self._json_items(section).get(path)
        return jsontext.line_in(item, field) if item else line

    def _read_yaml_lines(self, section: Section, first: int) -> dict[Path, int]:
        from gen.sources.lines import lines_of

        return lines_of(section.text, first)

    def _read_json_items(self, section: Section) -> dict[Path, jsontext.Item]:
        try:
            return jsontext.items_in(encoded(section.text))
        except BadText:
            return {}
