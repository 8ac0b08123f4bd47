"""The HTTP proxy of a network, as people write it: ``http://user:password@proxy.example.org:3128``."""

from __future__ import annotations

import re

import attrs

from sansice.machine import UNRECORDED, Address, ProxyOptions

from ._uri import ServerUri

DEFAULT_PORT = 3128  # squid's, and what most others took over; RFC 9110 names none for proxies

_SCHEME = "http://"
_ESCAPE = re.compile("((?:%[0-9A-Fa-f]{2})+)")


@attrs.frozen
class HttpProxy:
    """An HTTP proxy that lets connections through (CONNECT, RFC 9110 9.3.6), the one way out of many offices.

    Attributes:
        host: a name, which is looked up here, or a canonical literal.
        port: where it listens.
        username, password: for a proxy that wants them (Basic, RFC 7617). In no repr and in no recording.

    Raises:
        ValueError: a host, port, user name or password that cannot be one.
    """

    host: str
    port: int = DEFAULT_PORT
    username: str | None = attrs.field(default=None, repr=False, metadata=UNRECORDED)
    password: str | None = attrs.field(default=None, repr=False, metadata=UNRECORDED)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "host", ServerUri.of("turn", self.host, self.port).host)
        self.options(Address(self.host, self.port))

    @classmethod
    def parse(cls, text: str) -> HttpProxy:
        """Read ``http://HOST:PORT`` or ``http://USER:PASSWORD@HOST:PORT``; without a port it is 3128.

        Special characters of user and password are percent-encoded (RFC 3986 2.1).

        Raises:
            ValueError: what is wrong, without repeating what may be a password.
        """
        if not text.lower().startswith(_SCHEME):
            raise ValueError("a proxy is written http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT")
        credentials, at, location = text[len(_SCHEME) :].removesuffix("/").rpartition("@")
        user, _, password = credentials.partition(":")
        try:
            where = ServerUri.parse(f"turn:{location}")
            who = (_unescape(user), _unescape(password)) if at else (None, None)
        except ValueError:
            raise ValueError("what comes after http:// and any USER:PASSWORD@ is not HOST:PORT of a proxy") from None
        return cls(where.host, where.port or DEFAULT_PORT, *who)

    @property
    def uri(self) -> ServerUri:
        """Where it is, in the form in which `ServerResolution` takes it."""
        return ServerUri("turn", self.host, self.port, "tcp")

    def options(self, address: Address, authority: str | None = None) -> ProxyOptions:
        """What has a socket opened through it.

        Args:
            address: of the proxy.
            authority: whom to ask it for, if that is not a socket's remote.
        """
        return ProxyOptions(address, self.username, self.password, authority)

    def __str__(self) -> str:
        return f"{_SCHEME}{Address(self.host, self.port)}"


def as_proxy(given: HttpProxy | str | None) -> HttpProxy | None:
    """A proxy, or a text that says which.

    Raises:
        ValueError: of the text.
    """
    return HttpProxy.parse(given) if isinstance(given, str) else given


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda escapes: bytes.fromhex(escapes[1].replace("%", "")).decode(), text)
