"""STUN and TURN servers as W3C's RTCIceServer names them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from sansice.machine import Address, LocalProtocolError

STUN_PORT = 3478  # RFC 8489 18.6


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


def stun_addresses(servers: Iterable[IceServer | str] | IceServer) -> tuple[tuple[str, Address], ...]:
    """The URL and address of each server; a text is a server of one URL.

    Raises:
        LocalProtocolError: a scheme or a name that this version cannot use yet, or nonsense.
    """
    if isinstance(servers, (str, IceServer)):
        servers = (servers,)
    named = [IceServer(server) if isinstance(server, str) else server for server in servers]
    return tuple((url, _stun_address(url)) for server in named for url in server.urls)


def _stun_address(url: str) -> Address:
    scheme, colon, rest = url.partition(":")
    if not colon or scheme.lower() not in ("stun", "stuns", "turn", "turns"):
        raise LocalProtocolError(f"ICE server {url!r}: expected stun:ADDRESS[:PORT]")
    if scheme.lower() != "stun":
        raise LocalProtocolError(f"ICE server {url!r}: only stun: is supported so far")
    try:
        # RFC 7064 3.1: the port is optional; an IPv6 literal is in square brackets either way.
        address = Address.parse(f"{rest}:{STUN_PORT}" if rest.endswith("]") or ":" not in rest else rest)
    except ValueError as error:
        raise LocalProtocolError(f"ICE server {url!r}: {error}; names are not resolved yet") from None
    if not address.port:
        raise LocalProtocolError(f"ICE server {url!r}: nothing can be sent to port 0")
    return address
