"""Which files a path stands for, and what tells that one of them changed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

SUFFIXES = (".yaml", ".yml", ".json")

Identity = tuple[int, int]
"""Device and inode."""
Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change of contents and of inode (ns)."""


class File(Struct, frozen=True):
    """A manifest; `stamp` is None where a link leads nowhere."""

    path: str
    stamp: Stamp | None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stamp[2] if self.stamp else 0


class Tree(Struct, frozen=True):
    """The manifests at a path, the directories that were visited, and the symbolic links among both."""

    files: tuple[File, ...]
    directories: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


def stamp_of(status: os.stat_result) -> Stamp:
    """What differs whenever the file does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def tree_at(path: str, *, recursive: bool) -> Tree:
    """The file at a path, or the manifests in a directory in the order of their names; links are followed.

    Shape: hidden names are skipped, which leaves out what editors and ConfigMap mounts keep for themselves; `recursive`
    takes in the directories below.
    Raises: OSError where there is nothing, or the directory cannot be listed.
    """
    status = Path(path).stat()
    if not stat.S_ISDIR(status.st_mode):
        return Tree((File(path, stamp_of(status)),))
    walk = Walk(recursive=recursive)
    files = tuple(walk.manifests(path, status))
    return Tree(files, tuple(walk.directories), tuple(walk.links))


class Walk:
    """One visit of a directory, and of those below it if asked; none is visited twice, however the links go."""

    def __init__(self, *, recursive: bool) -> None:
        self.directories: list[str] = []
        self.links: list[str] = []
        self._recursive = recursive
        self._seen: set[Identity] = set()

    def manifests(self, directory: str, status: os.stat_result) -> Iterator[File]:
        """The manifests in a directory."""
        self._seen.add((status.st_dev, status.st_ino))
        self.directories.append(directory)
        with os.scandir(directory) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
        for entry in entries:
            below = status_of(entry)
            if below is not None and stat.S_ISDIR(below.st_mode):
                yield from self._below(entry, below)
            elif entry.name.endswith(SUFFIXES):
                yield from self._file(entry, below)

    def _below(self, entry: os.DirEntry[str], status: os.stat_result) -> Iterator[File]:
        if self._recursive and (status.st_dev, status.st_ino) not in self._seen:
            if entry.is_symlink():
                self.links.append(entry.path)
            with contextlib.suppress(FileNotFoundError):  # it has gone in this moment
                yield from self.manifests(entry.path, status)

    def _file(self, entry: os.DirEntry[str], status: os.stat_result | None) -> Iterator[File]:
        if entry.is_symlink():
            self.links.append(entry.path)
            if status is None:
                yield File(entry.path, None)
        if status is not None and stat.S_ISREG(status.st_mode):
            yield File(entry.path, stamp_of(status))


def status_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What an entry is, or its target if it is a link; None where it has gone or leads nowhere."""
    try:
        return entry.stat()
    except OSError:
        return None
