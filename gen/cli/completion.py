"""`gen completion`: what a shell needs to complete gen's commands and flags."""

from __future__ import annotations

import click

from gen.cli.flags import Flags
from gen.cli.options import Command

SHELLS = ("bash", "zsh", "fish")


def completion(flags: Flags) -> int:
    """Print the completion script of a shell.

    For example: source <(gen completion bash)
    """
    from click.shell_completion import get_completion_class

    from gen.cli import gen

    kind = get_completion_class(flags.shell)
    assert kind is not None
    click.echo(kind(gen, {}, "gen", "_GEN_COMPLETE").source())
    return 0


COMMAND = Command("completion", completion, [click.Argument(["shell"], type=click.Choice(SHELLS))])
