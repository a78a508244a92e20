"""Which files a path stands for, and what tells that one of them changed."""

from __future__ import annotations

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
    def changed(self) -> int:
        """When it changed last, in ns since the epoch."""
        return max(self.stamp[3:]) if self.stamp else 0


def stamp_of(status: os.stat_result) -> Stamp:
    """What differs whenever the file does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def files_at(path: str, *, recursive: bool) -> list[File]:
    """The file at a path, or the manifests in a directory in the order of their names; links are followed.

    Shape: hidden names are skipped, which leaves out what editors and ConfigMap mounts keep for themselves; `recursive`
    takes in the directories below.
    Raises: OSError where there is nothing, or the directory cannot be listed.
    """
    status = Path(path).stat()
    if not stat.S_ISDIR(status.st_mode):
        return [File(path, stamp_of(status))]
    return list(walk(path, {(status.st_dev, status.st_ino)}, recursive=recursive))


def walk(directory: str, seen: set[Identity], *, recursive: bool) -> Iterator[File]:
    """The manifests in a directory; none is visited twice, however the links go."""
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        try:
            status = entry.stat()
        except OSError:
            if entry.is_symlink() and entry.name.endswith(SUFFIXES):
                yield File(entry.path, None)
            continue
        identity = status.st_dev, status.st_ino
        if stat.S_ISDIR(status.st_mode):
            if recursive and identity not in seen:
                seen.add(identity)
                yield from walk(entry.path, seen, recursive=True)
        elif stat.S_ISREG(status.st_mode) and entry.name.endswith(SUFFIXES):
            yield File(entry.path, stamp_of(status))
