"""Where a rendered bundle goes: to stdout without its secrets, or into a directory that gen keeps in order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from gen.backend import Bundle
from gen.errors import UsageError
from gen.trees import DIRECTORY_MODE, FILE_MODE, SECRET_MODE, write_file

LIST = ".gen-files"
"""A file in the directory that names the files which gen wrote there, one a line."""


def as_text(bundle: Bundle) -> bytes:
    """All files of a bundle one after another, each below a line with its path; what holds keys is only named.

    Shape: a bundle of a single file is that file, byte for byte.
    """
    if len(bundle.files) == 1 and not bundle.secrets:
        return next(iter(bundle.files.values()))
    return b"\n".join(section(bundle, path) for path in sorted(bundle.files))


def section(bundle: Bundle, path: str) -> bytes:
    """One file with its heading."""
    if path in bundle.secrets:
        return f"# ==== {path}: holds a private key, so it is not printed; -o DIR writes it ====\n".encode()
    return f"# ==== {path} ====\n".encode() + bundle.files[path].rstrip(b"\n") + b"\n"


def write_directory(directory: Path, bundle: Bundle) -> None:
    """Make a directory hold the files of a bundle, and of those that gen wrote there before no others.

    Raises: UsageError rather than touch a file that gen did not write.
    """
    before = files_before(directory)
    strangers = bundle.files.keys() - before if before else ()  # a directory without a list was empty
    foreign = [path for path in sorted(strangers) if os.path.lexists(directory / path)]
    if foreign:
        raise UsageError(f"{directory / foreign[0]} is not gen's: it is not overwritten")
    try:
        make_folders(directory, bundle.files)
        write_list(directory, before | bundle.files.keys())
        for path, content in bundle.files.items():
            mode = SECRET_MODE if path in bundle.secrets else FILE_MODE
            if path in before:
                write_if_different(directory / path, content, mode)
            else:
                write_file(f"{directory}/{path}", content, mode, sync=False)
        if gone := before - bundle.files.keys():
            remove(directory, gone)
            write_list(directory, bundle.files.keys())
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or directory}: {error.strerror or error}") from error


def files_before(directory: Path) -> set[str]:
    """The paths that gen wrote there before.  Raises UsageError for a directory with anything else in it."""
    try:
        paths = (directory / LIST).read_text().splitlines()
    except FileNotFoundError:
        paths = []
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise UsageError(f"{directory} is not an empty directory, and gen did not make it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {directory / LIST}: {error}") from error
    for path in paths:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise UsageError(f"{directory / LIST} names {path!r}, which is outside")
    return set(paths)


def make_folders(directory: Path, paths: Collection[str]) -> None:
    """Make the directory and its folders.  Raises UsageError where one is a symlink, which may lead anywhere."""
    directory.mkdir(parents=True, exist_ok=True)
    for folder in sorted(folders_above(paths)):
        place = directory / folder
        if place.is_symlink():
            raise UsageError(f"{place} is a symlink: gen does not write through it")
        place.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def folders_above(paths: Iterable[str]) -> set[str]:
    """The folders above these paths, relative like them."""
    parents = {path.rpartition("/")[0] for path in paths} - {""}
    return parents | folders_above(parents) if parents else parents


def write_if_different(path: Path, content: bytes, mode: int) -> None:
    """Replace a file by one rename, unless it is the same already."""
    with contextlib.suppress(OSError):
        if path.stat().st_mode & 0o777 == mode and path.read_bytes() == content:
            return
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    write_file(draft, content, mode, sync=False)
    draft.replace(path)


def write_list(directory: Path, paths: Collection[str]) -> None:
    """Note what is gen's."""
    write_if_different(directory / LIST, "".join(f"{path}\n" for path in sorted(paths)).encode(), FILE_MODE)


def remove(directory: Path, paths: Collection[str]) -> None:
    """Remove files, and the folders that are empty then."""
    for path in paths:
        (directory / path).unlink(missing_ok=True)
    for folder in sorted(folders_above(paths), reverse=True):
        with contextlib.suppress(OSError):
            (directory / folder).rmdir()
