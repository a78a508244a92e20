"""`gen render`: the configuration of a proxy, printed, written, or compared."""

from __future__ import annotations

from pathlib import Path

import click

from gen.cli.flags import Flags
from gen.cli.options import BACKEND, INPUT, LISTEN, MEANING, PLACE, Command, Own
from gen.errors import UsageError


def render(flags: Flags) -> int:
    """Print or write the configuration of a proxy.

    Issues go to stderr.  With --check nothing is written: the files that differ are named, and the exit status is 1.
    """
    from gen.cli.leave import lasting
    from gen.cli.load import load_backend, load_config, require_whole, tell
    from gen.cli.output import as_text, write_directory
    from gen.cli.progress import progress
    from gen.fit import fit
    from gen.trees import differing_files

    if flags.check and flags.output:
        raise UsageError("-o and --check exclude each other")
    backend = load_backend(flags)
    loaded = load_config(flags)
    config, unfit = fit(loaded.config, backend.features, backend.lacks, backend.words)
    tell(sorted({*loaded.issues, *unfit}), loaded.locate)
    require_whole(loaded.issues)
    with progress("rendering"):
        bundle = lasting(backend.render(config))
    if flags.check:
        differing = differing_files(Path(flags.check), bundle.files)
        click.echo("".join(f"{path}\n" for path in differing), nl=False)
        return int(bool(differing))
    if flags.output in {"", "-"}:
        click.echo(as_text(bundle), nl=False)
    else:
        write_directory(Path(flags.output), bundle)
    return 0


COMMAND = Command(
    "render",
    render,
    [
        BACKEND,
        Own("-o", "--output", metavar="DIR|-", help="Write into this directory; - is stdout."),
        Own("--check", metavar="DIR", type=click.Path(file_okay=False), help="Compare with this directory instead."),
        *INPUT,
        *MEANING,
        *LISTEN,
        *PLACE,
    ],
)
