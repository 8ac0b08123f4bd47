"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def password_options(command: F) -> F:
    """Add ``--password`` and ``--password-file``; `password_of` makes one of the two."""
    from_file = click.option(
        "--password-file",
        type=click.File("r", encoding="utf-8"),
        help="Read the password from this file's first line; - is standard input.",
    )
    given = click.option("--password", help="The password. Others on this machine may see it: rather give a file.")
    return given(from_file(command))


def password_of(password: str | None, file: Any) -> str | None:
    """The password that was given, either way.

    Raises:
        click.UsageError: it was given both ways, or the file holds none.
    """
    if file is None:
        return password
    if password is not None:
        raise click.UsageError("--password and --password-file exclude each other")
    try:
        line: str = file.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"--password-file {file.name}: it is not UTF-8") from None
    if not line:
        raise click.UsageError(f"--password-file {file.name}: its first line is empty")
    return line
