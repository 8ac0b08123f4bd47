"""Servers behind a proxy: what it carries goes through it, and UDP, which it does not, is tried beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from sansice.ice._server import NamedServer
from sansice.machine import Transport

if TYPE_CHECKING:
    from sansice.stun import HttpProxy

_DATAGRAMS = (Transport.UDP, Transport.DTLS)
_STREAMS = (Transport.TCP, Transport.TLS)


def through_proxy(servers: Iterable[NamedServer], proxy: HttpProxy) -> tuple[NamedServer, ...]:
    """Each URL once for what of it goes over datagrams, and once for what goes over streams, which is through the proxy."""
    ways: list[NamedServer] = []
    for server in servers:
        if not server.uri.is_turn:
            ways.append(server)
            continue
        if server.uri.transport != "tcp":
            ways.append(attrs.evolve(server, transports=_DATAGRAMS))
        if server.uri.transport != "udp":
            ways.append(attrs.evolve(server, transports=_STREAMS, proxy=proxy))
    return tuple(ways)
