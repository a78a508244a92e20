"""`gen config print`: the keys of the global ConfigMap with their effective values."""

from __future__ import annotations

import click

from gen.cli.flags import Flags
from gen.cli.options import INPUT, MEANING, Command, Own
from gen.cli.routes import table
from gen.report.text import printable

HEADER = ("KEY", "FROM", "VALUE")
SCHEMA_VERSION = 1


def print_config(flags: Flags) -> int:
    """Print what each key of the global ConfigMap is worth, and where that comes from."""
    import msgspec

    from gen.offline.settings import settings_table

    rows = settings_table(configmap_data(flags), profile=flags.profile, configmap=flags.configmap)
    if flags.output == "json":
        document = {"schemaVersion": SCHEMA_VERSION, "settings": rows}
        click.echo(msgspec.json.format(msgspec.json.encode(document)))
    else:
        click.echo(table([HEADER, *((row.key, row.origin, printable(row.value) or "-") for row in rows)]))
    return 0


def configmap_data(flags: Flags) -> dict[str, str] | None:
    """The data of the ConfigMap that --configmap names, where it is in the input.  Raises UsageError, InputError."""
    from gen.cli.load import read_manifests, tell
    from gen.cli.settings import qualified
    from gen.k8s import ConfigMap, Ref

    namespace, _, name = qualified("--configmap", flags.configmap).partition("/")
    if not flags.filename or not name:
        return None
    manifests = read_manifests(flags)
    tell(manifests.issues, manifests.locate)
    found = manifests.objects.get(Ref("ConfigMap", namespace, name))
    return dict(found.data or {}) if isinstance(found, ConfigMap) else None


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
