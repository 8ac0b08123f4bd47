"""STUN and TURN servers as W3C's RTCIceServer names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from sansice.machine import LocalProtocolError, Transport
from sansice.stun import ServerUri

if TYPE_CHECKING:
    from sansice.stun import AccessToken, HttpProxy, LongTermCredentials


def _as_urls(urls: str | Iterable[str]) -> tuple[str, ...]:
    return (urls,) if isinstance(urls, str) else tuple(urls)


@attrs.frozen
class IceServer:
    """A server, or several that share credentials (W3C ``RTCIceServer``).

    Attributes:
        urls: one URL or several: ``stun:`` ``stuns:`` ``turn:`` ``turns:``. TURN URLs of one host, here or in several values
            with the same credentials, are one server, which relays once: UDP is tried first, TCP and TLS soon after. A
            ``stuns:`` server is of no use to an agent: what it sees is a connection, and a candidate is a UDP socket; the agent
            says so in `ServerFailed`.
        username, credential: for TURN; ``credential`` may be an `AccessToken` (RFC 7635) and then stands alone.
        verify_name: what the server's certificate must say, where a URL names it by its address.
    """

    urls: tuple[str, ...] = attrs.field(converter=_as_urls)
    username: str | None = None
    credential: str | AccessToken | None = attrs.field(default=None, repr=False)
    verify_name: str | None = None


@attrs.frozen
class NamedServer:
    """One URL, read.

    Attributes:
        url: as it was written.
        uri: what it says.
        credentials: for TURN.
        verify_name: what its certificate must say, if not the URL's host.
        transports: which of those that the URL allows are used; ``None`` for all.
        proxy: through which it is reached.
    """

    url: str
    uri: ServerUri
    credentials: LongTermCredentials | AccessToken | None = None
    verify_name: str | None = None
    transports: tuple[Transport, ...] | None = None
    proxy: HttpProxy | None = None


def read_servers(servers: Iterable[IceServer | str] | IceServer) -> tuple[NamedServer, ...]:
    """Each URL once; a text is a server of one URL.

    Raises:
        LocalProtocolError: a URL that is none, or credentials that no server can be shown.
    """
    if isinstance(servers, (str, IceServer)):
        servers = (servers,)
    read: dict[NamedServer, None] = {}
    for given in servers:
        server = IceServer(given) if isinstance(given, str) else given
        for url in server.urls:
            read[_read(server, url)] = None
    return tuple(read)


def _read(server: IceServer, url: str) -> NamedServer:
    try:
        uri = ServerUri.parse(url)
    except ValueError as error:
        raise LocalProtocolError(f"ICE server {error}") from None
    if not uri.is_turn:  # RFC 8445 5.1.1.2: a Binding request of gathering is not authenticated
        return NamedServer(url, uri)
    return NamedServer(url, uri, _credentials(server, url), server.verify_name)


def _credentials(server: IceServer, url: str) -> LongTermCredentials | AccessToken | None:
    username, credential = server.username, server.credential
    if credential is not None and not isinstance(credential, str):
        return credential
    if username is None and credential is None:
        return None
    if username is None or credential is None:
        raise LocalProtocolError(f"ICE server {url!r}: a user name and a credential, or neither")
    from sansice.stun import LongTermCredentials  # an agent without relays need not load what proves who it is

    try:
        return LongTermCredentials(username, credential)
    except ValueError as error:
        raise LocalProtocolError(f"ICE server {url!r}: {error}") from None
