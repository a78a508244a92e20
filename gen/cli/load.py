"""What the commands without a loop have in common: manifests in, a configuration and its issues out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import click
from msgspec import Struct

from gen.backend import Backend, load
from gen.cli.flags import Flags
from gen.cli.leave import lasting
from gen.cli.progress import progress
from gen.cli.settings import backend_of, options_of, placement_of, settings_of
from gen.errors import InputError, UsageError
from gen.ir import Config, Issue
from gen.report.text import Locate, by_place, issue_line
from gen.sources.manifests import Manifests, read
from gen.store import Change, Store
from gen.translate import Translator


class Loaded(Struct, frozen=True):
    """What manifests give: the model, what is wrong, and where things stand."""

    config: Config
    issues: tuple[Issue, ...]
    locate: Locate


def load_config(flags: Flags) -> Loaded:
    """Read and translate.  Raises UsageError and InputError."""
    settings = settings_of(flags, options_of(flags))
    with progress("reading manifests"):
        manifests = lasting(read_manifests(flags))
    with progress("translating"):
        store = lasting(Store())
        touched = store.apply(Change(ref, item) for ref, item in manifests.objects.items())
        translation = lasting(Translator(settings)).translate(store, touched, now=time.time())
    return Loaded(translation.config, tuple(sorted(manifests.issues + translation.issues)), manifests.locate)


def read_manifests(flags: Flags) -> Manifests:
    """All that -f and its companions name.  Raises UsageError and InputError."""
    if not flags.filename:
        raise UsageError("there is nothing to read: give -f FILE, -f DIR, or -f - for stdin")
    return read(flags.filename, recursive=flags.recursive, namespace=flags.namespace, selector=flags.selector)


def require_whole(issues: Iterable[Issue]) -> None:
    """Raises InputError when some of the input is not even an object, so that nobody takes a part for the whole."""
    broken = sum(issue.severity == "error" and not issue.source.kind for issue in issues)
    if broken:
        raise InputError(f"{broken} part{'s' if broken > 1 else ''} of the input cannot be read: nothing is rendered")


def load_backend(flags: Flags, scratch: Path = Path("/nonexistent")) -> Backend:
    """The backend that -b names, for work without a running proxy; a test of files needs a scratch directory.

    Raises: UsageError.
    """
    return load(backend_of(flags), placement_of(flags, state_dir=scratch, runtime_dir=scratch / "run"))


def tell(issues: Iterable[Issue], locate: Locate) -> None:
    """Print issues on stderr, one line each."""
    for issue in by_place(issues, locate):
        click.echo(issue_line(issue, locate), err=True)
