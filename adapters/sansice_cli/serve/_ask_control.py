"""``sansice serve --control``: the other end of the control socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from sansice_cli._text import printable

from ._control import TIMEOUT
from ._table import allocation_table

_WIDEST = 1000  # columns: more than any allocation needs


def ask_control(command: str, words: Sequence[str], path: str | None, as_json: bool) -> int:
    """Ask the server that runs; 0, or 1 where it says no.

    Raises:
        click.UsageError: the words do not go with the command.
        click.ClickException: nobody answers.
    """
    if path is None:
        raise click.UsageError("--control needs --control-socket PATH, as the server was given it")
    answer = _asked(path, _request(command, words))
    if not answer.get("ok"):
        raise click.ClickException(printable(str(answer.get("error"))))
    if as_json:
        click.echo(json.dumps(answer))
    else:
        _show(command, answer)
    return 1 if answer.get("unknown") else 0


def _request(command: str, words: Sequence[str]) -> dict[str, object]:
    match command, words:
        case "list", []:
            return {"command": "list"}
        case "kill", [_, *_]:
            return {"command": "kill", "ids": list(words)}
        case "drain", [] | [_]:
            return {"command": "drain", "seconds": _seconds(words[0]) if words else None}
        case "limits", _:
            return {"command": "limits", "changes": list(words)}
    raise click.UsageError("--control list; kill ID...; drain [SECONDS]; limits [NAME=VALUE...]")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise click.UsageError(f"--control drain: {text!r} is not a number of seconds")
    return seconds


def _asked(path: str, request: Mapping[str, object]) -> dict[str, Any]:
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(path)
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
                return answer
    except FileNotFoundError:
        raise click.ClickException(f"{path}: no server has made this socket") from None
    except ConnectionRefusedError:
        raise click.ClickException(f"{path}: the server that made this socket is gone") from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise click.ClickException(f"{path}: the server has left without an answer") from None


def _show_all(table: Table) -> None:
    """Every column in full, whatever the terminal's width: an id that is cut cannot be killed."""
    console = Console()
    needed = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    console.width = max(console.width, needed)
    console.print(table)


def _show(command: str, answer: Mapping[str, Any]) -> None:
    match command:
        case "list":
            _show_all(allocation_table(answer["allocations"]))
        case "kill":
            for id in answer["killed"]:
                click.echo(f"{printable(id)} is closed")
            for id in answer["unknown"]:
                click.echo(f"{printable(id)}: there is no such allocation", err=True)
        case "drain":
            click.echo("It takes nobody new, and ends with its last allocation.")
        case "limits":
            for name, value in answer["limits"].items():
                click.echo(f"{name}={'none' if value is None else value}")
