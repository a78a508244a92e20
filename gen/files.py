"""Generations: complete configuration directories, published by one rename.

    STATE/gen-<digest>/   a complete bundle, never changed once it has that name
    STATE/current         symlink to the generation that the proxy reads
    STATE/accepted        symlink to the last generation that the proxy confirmed

A generation is written under a temporary name, synced, and renamed.  Files that the previous generation has with the
same bytes are hard links to it, so a small change writes little.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from gen.backend import Bundle
from gen.errors import ApplyError

DIRECTORY_MODE, FILE_MODE, SECRET_MODE = 0o750, 0o640, 0o600
KEEP = 3
SYNC_ALL_ABOVE = 64  # one sync of the file system is cheaper than so many fsyncs


class Generations:
    """The generations below one state directory; not safe for two processes at once."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    def directory(self, digest: str) -> Path:
        """Where the generation of that digest is, or would be."""
        return self.state_dir / f"gen-{digest}"

    @property
    def current_link(self) -> Path:
        """The symlink that the proxy reads through."""
        return self.state_dir / "current"

    def write(self, bundle: Bundle) -> Path:
        """The generation directory of a bundle, written completely and synced.  Raises ApplyError."""
        target = self.directory(bundle.digest)
        if target.is_dir():
            return target
        draft = self.state_dir / f".draft-{bundle.digest}"
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
            shutil.rmtree(draft, ignore_errors=True)
            write_tree(draft, bundle, twin=self.current_link if self.current_link.exists() else None)
            draft.rename(target)
            sync_directory(self.state_dir)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise ApplyError(f"cannot write {target}: {error.strerror or error}") from error
        return target

    def publish(self, digest: str) -> None:
        """Make `current` point at a written generation.  Raises ApplyError."""
        self._point("current", digest)

    def accept(self, digest: str) -> None:
        """Remember a generation as the last good one, and drop those that are too old.  Raises ApplyError."""
        self._point("accepted", digest)
        self.prune()

    def current(self) -> str | None:
        """The digest that is published."""
        return self._target("current")

    def accepted(self) -> str | None:
        """The digest that the proxy confirmed last."""
        return self._target("accepted")

    def load(self, digest: str) -> Bundle:
        """A bundle read back from its generation; it has no Config and no origins.  Raises ApplyError."""
        directory = self.directory(digest)
        try:
            paths = sorted(path for path in directory.rglob("*") if path.is_file())
            files = {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}
        except OSError as error:
            raise ApplyError(f"cannot read {directory}: {error.strerror or error}") from error
        secrets = frozenset(name for name, path in zip(files, paths, strict=True) if path.stat().st_mode & 0o077 == 0)
        return Bundle(files=files, digest=digest, secrets=secrets)

    def prune(self, keep: int = KEEP) -> None:
        """Remove all but the newest generations; never the current or the accepted one."""
        held = {self.current(), self.accepted()}
        found = sorted(self.state_dir.glob("gen-*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in found[keep:]:
            if path.name.removeprefix("gen-") not in held:
                shutil.rmtree(path, ignore_errors=True)

    def _point(self, link: str, digest: str) -> None:
        draft, target = self.state_dir / f".{link}", self.directory(digest)
        try:
            if not target.is_dir():
                raise ApplyError(f"cannot publish {target}: it is not there")
            draft.unlink(missing_ok=True)
            draft.symlink_to(target.name)
            draft.rename(self.state_dir / link)
            os.utime(target)
            sync_directory(self.state_dir)
        except OSError as error:
            raise ApplyError(f"cannot publish {target}: {error.strerror or error}") from error

    def _target(self, link: str) -> str | None:
        try:
            name = (self.state_dir / link).readlink().name
        except OSError:
            return None
        return name.removeprefix("gen-") if (self.state_dir / name).is_dir() else None


def write_tree(root: Path, bundle: Bundle, *, twin: Path | None = None) -> None:
    """Write the files of a bundle below a new directory and sync them; files that `twin` has alike are linked."""
    root.mkdir(mode=DIRECTORY_MODE)
    for folder in sorted({path.rpartition("/")[0] for path in bundle.files} - {""}):
        (root / folder).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    fresh = [
        path for path in bundle.files if not (twin and link_if_equal(twin / path, root / path, bundle.files[path]))
    ]
    for path in fresh:
        write_file(
            root / path,
            bundle.files[path],
            SECRET_MODE if path in bundle.secrets else FILE_MODE,
            sync=len(fresh) <= SYNC_ALL_ABOVE,
        )
    if len(fresh) > SYNC_ALL_ABOVE:
        os.sync()
    sync_directory(root)


def link_if_equal(old: Path, new: Path, content: bytes) -> bool:
    """Whether the old file has that content; if so, the new one is a link to it."""
    try:
        if old.stat().st_size != len(content) or old.read_bytes() != content:
            return False
        os.link(old, new)
    except OSError:
        return False
    return True


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
