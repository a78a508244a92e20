"""A bell that rings when something may have changed at some paths: watchdog, told where to look.

What it says is never taken for more than a hint.  Kernel events name hidden links rather than manifests, do not follow
links, and end silently when a directory is replaced; so the bell is hung anew whenever the directories are others.
"""

from __future__ import annotations

import contextlib
import errno
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
MAX_TARGETS = 128
"""Each costs a thread of watchdog."""


class Target(Struct, frozen=True):
    """A directory to watch: for some names in it, or for everything where `names` is None.

    Shape: `identity` are its device and inode, so that another directory in its place is another target.
    """

    directory: str
    identity: tuple[int, int]
    names: frozenset[str] | None = None


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

        Raises: OSError where they are too many, or too many for the kernel.
        """
        wanted = list(targets)
        if len(wanted) > MAX_TARGETS:
            raise OSError(errno.ENOSPC, f"there are more than {MAX_TARGETS} directories")
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
        if self._observer is None or not self._observer.is_alive():
            from watchdog.observers import Observer

            self._hung.clear()
            self._observer = Observer()
            self._observer.start()
        return self._observer

    def _schedule(self, observer: BaseObserver, target: Target) -> None:
        kinds = event_types()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            handler = handler_for(target, self._ring)
            self._hung[target] = observer.schedule(handler, target.directory, event_filter=kinds)


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
            paths = (str(event.src_path), str(event.dest_path))
            if target.names is None or any(Path(path).name in target.names for path in paths):
                ring()

    return Handler()


def targets_of(trees: Iterable[tuple[str, Tree | None]]) -> list[Target]:
    """What to watch for these paths and what is there now, None where nothing is."""
    names: dict[Path, set[str] | None] = {}
    for path, tree in trees:
        for place in (path, *(tree.links if tree else ())):
            for directory, name in turns(Path(place).absolute()):
                some = names.setdefault(directory, set())
                if some is not None:
                    some.add(name)
        for visited in tree.directories if tree else ():
            names[Path(visited).resolve()] = None
    return [target for directory in sorted(names) if (target := target_at(directory, names[directory]))]


def target_at(directory: Path, names: set[str] | None) -> Target | None:
    """The target that a directory is now, None where it has gone."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return Target(str(directory), (status.st_dev, status.st_ino), None if names is None else frozenset(names))


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
