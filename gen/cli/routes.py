"""`gen routes`: the routing table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from gen.cli.flags import Flags
from gen.cli.options import INPUT, LISTEN, MEANING, Command, Own
from gen.report.text import printable

if TYPE_CHECKING:
    from gen.offline.routes import Row

HEADER = ("HOST", "MATCH", "PATH", "ACTION", "ENDPOINTS", "FROM")
SCHEMA_VERSION = 1


def show_routes(flags: Flags) -> int:
    """Print the routing table."""
    import msgspec

    from gen.cli.load import load_config, tell
    from gen.offline.routes import routes

    loaded = load_config(flags)
    tell(loaded.issues, loaded.locate)
    rows = routes(loaded.config)
    if flags.output == "json":
        document = {"schemaVersion": SCHEMA_VERSION, "routes": rows}
        click.echo(msgspec.json.format(msgspec.json.encode(document)))
    else:
        click.echo(table([HEADER, *map(cells, rows)]))
    return 0


def cells(row: Row) -> tuple[str, ...]:
    """A row as texts."""
    endpoints = ",".join(row.endpoints) or "-"
    texts = (row.host, row.kind, row.path, row.action, endpoints, str(row.source) if row.source.name else "-")
    return tuple(printable(text) for text in texts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(line(row, widths) for row in rows)


def line(row: Iterable[str], widths: Iterable[int]) -> str:
    """One row of a table."""
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


COMMAND = Command(
    "routes",
    show_routes,
    [
        Own("-o", "--output", type=click.Choice(["table", "json"]), help="How the routes are printed."),
        *INPUT,
        *MEANING,
        *LISTEN,
    ],
)
