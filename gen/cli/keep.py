"""What `gen run` is made of: source, pipeline, backend, observers and the loop, put together."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gen import __version__
from gen.backend import load
from gen.cli.fallback import fallback_certificate
from gen.cli.flags import Flags
from gen.cli.pod import pod_namespace
from gen.cli.settings import host_and_port, options_of, placement_of, settings_of, system_resolvers
from gen.reconcile.admin import serve
from gen.reconcile.backoff import Timing
from gen.reconcile.loop import Reconciler
from gen.reconcile.pipeline import Pipeline
from gen.report.events import Event, SourceFailed
from gen.report.health import Health
from gen.report.log import Log
from gen.report.metrics import Metrics
from gen.sources import ObjectSource
from gen.sources.directory import ManifestDirectory
from gen.store import Store
from gen.translate.settings import Settings

if TYPE_CHECKING:
    from gen.reconcile.cluster.writing import Writing
    from gen.sources.cluster import ClusterSource


class Observer(Protocol):
    """Somebody who is told what happens."""

    def observe(self, event: Event) -> None:
        """Take note; must not block."""
        ...


async def keep(flags: Flags, state: Path, runtime: Path) -> None:
    """Run the loop, and beside it the HTTP server of gen itself, until a signal.  Raises UsageError and InputError."""
    options = options_of(flags, runtime_dir=str(runtime), resolvers=system_resolvers())
    own_namespace = "" if flags.filename else pod_namespace()
    fallback = fallback_certificate(state, flags.profile)
    settings = settings_of(flags, options, fallback, own_namespace=own_namespace)
    backend = load(flags.backend, placement_of(flags, state_dir=state, runtime_dir=runtime))
    health, metrics = Health(), Metrics(flags.backend)
    observers: list[Observer] = [health, metrics]

    def observe(event: Event) -> None:
        for observer in observers:
            observer.observe(event)

    pipeline, timing = Pipeline(settings, backend), Timing(reload_interval=flags.reload_interval)
    source: ObjectSource
    writing: Writing | None = None
    if flags.filename:
        source = files = directory_of(flags)
        observers.append(Log(files.locate))
    else:
        source, writing = cluster_of(flags, settings, pipeline.store, observe)
        observers.append(Log())
        observers += [writing] if writing else []
        metrics.show_staleness(source.staleness)
    loop = Reconciler(source=source, build=pipeline.build, backend=backend, observe=observe, timing=timing)
    stopping, hurry = asyncio.Event(), asyncio.Event()
    listen_to_signals(stopping, hurry)
    told = {"version": __version__, "backend": flags.backend, "proxy": flags.proxy, "state_dir": str(state)}
    logging.getLogger("gen").info("gen starts", extra={"fields": told})
    async with contextlib.AsyncExitStack() as stack:
        if writing:
            await stack.enter_async_context(writing.at_work())
        if flags.admin:
            await stack.enter_async_context(serve(*host_and_port("--admin", flags.admin), health, metrics))
        await loop.run(stopping, hurry)
    logging.getLogger("gen").info("gen ends")


def directory_of(flags: Flags) -> ManifestDirectory:
    """The manifests that -f names."""
    return ManifestDirectory(
        flags.filename, recursive=flags.recursive, namespace=flags.namespace, selector=flags.selector
    )


def cluster_of(
    flags: Flags, settings: Settings, store: Store, observe: Callable[[Event], None]
) -> tuple[ClusterSource, Writing | None]:
    """The cluster that a kubeconfig or the pod leads to, and what writes there.  Raises UsageError and InputError."""
    from gen.cli.cluster import connections_of, scope_of
    from gen.cli.writing import wanted_of
    from gen.reconcile.cluster.writing import Writing
    from gen.sources.cluster import ClusterSource
    from gen.translate.references import references

    wanted, scope = wanted_of(flags, settings), scope_of(flags, settings)
    connect = connections_of(flags)
    writing = None if wanted.is_nothing else Writing(wanted, connect, lookup=store.get, observe=observe)
    source = ClusterSource(
        connect(),
        scope,
        references=references(settings),
        observe=lambda *said: observe(SourceFailed(*said)),
        notice=writing.notice if writing else None,
    )
    return source, writing


def listen_to_signals(stopping: asyncio.Event, hurry: asyncio.Event) -> None:
    """The first SIGTERM or SIGINT ends the loop, the second one its patience.

    asyncio's own handlers would be gone a moment before the process is, and a signal then change its exit status.
    """
    loop, wishes = asyncio.get_running_loop(), itertools.chain([stopping], itertools.repeat(hurry))

    def end(*_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            loop.call_soon_threadsafe(next(wishes).set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
