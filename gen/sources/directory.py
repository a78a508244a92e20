"""Objects from manifests that are watched: the source of `gen run -f DIR`.

The kernel's events only say when to look (gen.sources.watch); what counts is the state of the files, compared with the
last one (gen.sources.memory).  A rescan now and then finds what no event told, such as a change behind a link.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

from gen.errors import UsageError
from gen.ir import Issue, Source
from gen.selector import parse
from gen.sources import Batch
from gen.sources.locate import Location
from gen.sources.manifests import Choice, file_issue
from gen.sources.memory import Memory
from gen.sources.tree import Tree, tree_at
from gen.sources.watch import Bell, targets_of

POLLING = 2.0
"""Seconds between looks where not everything can be watched."""
ROUNDS = 3
log = logging.getLogger(__name__)


class ManifestDirectory:
    """The manifests at some paths, directories or files, and every change of them.

    Shape: the first batch comes when all paths exist.  While one of them is missing the last state stays, and a batch
    that is not synced says so.  A file that cannot be read, or an object in it, keeps its last good state until it is
    well again, so that a typo never takes a host away; the Issue is there all the same.
    Units: seconds.  A change is taken in after `quiet` without another one, at the latest after `max_wait`; without
    any sign of a change the files are looked at after `rescan`.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        recursive: bool = False,
        namespace: str = "",
        selector: str = "",
        quiet: float = 0.1,
        max_wait: float = 1.0,
        rescan: float = 30.0,
    ) -> None:
        if "-" in paths:
            raise UsageError("standard input cannot be watched: give directories or files")
        self._paths = tuple(dict.fromkeys(paths))
        self._recursive = recursive
        self._quiet, self._max_wait, self._rescan = quiet, max_wait, rescan
        self._memory = Memory(Choice(namespace, parse(selector)))
        self._missing: tuple[Issue, ...] = ()
        self._dirty = asyncio.Event()
        self._closed = False
        self._bell: Bell | None = None

    async def batches(self) -> AsyncIterator[Batch]:
        """Everything there is, then whatever changes, until the source is closed."""
        loop = asyncio.get_running_loop()

        def ring() -> None:
            if not self._dirty.is_set():
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._dirty.set)

        self._bell = Bell(ring)
        while not self._closed:
            self._dirty.clear()
            batch = await asyncio.to_thread(self._look, self._bell)
            if batch and not self._closed:
                yield batch
            await self._sign_of_change()

    async def close(self) -> None:
        """Stop watching."""
        self._closed = True
        self._dirty.set()
        if self._bell:
            await asyncio.to_thread(self._bell.close)

    def locate(self, source: Source) -> Location | None:
        """The file and line of a field, None where it comes from no manifest."""
        return self._memory.manifests.locate(source)

    def _look(self, bell: Bell) -> Batch | None:
        """Hang the bell where the manifests are now, and read what changed."""
        for _ in range(ROUNDS):
            found = [(path, look_at(path, recursive=self._recursive)) for path in self._paths]
            trees = [(path, tree if isinstance(tree, Tree) else None) for path, tree in found]
            try:
                is_new = bell.hang(targets_of(trees))
            except OSError as error:
                is_new = False
                self._poll(error)
            if not is_new:  # else something may have changed before the bell was there
                break
        missing = tuple(issue for _, issue in found if isinstance(issue, Issue))
        self._log_missing(missing)
        return self._memory.update((file for _, tree in trees if tree for file in tree.files), missing)

    def _log_missing(self, missing: tuple[Issue, ...]) -> None:
        for issue in missing:
            if issue not in self._missing:
                log.warning("%s", issue.message)
        self._missing = missing

    def _poll(self, error: OSError) -> None:
        if self._rescan > POLLING:
            self._rescan = POLLING
            log.warning("cannot watch for changes (%s): looking every %g s instead", error.strerror or error, POLLING)

    async def _sign_of_change(self) -> None:
        """Wait for a sign, then until it is quiet."""
        loop = asyncio.get_running_loop()
        if not await self._sign_within(self._rescan):
            return
        end = loop.time() + self._max_wait
        while not self._closed and (left := end - loop.time()) > 0:
            self._dirty.clear()
            if not await self._sign_within(min(self._quiet, left)):
                return

    async def _sign_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._dirty.wait()
        return self._dirty.is_set()


def look_at(path: str, *, recursive: bool) -> Tree | Issue:
    """The manifests at a path, or why there are none."""
    try:
        return tree_at(path, recursive=recursive)
    except OSError as error:
        reason = error.strerror or str(error)
        return file_issue(path, "SourceMissing", f"{path}: {reason}; waiting for it")
