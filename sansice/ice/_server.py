"""STUN and TURN servers as W3C's RTCIceServer names them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from sansice.machine import LocalProtocolError
from sansice.stun import ServerUri


def _as_urls(urls: str | Iterable[str]) -> tuple[str, ...]:
    return (urls,) if isinstance(urls, str) else tuple(urls)


@attrs.frozen
class IceServer:
    """A server, or several that share credentials (W3C ``RTCIceServer``).

    Attributes:
        urls: one URL or several: ``stun:`` ``stuns:`` ``turn:`` ``turns:``.
        username, credential: for TURN.
    """

    urls: tuple[str, ...] = attrs.field(converter=_as_urls)
    username: str | None = None
    credential: str | None = attrs.field(default=None, repr=False)


def stun_servers(servers: Iterable[IceServer | str] | IceServer) -> tuple[tuple[str, ServerUri], ...]:
    """The URL of each server as written, and read; a text is a server of one URL.

    Raises:
        LocalProtocolError: a scheme that this version cannot use yet, or nonsense.
    """
    if isinstance(servers, (str, IceServer)):
        servers = (servers,)
    named = [IceServer(server) if isinstance(server, str) else server for server in servers]
    return tuple((url, _stun_uri(url)) for server in named for url in server.urls)


def _stun_uri(url: str) -> ServerUri:
    try:
        uri = ServerUri.parse(url)
    except ValueError as error:
        raise LocalProtocolError(f"ICE server {error}") from None
    if uri.scheme != "stun":
        raise LocalProtocolError(f"ICE server {url!r}: only stun: is supported so far")
    return uri
