"""The directories of `gen run`: the state, which one gen at a time may own, and the place for the proxy's sockets."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gen.backend import digest_of
from gen.errors import UsageError

SOCKET_PATH_LIMIT = 107
LONGEST_SOCKET_NAME = 40


def state_directory(given: str) -> Path:
    """The state directory, absolute: as given, else the user's own, else the machine's."""
    if given:
        return Path(given).absolute()
    if base := os.environ.get("XDG_STATE_HOME"):
        return Path(base).absolute() / "gen"
    return Path("/var/lib/gen")


@contextlib.contextmanager
def owned(directory: Path) -> Iterator[Path]:
    """Make the directory and keep other gens out of it for as long as this one lives.  Raises UsageError."""
    handle = -1
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise UsageError(f"another gen works in {directory}; give this one a --state-dir of its own") from error
    except OSError as error:
        raise UsageError(f"cannot use the state directory {directory}: {error.strerror or error}") from error
    try:
        yield directory
    finally:
        os.close(handle)


def runtime_directory(given: str, state: Path) -> Path:
    """A directory in which the paths of sockets are short enough.  Raises UsageError.

    Shape: as given, which is then the user's care; else STATE/run; else a private one outside, whose name is derived
    from the state's, so that the next gen finds it again.
    """
    if given:
        return made(Path(given).absolute())
    inside = state / "run"
    if len(os.fsencode(inside)) + 1 + LONGEST_SOCKET_NAME <= SOCKET_PATH_LIMIT:
        return private(made(inside))
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - private() sees to it
    return private(made(base / f"gen-{os.getuid()}-{digest_of(os.fsencode(state))}"))


def made(path: Path) -> Path:
    """The directory, made if it was not there.  Raises UsageError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(f"cannot make the directory {path}: {error.strerror or error}") from error
    return path


def private(path: Path) -> Path:
    """The directory, if it is one of this user's that nobody else may write to.  Raises UsageError."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise UsageError(f"{path} must be a directory of this user that nobody else may write to")
    return path
