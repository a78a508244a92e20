"""`gen run`: the loop, kept alive until a signal ends it."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys

from gen.cli.flags import Flags
from gen.cli.options import BACKEND, CLUSTER, DEFAULTS, INPUT, LISTEN, LOOP, MEANING, PLACE, WRITE, Command
from gen.errors import UsageError


def run(flags: Flags) -> int:
    """Keep a proxy at what a cluster says, or with -f what manifests say.

    SIGTERM or SIGINT ends it, and a managed proxy with it; a second one makes it hurry.
    """
    if "-" in flags.filename:
        raise UsageError("stdin cannot be watched: give -f DIR, or no -f for a cluster")
    for_clusters = [
        flag.key for flag in (*CLUSTER, *WRITE) if getattr(flags, str(flag.name)) != DEFAULTS[str(flag.name)]
    ]
    if flags.filename and for_clusters:
        raise UsageError(f"-f is for manifests, --{for_clusters[0]} is for a cluster: give either")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.umask(0o027)
    gc.enable()
    import asyncio

    from gen.cli.keep import keep
    from gen.cli.settings import backend_of
    from gen.cli.state import owned, runtime_directory, state_directory
    from gen.process import forbid_core_dumps
    from gen.report.log import set_up

    forbid_core_dumps()
    backend_of(flags)
    set_up(flags.log_format, flags.log_level)
    with owned(state_directory(flags.state_dir)) as state:
        runtime = runtime_directory(flags.runtime_dir, state)
        try:
            asyncio.run(keep(flags, state, runtime))
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)  # the end is near, and its status is known
            with contextlib.suppress(OSError):
                runtime.rmdir()
    return 0


COMMAND = Command("run", run, [BACKEND, *INPUT, *CLUSTER, *WRITE, *MEANING, *LISTEN, *PLACE, *LOOP])
