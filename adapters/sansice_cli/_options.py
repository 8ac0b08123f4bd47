"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TextIO, TypeVar

import click

from sansice import Transport
from sansice.sockets import TlsConfig
from sansice.stun import HttpProxy, LongTermCredentials, ServerUri, ShortTermCredentials

F = TypeVar("F", bound=Callable[..., Any])


def read_by(parse: Callable[[str], object]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that has ``parse`` read an option, or each of several, and tells the `ValueError` that it raises."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(parse(one) for one in value)
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return callback


class FiniteRange(click.FloatRange):
    """A number within bounds, and not ``nan``, which click finds within all of them, or ``inf``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


def proxy_option(command: F) -> F:
    """Add ``--proxy``, an `HttpProxy`."""
    return click.option(
        "--proxy",
        metavar="URL",
        callback=read_by(HttpProxy.parse),
        help="Reach TURN servers over TCP and TLS through this HTTP proxy: http://[USER:PASSWORD@]HOST[:PORT]. Others on this "
        "machine may see the password. No variable of the environment is looked at.",
    )(command)


def password_options(command: F) -> F:
    """Add ``--password`` and ``--password-file``; `password_of` makes one of the two."""
    from_file = click.option(
        "--password-file",
        type=click.File("r", encoding="utf-8"),
        help="Read the password from this file's first line; - is standard input.",
    )
    given = click.option("--password", help="The password. Others on this machine may see it: rather give a file.")
    return given(from_file(command))


def password_of(password: str | None, file: TextIO | None) -> str | None:
    """The password that was given, either way.

    Raises:
        click.UsageError: it was given both ways, or the file holds none.
    """
    if file is None:
        return password
    if password is not None:
        raise click.UsageError("--password and --password-file exclude each other")
    try:
        line = file.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"--password-file {file.name}: it is not UTF-8") from None
    if not line:
        raise click.UsageError(f"--password-file {file.name}: its first line is empty")
    return line


def credentials_of(
    user: str | None, password: str | None, file: TextIO | None, *, short_term: bool
) -> LongTermCredentials | ShortTermCredentials | None:
    """The credentials that were given, if any.

    Raises:
        click.UsageError: half of them, or such as cannot be sent.
    """
    password = password_of(password, file)
    if user is None and password is None:
        if short_term:
            raise click.UsageError("--short-term needs --user and a password")
        return None
    if user is None or password is None:
        raise click.UsageError(
            f"a {'password' if user is None else 'user name'} needs a {'user name' if user is None else 'password'}"
        )
    try:
        return (ShortTermCredentials if short_term else LongTermCredentials)(user, password)
    except ValueError as error:
        raise click.UsageError(f"user name or password: {error}") from None


def relay_user_options(command: F) -> F:
    """Add ``--user NAME:PASSWORD``, ``--password`` and ``--password-file``; `relay_credentials_of` makes credentials of them."""
    user = click.option(
        "--user",
        metavar="NAME[:PASSWORD]",
        help="User name and password, parted at the last colon; without one where the password is given otherwise.",
    )
    return user(password_options(command))


def relay_credentials_of(user: str | None, password: str | None, file: TextIO | None) -> LongTermCredentials | None:
    """The credentials for TURN that were given, if any.

    Raises:
        click.UsageError: half of them, or such as cannot be sent.
    """
    if user is not None and password is None and file is None and ":" in user:
        # At the last colon: names that expire have one, and passwords that secrets issue have none.
        user, _, password = user.rpartition(":")
    found = credentials_of(user, password, file, short_term=False)
    return found if isinstance(found, LongTermCredentials) else None


def transport_option(command: F) -> F:
    """Add ``--transport``; `transports_of` reads it."""
    return click.option(
        "--transport",
        multiple=True,
        type=click.Choice([one.value for one in Transport]),
        help="What to use where the URI leaves a choice; repeat it for several, in order of preference.",
    )(command)


def transports_of(words: tuple[str, ...]) -> tuple[Transport, ...] | None:
    """The transports that were named; ``None`` where none was."""
    return tuple(dict.fromkeys(Transport(word) for word in words)) or None


def tls_options(command: F) -> F:
    """Add ``--ca`` and ``--server-name``; `tls_of` reads the former."""
    ca = click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="PEM file of the authorities to trust.")
    name = click.option(
        "--server-name",
        callback=read_by(_server_name),
        help="The name that the server's certificate must carry, instead of the URI's host.",
    )
    return ca(name(command))


def _server_name(text: str) -> str:
    if ServerUri.of("stuns", text).is_literal:
        raise ValueError(f"{text!r} is an IP address, which says nothing about whose certificate to expect")
    return text


def tls_of(ca: str | None) -> TlsConfig:
    """What to trust.

    Raises:
        click.UsageError: the file cannot be used.
    """
    config = TlsConfig(ca_file=ca)
    if ca is not None:
        try:
            config.reload()
        except ValueError as error:
            raise click.UsageError(f"--ca: {error}") from None
    return config
