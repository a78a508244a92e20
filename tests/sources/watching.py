"""A watched directory under test: its batches, and the state that they add up to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gen.ir import Issue
from gen.k8s import ConfigMap, Object, Ref
from gen.sources import Batch
from gen.sources.directory import ManifestDirectory

PATIENCE = 20.0


def config(name: str, value: str = "1") -> str:
    """A small manifest."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: '{value}'\n"


def replace(file: Path, text: str) -> None:
    """Write a file as good programs do it: beside, then renamed."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text)
    beside.rename(file)


def swap_volume(volume: Path, version: str, files: dict[str, str]) -> None:
    """Give a mounted ConfigMap another content, as the kubelet does it."""
    content = volume / f"..{version}"
    content.mkdir(parents=True)
    for name, text in files.items():
        (content / name).parent.mkdir(exist_ok=True)
        (content / name).write_text(text)
        top = volume / Path(name).parts[0]
        if not top.is_symlink():
            top.symlink_to(Path("..data") / Path(name).parts[0])
    old = (volume / "..data").resolve() if (volume / "..data").exists() else None
    (volume / "..data_tmp").symlink_to(content.name)
    (volume / "..data_tmp").rename(volume / "..data")
    if old:
        for path in sorted(old.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        old.rmdir()


async def eventually(holds: Callable[[], object]) -> None:
    """Wait for something that no batch tells."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)


class Watching:
    """Consumes the batches of a source for as long as it is entered."""

    def __init__(self, *paths: Path, **options: Any) -> None:
        self.source = ManifestDirectory([str(path) for path in paths], **options)
        self.batches: list[Batch] = []
        self.objects: dict[Ref, Object] = {}
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._consume())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.source.close()
        async with asyncio.timeout(PATIENCE):
            await self._task

    async def _consume(self) -> None:
        async for batch in self.source.batches():
            self.batches.append(batch)
            for change in batch.changes:
                if change.object is None:
                    del self.objects[change.ref]
                else:
                    self.objects[change.ref] = change.object
            self._news.set()

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait for something that a batch brings about."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                assert not self._task.done(), self._task.exception()
                self._news.clear()
                await self._news.wait()

    async def until_values(self, **values: str) -> None:
        """Wait until these ConfigMaps, and no others, are there."""
        try:
            await self.until(lambda: self.values == values)
        except TimeoutError:
            raise AssertionError(f"{self.values} is not {values}") from None

    @property
    def values(self) -> dict[str, str]:
        """The ConfigMaps and their values."""
        return {
            ref.name: (item.data or {}).get("value", "")
            for ref, item in self.objects.items()
            if isinstance(item, ConfigMap)
        }

    @property
    def issues(self) -> tuple[Issue, ...]:
        """Those of the last batch."""
        return self.batches[-1].issues if self.batches else ()

    @property
    def codes(self) -> list[str]:
        """The codes of the last batch's issues."""
        return [issue.code for issue in self.issues]
