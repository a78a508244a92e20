"""The command line: one file a command, imported only when that command runs."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Sequence

import click

from gen.cli.leave import leave
from gen.errors import ApplyError, GenError, Held, InputError, Rejected, SourceError, UsageError

COMMANDS = ("check", "completion", "config", "rbac", "render", "routes", "run", "validate", "version")
STATUS: tuple[tuple[type[GenError], int], ...] = (
    (UsageError, 2),
    (InputError, 3),
    (Rejected, 4),
    (SourceError, 5),
    (ApplyError, 2),
    (Held, 1),
)
INTERRUPTED, BROKEN_PIPE, DEFECT = 130, 141, 70


class Commands(click.Group):
    """Finds a command by importing the module of its name."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Their names, for the help."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"gen.cli.{name}").COMMAND
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def gen() -> None:
    """Kubernetes Ingress and Service state in, the configuration of nginx, HAProxy or Envoy out.

    Exit status: 0 fine; 1 findings, or a difference; 2 wrong usage; 3 bad input; 4 the proxy refused it;
    5 the cluster cannot be reached.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status.  For the arguments of the process itself it may end that, too."""
    gc.disable()  # all commands but run are over before garbage matters, and looking for it is a third of their time
    try:
        status = gen.main(arguments, prog_name="gen", standalone_mode=False)
    except SystemExit as end:  # with a status, it is what click makes of a reader that went away
        return BROKEN_PIPE if end.code else 0
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        message, status = explain(error)
        click.echo(message, err=True)
    leave(int(status or 0), ends=arguments is None)
    return int(status or 0)


def explain(error: Exception) -> tuple[str, int]:
    """What to say about an error, and the exit status that it stands for."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message(), 2
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "gen"
        return f"gen: {error.format_message()} See {command} --help.", 2
    if isinstance(error, GenError):
        return f"gen: {error}", next(status for kind, status in STATUS if isinstance(error, kind))
    return f"gen: this is a defect: {error!r} (--log-level debug shows where)", DEFECT
