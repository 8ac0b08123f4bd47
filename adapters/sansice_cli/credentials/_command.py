"""The command line of ``sansice credentials``."""

from __future__ import annotations

import json
import time

import click

from sansice.stun import TimeLimitedSecrets
from sansice_cli._durations import parse_duration
from sansice_cli._options import read_by


@click.command(short_help="Issue credentials that expire, for servers with a --secret.")
@click.argument("name")
@click.option(
    "--secret",
    "secret_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="The file that the servers were given; its first line issues. - is standard input.",
)
@click.option(
    "--ttl", default="1d", show_default=True, callback=read_by(parse_duration), help="How long they are good: 1d, 8h, 90m."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def credentials(name: str, secret_file: str, ttl: float, as_json: bool) -> int:
    """Issue a user name and a password that are good for a while.

    Servers that know the secret (sansice serve --secret, coturn's static-auth-secret) need not be told of the user: the name
    says when it expires, and the password proves that somebody issued it who knows the secret. NAME is for the servers'
    logs and quotas; people with the same one share a quota.

    Exit codes: 0 here they are; 1 there is no secret in the file; 2 usage; 130 interrupted.
    """
    now = time.time()
    try:
        username, password = TimeLimitedSecrets(_first_secret(secret_file)).issue(name, lifetime=ttl, unix=now)
    except ValueError as error:
        raise click.UsageError(f"NAME: {error}") from None
    if as_json:
        expires = int(now + ttl)
        click.echo(json.dumps({"username": username, "password": password, "ttl_s": expires - int(now), "expires_unix": expires}))
    else:
        click.echo(f"user name  {username}\npassword   {password}")
    return 0


def _first_secret(path: str) -> str:
    """The secret that issues: as the servers read the file, blanks around a line and empty lines do not count.

    Raises:
        click.ClickException: there is none, or it cannot be read.
    """
    try:
        with click.open_file(path, encoding="utf-8") as file:
            found: str | None = next((line.strip() for line in file if line.strip()), None)
    except OSError as error:
        raise click.ClickException(f"--secret {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"--secret {path}: it is not UTF-8") from None
    if found is None:
        raise click.ClickException(f"--secret {path}: there is no secret in it")
    return found
