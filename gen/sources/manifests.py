"""Objects from manifests: files, directories, standard input.

YAML of many documents, JSON, `List`s, the output of helm and of kubectl.  One bad object never hides another: it
becomes an Issue with its file and line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from gen.errors import InputError
from gen.ir import Issue, Source
from gen.k8s import Ingress, Object, Ref
from gen.selector import Selector, parse
from gen.sources.entries import Fault, Found
from gen.sources.locate import Location, Locator, Place
from gen.sources.sections import MAX_FILE, Contents, Known, read_file
from gen.sources.tree import SUFFIXES, tree_at

STDIN = "<stdin>"
MAX_TOTAL = 1024 * 1024 * 1024


class Choice(Struct, frozen=True):
    """Which Ingresses count, and the namespace of objects that name none.

    Shape: with a `namespace` only its Ingresses count; the `selector` looks at their labels.  Everything else is kept:
    it serves only where one of them, or an option, refers to it.
    """

    namespace: str = ""
    selector: Selector = Selector()

    @property
    def default_namespace(self) -> str:
        """Where objects are that name no namespace."""
        return self.namespace or "default"

    def takes(self, found: Found) -> bool:
        """Whether an object counts."""
        if not isinstance(found.object, Ingress):
            return True
        in_namespace = self.namespace in ("", found.ref.namespace)
        return in_namespace and self.selector.matches(found.object.metadata.labels)

    def tells(self, fault: Fault) -> bool:
        """Whether a fault concerns an object that could count."""
        return not (self.namespace and fault.kind == "Ingress" and fault.namespace not in ("", self.namespace))


class FileContents(Struct, frozen=True):
    """What a file holds.

    Shape: `kept` are objects of an earlier state that its faults may hide now; `issue` says why it was not read.
    """

    name: str
    sections: tuple[Contents, ...] = ()
    kept: tuple[tuple[Found, Place], ...] = ()
    issue: Issue | None = None


class Manifests(Struct, frozen=True):
    """All objects, the faults of their texts, and where everything stands.

    Shape: `locate` gives the file and line of a field, None where it comes from no manifest.
    """

    objects: Mapping[Ref, Object]
    issues: tuple[Issue, ...]
    locate: Callable[[Source], Location | None]


def read(
    paths: Sequence[str],
    *,
    recursive: bool = False,
    namespace: str = "",
    selector: str = "",
    stdin: BinaryIO | None = None,
) -> Manifests:
    """What the manifests at these paths hold; `-` is standard input.

    Raises: InputError for a path that cannot be read or holds nothing; UsageError for a bad selector.
    """
    choice = Choice(namespace, parse(selector))
    piped = read_stdin(stdin or sys.stdin.buffer) if "-" in paths else b""
    names = dict.fromkeys(name for path in paths for name in names_at(path, recursive=recursive))

    def bytes_of(name: str) -> bytes:
        return piped if name == STDIN else read_bytes(name)

    files = []
    room = MAX_TOTAL
    for name in names:
        try:
            data = bytes_of(name)
        except OSError as error:
            raise unreadable(name, error) from error
        room -= len(data)
        if room < 0:
            files.append(FileContents(name, issue=too_large(name, "all files together", MAX_TOTAL)))
        else:
            files.append(contents_of(name, data, choice, {}))
    return assemble(files, choice, bytes_of)


def names_at(path: str, *, recursive: bool) -> list[str]:
    """The files of a path; raises InputError where there are none."""
    if path == "-":
        return [STDIN]
    try:
        files = tree_at(path, recursive=recursive).files
    except OSError as error:
        raise unreadable(path, error) from error
    if not files:
        deeper = "" if recursive else ", and directories below it are not looked at"
        raise InputError(f"{path}: there are no manifests ({' '.join('*' + end for end in SUFFIXES)}) in it{deeper}")
    return [file.path for file in files]


def read_stdin(stream: BinaryIO) -> bytes:
    """All of standard input; raises InputError where that is nothing."""
    data = stream.read(MAX_FILE + 1)
    if not data.strip():
        raise InputError("there is nothing on standard input")
    return data


def read_bytes(name: str) -> bytes:
    """The bytes of a file, at most one more than are taken; raises OSError."""
    with Path(name).open("rb") as file:
        return file.read(MAX_FILE + 1)


def unreadable(path: str, error: OSError) -> InputError:
    """The exception for a path that cannot be read."""
    return InputError(f"{error.filename or path}: {error.strerror or error}")


def contents_of(name: str, data: bytes, choice: Choice, known: Known) -> FileContents:
    """What a file holds."""
    if len(data) > MAX_FILE:
        return FileContents(name, issue=too_large(name, "a file", MAX_FILE))
    return FileContents(name, read_file(name, data, choice.default_namespace, known))


def too_large(name: str, what: str, limit: int) -> Issue:
    """The issue of a file that is left out because of its size."""
    return file_issue(name, "TooLarge", f"{what} of more than {limit} bytes")


def file_issue(name: str, code: str, message: str) -> Issue:
    """An issue of a file as a whole."""
    return Issue(Source("", "", "", file=name, line=1), code, message)


def assemble(files: Iterable[FileContents], choice: Choice, read_again: Callable[[str], bytes]) -> Manifests:
    """The objects of all files; of two with the same identity the first one counts."""
    objects: dict[Ref, Object] = {}
    places: dict[Ref, Place] = {}
    locator = Locator(places, read_again)
    issues: list[Issue] = []
    kept: list[tuple[Found, Place]] = []
    for file in files:
        issues += issues_of(file, choice)
        kept += file.kept
        for found, place in found_in(file):
            if found.ref in objects:
                is_copy = found.object == objects[found.ref]
                issues.append(duplicate(found.ref, locator.at(place), locator.at(places[found.ref]), is_copy=is_copy))
            elif choice.takes(found):
                objects[found.ref], places[found.ref] = found.object, place
    for found, place in kept:
        if found.ref not in objects:
            objects[found.ref], places[found.ref] = found.object, place
    return Manifests(objects, tuple(issues), locator.locate)


def found_in(file: FileContents) -> Iterator[tuple[Found, Place]]:
    """The objects in a file."""
    for section in file.sections:
        for entry in section.entries:
            if isinstance(entry, Found):
                yield entry, Place(file.name, section.line, section.digest, entry.where)


def issues_of(file: FileContents, choice: Choice) -> Iterator[Issue]:
    """The issues of a file and of the objects in it."""
    if file.issue:
        yield file.issue
    for section in file.sections:
        for entry in section.entries:
            if isinstance(entry, Fault) and choice.tells(entry):
                yield entry.issue(file.name, section.line)


def duplicate(ref: Ref, place: Location, first: Location, *, is_copy: bool) -> Issue:
    """The issue of an object that was there before; a mere copy does no harm."""
    message = f"{ref} is left out: it is there already, at {first}"
    source = Source(ref.kind, ref.namespace, ref.name, "", place.file, place.line)
    return Issue(source, "DuplicateObject", message, "warning" if is_copy else "error")
