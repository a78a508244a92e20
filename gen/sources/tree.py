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
    def size(self) -> int:
        """Bytes."""
        return self.stamp[2] if self.stamp else 0


class Tree(Struct, frozen=True):
    """The manifests at a path, and the symbolic links among them and among the directories that were visited."""

    files: tuple[File, ...]
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
    links: list[str] = []
    files = tuple(walk(path, {(status.st_dev, status.st_ino)}, links, recursive=recursive))
    return Tree(files, tuple(links))


def walk(directory: str, seen: set[Identity], links: list[str], *, recursive: bool) -> Iterator[File]:
    """The manifests in a directory; none is visited twice, however the links go."""
    with os.scandir(directory) as entries:
        visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in visible:
        is_manifest = entry.name.endswith(SUFFIXES)
        status = status_of(entry)
        is_directory = status is not None and stat.S_ISDIR(status.st_mode)
        if entry.is_symlink() and (recursive if is_directory else is_manifest):
            links.append(entry.path)
        if status is None:
            if is_manifest and entry.is_symlink():
                yield File(entry.path, None)
        elif is_directory:
            if recursive and (identity := (status.st_dev, status.st_ino)) not in seen:
                seen.add(identity)
                yield from walk(entry.path, seen, links, recursive=True)
        elif is_manifest and stat.S_ISREG(status.st_mode):
            yield File(entry.path, stamp_of(status))


def status_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What an entry is, or its target if it is a link; None where it has gone or leads nowhere."""
    try:
        return entry.stat()
    except OSError:
        return None
