"""A bell that rings when something may have changed at some paths: watchdog, told where to look.

What it says is never taken for more than a hint.  Kernel events name hidden links rather than manifests, do not follow
links, and end silently when a directory is replaced; so the bell is hung anew whenever the directories are others.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gen.sources.tree import Tree

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers.api import BaseObserver, ObservedWatch

MAX_LINKS = 40
"""As many as Linux follows in one path."""
MAX_TARGETS = 64
"""Each costs a thread; what lies beyond is seen by the rescan."""


class Target(Struct, frozen=True):
    """A directory to watch: for some names in it, or for everything where `names` is None.

    Shape: `identity` are its device and inode, so that another directory in its place is another target.
    """

    directory: str
    identity: tuple[int, int]
    names: frozenset[str] | None = None
    recursive: bool = False


class Bell:
    """Calls `ring`, in a thread of its own, whenever something happens at its targets."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._observer: BaseObserver | None = None
        self._hung: dict[Target, ObservedWatch] = {}
        self._lock = threading.Lock()
        self._closed = False

    def hang(self, targets: Iterable[Target]) -> bool:
        """Listen at these targets and at no others; says whether any of them is new.

        Raises: OSError where the kernel has no watches left.
        """
        wanted = list(targets)[:MAX_TARGETS]
        with self._lock:
            if self._closed:
                return False
            observer = self._running_observer()
            for target in self._hung.keys() - set(wanted):
                observer.unschedule(self._hung.pop(target))
            before = len(self._hung)
            for target in wanted:
                if target not in self._hung:
                    self._schedule(observer, target)
            return len(self._hung) > before

    def close(self) -> None:
        """Listen no more."""
        with self._lock:
            self._closed = True
            if self._observer is not None:
                self._observer.stop()
                self._observer.join()

    def _running_observer(self) -> BaseObserver:
        if self._observer is None:
            from watchdog.observers import Observer

            self._observer = Observer()
            self._observer.start()
        return self._observer

    def _schedule(self, observer: BaseObserver, target: Target) -> None:
        kinds = event_types()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            handler = handler_for(target, self._ring)
            self._hung[target] = observer.schedule(
                handler, target.directory, recursive=target.recursive, event_filter=kinds
            )


def event_types() -> list[type[FileSystemEvent]]:
    """The events that may mean a change; reading a file, which we do ourselves, is none of them."""
    from watchdog import events

    return [
        events.FileCreatedEvent,
        events.FileModifiedEvent,
        events.FileClosedEvent,
        events.FileMovedEvent,
        events.FileDeletedEvent,
        events.DirCreatedEvent,
        events.DirMovedEvent,
        events.DirDeletedEvent,
    ]


def handler_for(target: Target, ring: Callable[[], None]) -> FileSystemEventHandler:
    """What watchdog calls for the events of a target."""
    from watchdog.events import FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        """Rings for the names that count."""

        def on_any_event(self, event: FileSystemEvent) -> None:
            names = {Path(str(event.src_path)).name, Path(str(event.dest_path)).name}
            if target.names is None or names & target.names:
                ring()

    return Handler()


def targets_of(trees: Iterable[tuple[str, Tree | None]], *, recursive: bool) -> list[Target]:
    """What to watch for these paths and what is there now, None where nothing is."""
    directories: set[Path] = set()
    names: dict[Path, set[str]] = {}
    for path, tree in trees:
        for place in (path, *(tree.links if tree else ())):
            for directory, name in turns(Path(place).absolute()):
                names.setdefault(directory, set()).add(name)
            if tree and Path(place).is_dir():
                directories.add(Path(place).resolve())
    found = [target(directory, None, recursive=recursive) for directory in sorted(directories)]
    found += [target(directory, frozenset(names[directory])) for directory in sorted(names.keys() - directories)]
    return [target for target in found if target]


def target(directory: Path, names: frozenset[str] | None, *, recursive: bool = False) -> Target | None:
    """The target that a directory is now, None where it has gone."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return Target(str(directory), (status.st_dev, status.st_ino), names, recursive)


def turns(path: Path) -> Iterator[tuple[Path, str]]:
    """The directories, and the names in them, at which an absolute path would become another one.

    Shape: every symbolic link on the way, then the last name; or the first name that is missing.
    """
    current, rest, links = Path("/"), path.parts[1:], 0
    while rest:
        name, rest = rest[0], rest[1:]
        below = current.parent if name == ".." else current / name
        link = link_at(below) if links < MAX_LINKS else None
        missing = not link and not below.exists()
        if link or missing or not rest:
            yield current, name
        if missing:
            return
        if link:
            links += 1
            rest = (*link.parts, *rest)
        else:
            current = below


def link_at(path: Path) -> Path | None:
    """Where a symbolic link leads, None for everything else."""
    try:
        return path.readlink()
    except OSError:
        return None
