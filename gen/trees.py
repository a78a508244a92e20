"""Directories that hold the files of a bundle, and how little it takes to make one hold those of another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from gen.backend import Bundle, changed_files

DIRECTORY_MODE, FILE_MODE, SECRET_MODE = 0o750, 0o640, 0o600
SYNC_ALL_ABOVE = 64  # one sync of the file system is cheaper than so many fsyncs
NOTHING = Bundle({}, "")


class Tree(Struct, frozen=True):
    """What a directory was made to hold, and when its folders changed last."""

    bundle: Bundle
    folders: Mapping[str, int]

    def is_intact(self, root: Path) -> bool:
        """Whether nobody has added, removed or replaced a file in a folder since then, or removed any other."""
        try:
            same = all((root / folder).stat().st_mtime_ns == time for folder, time in self.folders.items())
        except OSError:
            return False
        return same and all((root / path).is_file() for path in self.bundle.files if "/" not in path)


def tree_of(root: Path, bundle: Bundle) -> Tree:
    """A directory that was just written."""
    kept = Bundle(bundle.files, bundle.digest, secrets=bundle.secrets)
    return Tree(kept, {folder: (root / folder).stat().st_mtime_ns for folder in folders_of(bundle.files) - {""}})


def folders_of(paths: Iterable[str]) -> set[str]:
    """The folders in which files are, "" for the directory itself."""
    return {path.rpartition("/")[0] for path in paths}


def write_tree(root: Path, bundle: Bundle) -> None:
    """Write the files of a bundle below a new directory and sync them."""
    root.mkdir(mode=DIRECTORY_MODE)
    change_tree(root, NOTHING, bundle)


def link_tree(old: Path, new: Path, bundle: Bundle) -> None:
    """Make a directory of links to the files of another one, which has those of a bundle."""
    new.mkdir(mode=DIRECTORY_MODE)
    for folder in folders_of(bundle.files):
        (new / folder).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    for path in bundle.files:
        os.link(f"{old}/{path}", f"{new}/{path}")
    for folder in folders_of(bundle.files):
        sync_directory(new / folder)


def change_tree(root: Path, old: Bundle, new: Bundle) -> None:
    """Make a directory that has the files of one bundle have those of another, and sync it.

    Shape: files are replaced, never written to: other directories may have links to them.
    """
    changed = {*changed_files(old, new), *((old.secrets ^ new.secrets) & old.files.keys() & new.files.keys())}
    folders = folders_of(changed)
    for folder in folders:
        (root / folder).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    for path in changed:
        if path in old.files:
            (root / path).unlink()
        if path in new.files:
            mode = SECRET_MODE if path in new.secrets else FILE_MODE
            write_file(f"{root}/{path}", new.files[path], mode, sync=len(changed) <= SYNC_ALL_ABOVE)
    if len(changed) > SYNC_ALL_ABOVE:
        os.sync()
    for folder in folders | {""}:
        sync_directory(root / folder)


def write_file(path: Path | str, content: bytes, mode: int, *, sync: bool) -> None:
    """Create a file that did not exist, with that mode whatever the umask."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(handle, mode)
        while content:
            content = content[os.write(handle, content) :]
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_directory(path: Path) -> None:
    """Make renames in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def differing_files(directory: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """The paths by which a directory differs from rendered files, sorted; hidden files are not looked at."""
    present = (
        {
            path.relative_to(directory).as_posix(): path
            for path in directory.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
        if directory.is_dir()
        else {}
    )
    return tuple(
        sorted(
            path
            for path in present.keys() | files.keys()
            if path not in files or path not in present or present[path].read_bytes() != files[path]
        )
    )
