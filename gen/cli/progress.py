"""A line on the terminal for what takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

PATIENCE = 1.0
CLEAR_LINE = "\r\x1b[K"


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Say on stderr what is going on, if that is a terminal and it takes its time; the line goes away at the end."""
    if not sys.stderr.isatty():
        yield
        return
    is_shown = threading.Event()

    def show() -> None:
        is_shown.set()
        sys.stderr.write(f"gen: {what} ...")
        sys.stderr.flush()

    timer = threading.Timer(PATIENCE, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if is_shown.is_set():
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()
