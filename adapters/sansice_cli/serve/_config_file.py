"""The configuration file: TOML, with the names of the options."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

import click

from ._options import NOT_IN_FILES


def read_config(path: str, command: click.Command, ctx: click.Context) -> dict[str, Any]:
    """What a file says, as values for the command's options, checked one by one.

    Raises:
        ValueError: it cannot be read, has a key that is no option, or a value that its option refuses. The text says where.
    """
    text = _read(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: it is nested too deeply") from None
    options = _options(command)
    found: dict[str, Any] = {}
    for key, value in table.items():
        place = f"{path}, line {_line(text, key)}"
        option = options.get(key)
        if option is None:
            near = difflib.get_close_matches(key, options, 1)
            raise ValueError(f"{place}: no option is called {key!r}" + (f"; is it {near[0]!r}?" if near else ""))
        found[str(option.name)] = _value(option, key, value, place, ctx)
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: it is not UTF-8") from None


def _options(command: click.Command) -> dict[str, click.Option]:
    """By the names in files: those of the command line, without the dashes in front."""
    return {
        text.removeprefix("--"): one
        for one in command.params
        if isinstance(one, click.Option) and one.name not in NOT_IN_FILES
        for text in one.opts
    }


def _value(option: click.Option, key: str, value: Any, place: str, ctx: click.Context) -> Any:
    if isinstance(value, dict):
        raise ValueError(f"{place}: {key} is not a table")
    if option.is_flag and not isinstance(value, bool):
        raise ValueError(f"{place}: {key} is true or false")
    if option.multiple:
        value = [str(one) for one in value] if isinstance(value, list) else [str(value)]
    elif isinstance(value, list):
        raise ValueError(f"{place}: {key} has one value, not a list of them")
    elif not option.is_flag:
        value = str(value)
    try:
        return option.process_value(ctx, value)
    except click.BadParameter as error:
        raise ValueError(f"{place}: {key}: {error.message}") from None


def _line(text: str, key: str) -> int:
    """The line that a key stands in; the parser has dropped it."""
    written = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if written.match(line)), 1)
