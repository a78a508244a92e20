"""`gen check`: every issue of the manifests, for people and for programs."""

from __future__ import annotations

import click

from gen.cli.flags import Flags
from gen.cli.options import BACKEND, INPUT, LISTEN, MEANING, Command, Own

FORMATS = ("text", "json")
SEVERITIES = ("error", "warning", "info")


def check(flags: Flags) -> int:
    """Say what is wrong with manifests.

    Exits with 1 when there is an issue of the severity --fail-on, or a worse one.
    """
    from gen.cli.load import load_backend, load_config
    from gen.fit import fit
    from gen.report.json import issues_json
    from gen.report.text import by_place, issue_line

    loaded = load_config(flags)
    issues = set(loaded.issues)
    if flags.backend:
        backend = load_backend(flags)
        issues.update(fit(loaded.config, backend.features, backend.lacks, backend.words)[1])
    found = by_place(issues, loaded.locate)
    if flags.format == "json":
        click.echo(issues_json(found, loaded.locate), nl=False)
    else:
        for issue in found:
            click.echo(issue_line(issue, loaded.locate))
    failing = SEVERITIES[: SEVERITIES.index(flags.fail_on) + 1]
    return int(any(issue.severity in failing for issue in issues))


COMMAND = Command(
    "check",
    check,
    [
        Own("--format", type=click.Choice(FORMATS), help="How issues are printed."),
        Own("--fail-on", type=click.Choice(SEVERITIES), help="The least severity that makes the exit status 1."),
        BACKEND,
        *INPUT,
        *MEANING,
        *LISTEN,
    ],
)
