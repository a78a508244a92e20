"""`gen config print`: the keys of the global ConfigMap with their effective values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gen.cli.flags import Flags
from gen.cli.options import INPUT, MEANING, Command, Own
from gen.cli.routes import table
from gen.report.text import printable

if TYPE_CHECKING:
    from gen.store import Store

HEADER = ("KEY", "FROM", "VALUE")
SCHEMA_VERSION = 1


def print_config(flags: Flags) -> int:
    """Print what each key of the global ConfigMap is worth, and where that comes from."""
    import msgspec

    from gen.cli.settings import options_of, settings_of
    from gen.offline.settings import settings_table

    rows = settings_table(settings_of(flags, options_of(flags)), store_of(flags))
    if flags.output == "json":
        document = {"schemaVersion": SCHEMA_VERSION, "settings": rows}
        click.echo(msgspec.json.format(msgspec.json.encode(document)))
    else:
        click.echo(table([HEADER, *((row.key, row.origin, printable(row.value) or "-") for row in rows)]))
    return 0


def store_of(flags: Flags) -> Store:
    """The objects of the input, if there is any.  Raises UsageError, InputError."""
    from gen.cli.load import read_manifests, tell
    from gen.store import Change, Store

    store = Store()
    if flags.filename:
        manifests = read_manifests(flags)
        tell(manifests.issues, manifests.locate)
        store.apply(Change(ref, item) for ref, item in manifests.objects.items())
    return store


COMMAND = click.Group("config", help="What holds for the whole proxy.")
COMMAND.add_command(
    Command(
        "print",
        print_config,
        [
            Own("-o", "--output", type=click.Choice(["table", "json"]), help="How the settings are printed."),
            *INPUT,
            *MEANING,
        ],
    )
)
