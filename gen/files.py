"""Generations: complete configuration directories, published by one rename.

    STATE/gen-<digest>/   a complete bundle, never changed once it has that name
    STATE/current         symlink to the generation that the proxy reads
    STATE/accepted        symlink to the last generation that the proxy confirmed

A generation is made under a temporary name, synced, and renamed.  It is made of one that this process wrote: of the
oldest, which nobody needs any more, else of links to the files of the current one.  So a small change writes little.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gen.backend import Bundle
from gen.errors import ApplyError
from gen.trees import DIRECTORY_MODE, NOTHING, Tree, change_tree, link_tree, sync_directory, tree_of

KEEP = 3


class Generations:
    """The generations below one state directory; not safe for two processes at once."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._known: dict[str, Tree] = {}

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
        if target.is_dir() and (bundle.digest in self._known or self._holds(bundle)):
            return target
        draft = self.state_dir / f".draft-{bundle.digest}"
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
            shutil.rmtree(draft, ignore_errors=True)
            change_tree(draft, self._begin(draft), bundle)
            self._discard(target)
            draft.rename(target)
            sync_directory(self.state_dir)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise ApplyError(f"cannot write {target}: {error.strerror or error}") from error
        self._known[bundle.digest] = tree_of(target, bundle)
        return target

    def _holds(self, bundle: Bundle) -> bool:
        """Whether the generation of an earlier gen is what it was then."""
        try:
            return self.load(bundle.digest).files == bundle.files
        except ApplyError:
            return False

    def _discard(self, changed: Path) -> None:
        """Make room where a generation is that somebody has changed."""
        if changed.is_dir():
            away = changed.with_name(f".changed-{changed.name}")
            shutil.rmtree(away, ignore_errors=True)
            changed.rename(away)
            shutil.rmtree(away, ignore_errors=True)

    def _begin(self, draft: Path) -> Bundle:
        """Make a directory of an older generation, and give what it holds."""
        for digest in reversed(self._surplus(KEEP - 1)):
            known = self._known.pop(digest, None)
            if known and known.is_intact(self.directory(digest)):
                self.directory(digest).rename(draft)
                return known.bundle
        current = self.current()
        known = self._known.get(current) if current else None
        if current and known and known.is_intact(self.directory(current)):
            try:
                link_tree(self.directory(current), draft, known.bundle)
            except OSError:  # not every file system has hard links
                shutil.rmtree(draft, ignore_errors=True)
            else:
                return known.bundle
        draft.mkdir(mode=DIRECTORY_MODE)
        return NOTHING

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
        for digest in self._surplus(keep):
            self._known.pop(digest, None)
            shutil.rmtree(self.directory(digest), ignore_errors=True)

    def _surplus(self, keep: int) -> list[str]:
        """The generations that nobody needs, the oldest last."""
        held = {self.current(), self.accepted()}
        found = sorted(self.state_dir.glob("gen-*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [digest for path in found[keep:] if (digest := path.name.removeprefix("gen-")) not in held]

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
