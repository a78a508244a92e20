"""What watched manifests held when they were read last, and what differs when they are read again.

A typo never takes a host away: objects that a fault may hide keep their last good state until the fault is gone.  A
fault that names its object hides that one; one that does not, such as a syntax error, hides whatever its file lacks
since then.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from gen.ir import Issue
from gen.k8s import CLUSTER_SCOPED, Object, Ref
from gen.sources import Batch
from gen.sources.entries import Entry, Fault, Found
from gen.sources.locate import Place
from gen.sources.manifests import (
    MAX_TOTAL,
    Choice,
    FileContents,
    Manifests,
    assemble,
    contents_of,
    file_issue,
    found_in,
    read_bytes,
    too_large,
)
from gen.sources.sections import MAX_FILE, Known
from gen.sources.tree import File, Stamp, stamp_of
from gen.store import Change

SETTLED = 1_000_000_000
"""Nanoseconds after which the times of a file prove that it is the same: file systems' clocks tick slowly."""


class Reading(Struct, frozen=True):
    """A file as it was read; `stamp` is None where it must be read again in any case."""

    stamp: Stamp | None
    contents: FileContents


class Memory:
    """The last state of all files; never used by two threads at once."""

    def __init__(self, choice: Choice) -> None:
        self.manifests: Manifests = assemble((), choice, read_bytes)
        self._choice = choice
        self._readings: dict[str, Reading] = {}
        self._known: Known = {}
        self._told: tuple[bool, tuple[Issue, ...]] | None = None

    def update(self, files: Iterable[File], missing: Sequence[Issue] = ()) -> Batch | None:
        """What changed since the last time, None where there is nothing to tell.

        Shape: while something is missing nothing changes; that is told only of what had been there.
        """
        before = self.manifests
        if missing:
            return self._batch((), (*before.issues, *missing), synced=False) if self._told else None
        readings = self._read_all(files)
        contents = [reading.contents for reading in readings.values()]
        if not same([reading.contents for reading in self._readings.values()], contents):
            self.manifests = assemble(contents, self._choice, read_bytes)
            self._known = {section.digest: section.entries for file in contents for section in file.sections}
        self._readings = readings
        return self._batch(differences(before.objects, self.manifests.objects), self.manifests.issues, synced=True)

    def _batch(self, changes: tuple[Change, ...], issues: tuple[Issue, ...], *, synced: bool) -> Batch | None:
        if not changes and self._told == (synced, issues):
            return None
        self._told = synced, issues
        return Batch(changes, issues, synced)

    def _read_all(self, files: Iterable[File]) -> dict[str, Reading]:
        readings: dict[str, Reading] = {}
        total = 0
        for file in unique(files):
            total += file.size
            readings[file.path] = self._read(file, room=MAX_TOTAL - total)
        return readings

    def _read(self, file: File, *, room: int) -> Reading:
        old = self._readings.get(file.path)
        if old and old.stamp and old.stamp == file.stamp:
            return old
        last = old.contents if old else FileContents(file.path)
        if room < 0:
            return failed(last, too_large(file.path, "all files together", MAX_TOTAL))
        try:
            stamp, data = read_stamped(file.path)
        except OSError as error:
            return failed(last, file_issue(file.path, "Unreadable", error.strerror or str(error)))
        new = contents_of(file.path, data, self._choice, self._known)
        if outline(new) == outline(last):
            new = last
        else:
            new = replace(new, kept=tuple(hidden(last, new, self._choice.default_namespace)))
        settled = time.time_ns() - max(stamp[3:]) > SETTLED
        return Reading(stamp if settled else None, new)


def unique(files: Iterable[File]) -> Iterator[File]:
    """Every file once, even where several paths lead to it."""
    seen: set[object] = set()
    for file in files:
        identity = file.stamp[:2] if file.stamp else file.path
        if identity not in seen:
            seen.add(identity)
            yield file


def read_stamped(path: str) -> tuple[Stamp, bytes]:
    """A file and what it was when it was read; raises OSError for anything but a regular file that can be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return stamp_of(status), file.read(MAX_FILE + 1)


def failed(last: FileContents, issue: Issue) -> Reading:
    """The last state of a file that cannot be read now."""
    return Reading(None, last if last.issue == issue else replace(last, issue=issue))


def outline(file: FileContents) -> tuple[object, ...]:
    """What two readings of a file share when nothing changed."""
    return file.issue, [(section.line, section.digest) for section in file.sections]


def same(before: list[FileContents], after: list[FileContents]) -> bool:
    """Whether these are the very same contents, in the same order."""
    return len(before) == len(after) and all(old is new for old, new in zip(before, after, strict=True))


def differences(before: Mapping[Ref, Object], after: Mapping[Ref, Object]) -> tuple[Change, ...]:
    """What leads from one state to the other."""
    if before is after:
        return ()
    changed = [Change(ref, item) for ref, item in after.items() if (old := before.get(ref)) is not item and old != item]
    return (*changed, *(Change(ref, None) for ref in before if ref not in after))


def hidden(before: FileContents, after: FileContents, namespace: str) -> Iterator[tuple[Found, Place]]:
    """The objects of a file that are not there now, but may be behind its faults."""
    there = {found.ref for found, _ in found_in(after)}
    lost = {found.ref: (found, place) for found, place in (*before.kept, *found_in(before)) if found.ref not in there}
    if not lost:
        return
    already = {section.digest for section in before.sections}
    kept_before = {found.ref for found, _ in before.kept}
    faults = [(section.digest, entry) for section in after.sections for entry in section.entries if is_error(entry)]
    named = {ref_in(fault, namespace) for _, fault in faults}
    nameless = {digest for digest, fault in faults if not fault.name}
    all_hidden = after.issue is not None or not nameless <= already
    for ref, last in lost.items():
        if all_hidden or ref in named or (nameless and ref in kept_before):
            yield last


def is_error(entry: Entry) -> TypeGuard[Fault]:
    """Whether an entry is a fault that keeps an object from being read."""
    return isinstance(entry, Fault) and entry.severity == "error"


def ref_in(fault: Fault, namespace: str) -> Ref:
    """The object that a fault is about."""
    return Ref(fault.kind, "" if fault.kind in CLUSTER_SCOPED else fault.namespace or namespace, fault.name)
