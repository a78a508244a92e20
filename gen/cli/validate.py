"""`gen validate`: the proxy's own test of a rendered directory."""

from __future__ import annotations

from pathlib import Path

import click

from gen.backend import Bundle, digest_of_files
from gen.cli.flags import Flags
from gen.cli.options import BACKEND, PLACE, Command
from gen.errors import InputError


def validate(flags: Flags) -> int:
    """Let the proxy's own test judge a rendered directory."""
    import asyncio
    import tempfile

    from gen.cli.load import load_backend
    from gen.cli.progress import progress

    bundle = read_bundle(Path(flags.directory))
    with progress(f"testing {flags.directory}"), tempfile.TemporaryDirectory(prefix="gen-") as scratch:
        backend = load_backend(flags, Path(scratch))
        asyncio.run(backend.validate(bundle))
    click.echo(f"{backend.name} accepts {flags.directory}", err=True)
    return 0


def read_bundle(directory: Path) -> Bundle:
    """The files below a directory, hidden ones left out.  Raises InputError."""
    try:
        paths = sorted(path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))
        files = {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}
        secrets = frozenset(name for name, path in zip(files, paths, strict=True) if not path.stat().st_mode & 0o077)
    except OSError as error:
        raise InputError(f"cannot read {directory}: {error.strerror or error}") from error
    if not files:
        raise InputError(f"there is nothing to test in {directory}")
    return Bundle(files=files, digest=digest_of_files(files), secrets=secrets)


COMMAND = Command(
    "validate",
    validate,
    [click.Argument(["directory"], type=click.Path(exists=True, file_okay=False)), BACKEND, *PLACE],
)
