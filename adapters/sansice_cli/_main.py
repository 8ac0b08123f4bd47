"""The commands, and what their failures look like from outside."""

from __future__ import annotations

import sys
from importlib import import_module
from io import TextIOWrapper

import click

from sansice import __version__

from . import INTERRUPTED
from ._ended import EndedBySignalError

COMMANDS = ("credentials", "decode", "demo", "gather", "nat", "replay", "serve", "simulate", "stun", "turn")


class _Commands(click.Group):
    """Each command is imported when it is asked for: one does not wait for what only the others need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__package__}.{cmd_name}._command"), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sansice")
def cli() -> None:
    """Connect programs through NATs with ICE, STUN and TURN."""


def run() -> int:
    """Run the command line of this process; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names from the network may not fit the terminal's encoding
    try:
        # Not standalone: click would turn an interrupt into exit code 1.
        code: object = cli.main(prog_name="sansice", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except EndedBySignalError as error:
        click.echo(str(error), err=True)
        return 128 + error.number
    except click.Abort:
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else 0
