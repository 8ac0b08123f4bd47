"""What both ends are told by the command line, and the line of JSON by which the other process hears of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TextIO

import attrs
import click

from sansice.ice import IceServer
from sansice.stun import ServerUri
from sansice_cli._options import relay_credentials_of


@attrs.frozen
class Settings:
    """How the ends connect.

    Attributes:
        servers: that they ask.
        relay: over relayed candidates alone.
        lite: end B is a lite agent.
    """

    servers: tuple[IceServer, ...] = ()
    relay: bool = False
    lite: bool = False

    def arguments(self, *, of_b: bool) -> dict[str, Any]:
        """For ``open_ice`` at one end."""
        is_lite = self.lite and of_b
        return {
            "controlling": not of_b,
            "lite": is_lite,
            "ice_servers": () if is_lite else self.servers,
            "policy": "relay" if self.relay else "all",
        }

    @property
    def has_relay(self) -> bool:
        """Whether a server that may relay is among those that are asked."""
        return any(url.startswith("turn") for server in self.servers for url in server.urls)

    def to_line(self) -> bytes:
        """A line of JSON, newline included. Passwords are in it."""
        servers = [{"urls": server.urls, "username": server.username, "credential": server.credential} for server in self.servers]
        return json.dumps({"servers": servers, "relay": self.relay, "lite": self.lite}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Settings:
        """Read what `to_line` wrote.

        Raises:
            ValueError: anything else.
        """
        try:
            values = json.loads(line)
            return cls(tuple(IceServer(**server) for server in values.pop("servers")), **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no settings: {line[:200]!r} ({error})") from None


def read_settings(urls: Sequence[str], user: str | None, password_file: TextIO | None, *, relay: bool, lite: bool) -> Settings:
    """What the command line asks for.

    Raises:
        click.UsageError: a server that is none, half of the credentials, or a lite end that would need a relay.
    """
    if relay and lite:
        raise click.UsageError("--relay and --lite exclude each other: a lite agent has no relay")
    try:
        uris = [ServerUri.parse(url) for url in urls]
    except ValueError as error:
        raise click.UsageError(f"--server: {error}") from None
    credentials = relay_credentials_of(user, None, password_file)
    known = () if credentials is None else (credentials.username, credentials.password)
    return Settings(tuple(IceServer(str(uri), *(known if uri.is_turn else ())) for uri in uris), relay, lite)
