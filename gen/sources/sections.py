"""A file, cut into sections that are read, cached and blamed separately: one YAML document or JSON value each.

A document with a syntax error never hides its neighbours, and of a file that changed only the sections that changed
are read again.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from gen.sources import jsontext
from gen.sources.entries import BadText, Entry, Fault, Where, entries_of, steps_of

MAX_FILE = 256 * 1024 * 1024

MARKER = re.compile(r"\n(?=---(?:[ \t\r\n]|\Z))")
JSON_START = re.compile(r"\n(?=[{\[])")
BLANK = re.compile(r"(?:[ \t]*(?:#[^\n]*)?(?:\n|\Z))*")
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Section(Struct, frozen=True):
    """A part of a file before it is read; `line` is its first one in the file (from 1)."""

    line: int
    text: str
    is_json: bool

    @property
    def digest(self) -> bytes:
        """What identifies the text."""
        kind = b"json" if self.is_json else b"yaml"
        return hashlib.blake2b(self.text.encode("utf-8", "surrogateescape"), digest_size=16, person=kind).digest()


class Contents(Struct, frozen=True):
    """A section that was read."""

    line: int
    digest: bytes
    entries: tuple[Entry, ...]


Known = Mapping[bytes, tuple[Entry, ...]]
"""What sections held that were read before, by digest."""


def read_file(name: str, data: bytes, namespace: str, known: Known) -> tuple[Contents, ...]:
    """What a file holds; `namespace` is for objects without one."""
    result = []
    for section in split(name, data):
        digest = section.digest
        entries = known[digest] if digest in known else read_section(section, namespace)
        result.append(Contents(section.line, digest, entries))
    return tuple(result)


def split(name: str, data: bytes) -> list[Section]:
    """The sections of a file."""
    text = decoded(data)
    found = json_sections(text, strict=name.endswith(".json"))
    return found if found is not None else list(yaml_sections(text))


def decoded(data: bytes) -> str:
    """The text of a file; bytes that are not UTF-8 stay recognisable, so that only their own section is bad."""
    for bom, encoding in BOMS:
        if data.startswith(bom):
            text = data[len(bom) :].decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")
            break
    else:
        text = data.decode("utf-8", "surrogateescape")
    return text.replace("\r\n", "\n") if "\r" in text else text


def json_sections(text: str, *, strict: bool) -> list[Section] | None:
    """The values of a JSON text: one, or several that each start a line; None where it is YAML.

    Shape: `strict` says that it can be nothing but JSON.  Otherwise `{` may be YAML as well, and broken JSON between
    good values is taken for JSON only where no `---` says otherwise.
    """
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if not strict and text[start : start + 1] not in ("{", "["):
        return None
    text, line = text[start:], 1 + text.count("\n", 0, start)
    whole = Section(line, text, is_json=True)
    if not text or jsontext.is_json(encoded(text)):
        return [whole] if text else []
    parts = list(cut(text, JSON_START, line, is_json=True))
    if strict:
        return parts
    good = any(jsontext.is_json(encoded(part.text)) for part in parts)
    return parts if good and not MARKER.search(text) else None


def yaml_sections(text: str) -> Iterator[Section]:
    """The documents of a YAML text; one with directives stays whole, because they belong to the document after them."""
    if text.startswith("%") or "\n%" in text:
        yield Section(1, text, is_json=False)
        return
    for section in cut(text, MARKER, 1, is_json=False):
        if not is_blank(section.text):
            yield section


def is_blank(text: str) -> bool:
    """Whether a section has comments only."""
    return BLANK.fullmatch(text, 3 if text.startswith("---") else 0) is not None


def cut(text: str, line_end: re.Pattern[str], line: int, *, is_json: bool) -> Iterator[Section]:
    """The text, cut after each of these line ends."""
    places = [match.end() for match in line_end.finditer(text)]
    for begin, end in zip([0, *places], [*places, len(text)], strict=True):
        if begin < end:
            yield Section(line, text[begin:end], is_json)
            line += text.count("\n", begin, end)


def read_section(section: Section, namespace: str) -> tuple[Entry, ...]:
    """What a section holds; a text that cannot be read is a Fault."""
    try:
        if section.is_json:
            return tuple(jsontext.read_entries(encoded(section.text), namespace))
        return yaml_entries(section.text, namespace)
    except BadText as error:
        return (Fault(error.code, str(error), Where(error.line)),)


def yaml_entries(text: str, namespace: str) -> tuple[Entry, ...]:
    """The entries of the documents of a YAML section; those that are null are passed over, as kubectl does it."""
    from gen.sources.yamlblock import read_document
    from gen.sources.yamlevents import read_documents

    document = read_document(text)
    documents = read_documents(text) if document is None else [document]
    found: list[Entry] = []
    for line, value in ((document.line, document.value) for document in documents):
        if value is not None:
            found += entries_of(value, Where(line), namespace)
    return exact(found, text) if any(isinstance(entry, Fault) for entry in found) else tuple(found)


def exact(entries: list[Entry], text: str) -> tuple[Entry, ...]:
    """The entries of a YAML section, faults with the lines of their fields."""
    from gen.sources.lines import lines_of, nearest

    documents = lines_of(text)

    def placed(entry: Entry) -> Entry:
        if isinstance(entry, Fault):
            line, path = entry.where
            line = nearest(documents.get(line, {}), (*path, *steps_of(entry.field)), line)
            return replace(entry, where=Where(line, path))
        return entry

    return tuple(placed(entry) for entry in entries)


def encoded(text: str) -> bytes:
    """The text as bytes again."""
    return text.encode("utf-8", "surrogateescape")
