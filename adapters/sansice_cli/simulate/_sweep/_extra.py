"""What only sweeps need."""

from __future__ import annotations

import importlib.util

import click

NEEDED = ("distributed", "pyarrow", "matplotlib")  # the extra `sweep`, with what these need


def require_extra() -> None:
    """See that the extra is installed, before anything is read or begun.

    Raises:
        click.ClickException: it is not.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(f"a sweep needs {', '.join(missing)}; install it with: pip install 'sansice[sweep]'")
