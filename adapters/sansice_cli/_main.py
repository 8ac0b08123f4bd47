"""The commands, and what their failures look like from outside."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import click

from sansice import __version__

from . import INTERRUPTED
from .decode._command import decode
from .demo._command import demo


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sansice")
def cli() -> None:
    """Connect programs through NATs with ICE, STUN and TURN."""


cli.add_command(decode)
cli.add_command(demo)


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
    except click.Abort:
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else 0
