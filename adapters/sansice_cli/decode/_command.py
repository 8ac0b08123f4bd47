"""The command line of ``sansice decode``."""

from __future__ import annotations

import json
from typing import BinaryIO, TextIO

import click

from sansice_cli._options import password_of, password_options
from sansice_cli._text import count

from ._anatomy import Anatomy, take_apart
from ._input import MAX_INPUT, Input, Payload
from ._keys import Keys
from ._report import rows, to_json


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@password_options
@click.option("--username", help="User name of the long-term mechanism; otherwise the messages' own.")
@click.option("--realm", help="Realm of the long-term mechanism; otherwise the messages' own.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on the last line of stdout.")
def decode(
    file: BinaryIO, password: str | None, password_file: TextIO | None, username: str | None, realm: str | None, as_json: bool
) -> int:
    """Show what is in a STUN message, byte for byte.

    FILE, or standard input, holds hexadecimal text (plain, with separators, or a dump of xxd, hexdump -C, tcpdump -X or
    Wireshark), a binary message or several in a row, or a capture (pcap, pcapng; Ethernet, Linux cooked, raw IP,
    loopback). Of a capture, UDP datagrams are taken and TCP streams are put together again. Up to 64 MiB are read.

    Each row has the offset, the bytes, and what they are. An exclamation mark tells what is wrong. A damaged message is
    shown as far as it goes, with the reason why a receiver drops it.

    With a password, integrity is checked with every key that it makes: short-term, and long-term with MD5 and SHA-256 of
    each name and realm seen so far. FINGERPRINT is always checked.

    Exit codes: 0 all is well formed, and what was checked is right; 1 something is not, or no message was found;
    2 usage; 130 interrupted.
    """
    keys = _keys(password_of(password, password_file), username, realm)
    data = _read(file)
    try:
        source = Input(data)
    except ValueError as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    return _show(source, keys, as_json)


def _keys(password: str | None, username: str | None, realm: str | None) -> Keys | None:
    if password is None:
        if username is not None or realm is not None:
            raise click.UsageError("--username and --realm are of use with --password only")
        return None
    try:
        return Keys(password, username, realm)
    except ValueError as error:
        raise click.UsageError(f"password, user name or realm: {error}") from None


def _read(file: BinaryIO) -> bytes:
    if file.isatty():
        click.echo("Type or paste hexadecimal digits, then an end of file (Ctrl-D).", err=True)
    data = file.read(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise click.ClickException(f"{file.name}: larger than {MAX_INPUT >> 20} MiB; cut it, for instance with editcap -c")
    return data


def _show(source: Input, keys: Keys | None, as_json: bool) -> int:
    """Print each payload when it has been read: a capture may hold more than fits into memory in this form."""
    show = _show_as_json if as_json else _show_in_rows
    since: float | None = None
    total = messages = bad = 0
    click.echo('{"messages": [' if as_json else "", nl=False)
    for payload in source.payloads():
        anatomy = take_apart(payload.data, keys)
        if since is None and payload.packet is not None:
            since = payload.packet.time
        show(payload, anatomy, since or 0.0, total)
        total += 1
        messages += anatomy.is_message
        bad += bool(payload.problem) or not anatomy.is_good
    problems = [source.problem] if source.problem else []
    if not messages:
        problems.append("there is no STUN message and no ChannelData in it")
    for problem in problems:
        click.secho(f"! {problem}", fg="red", err=as_json)
    if source.is_capture:
        click.echo(_total(source, messages, total - messages, bad), err=as_json)
    if as_json:
        rest = {"passed_over": dict(sorted(source.passed_over.items())), "error": "; ".join(problems) or None}
        click.echo(f"], {json.dumps(rest)[1:]}")
    return 1 if bad or problems else 0


def _show_in_rows(payload: Payload, anatomy: Anatomy, since: float, before: int) -> None:
    for line, is_problem in rows(payload, anatomy, since):
        click.secho(line, fg="red" if is_problem else None)


def _show_as_json(payload: Payload, anatomy: Anatomy, since: float, before: int) -> None:
    click.echo(f"{', ' if before else ''}{json.dumps(to_json(payload, anatomy, since))}", nl=False)


def _total(source: Input, messages: int, others: int, bad: int) -> str:
    words = [count(messages, "message"), f"{bad} with problems", count(others, "other payload")]
    words += [f"{count(number, 'packet')} passed over ({reason})" for reason, number in sorted(source.passed_over.items())]
    return ", ".join(words)
