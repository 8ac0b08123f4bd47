"""Redirections: what a 300 (Try Alternate) asks for, and whether to follow it (RFC 8489 10)."""

from __future__ import annotations

import attrs

from sansice.machine import Address, DecodeError, Event
from sansice.stun._attributes import ALTERNATE_DOMAIN, ALTERNATE_SERVER
from sansice.stun._authentication._credentials import Credentials
from sansice.stun._header import TransactionId
from sansice.stun._message import Message
from sansice.stun._paths import Path
from sansice.stun._uri import ServerUri

TRY_ALTERNATE = 300  # RFC 8489 14.8
MEMORY = 300.0  # seconds; RFC 8489 10: a server asked within the last five minutes is not asked again
MAX_REDIRECTIONS = 8  # ours: of one request; servers that point to ever new ones would be followed for ever
MAX_REDIRECTED_SOCKETS = 16  # ours: open at a time; it is servers that make us open them


@attrs.frozen
class Redirected(Event):
    """A server sent a request elsewhere; the request goes on there, under the same id.

    Attributes:
        id: what `StunClient.request` returned.
        old: who redirected.
        new: who is asked now, over the same transport.
        server_hostname: over TLS and DTLS, whom the certificate must name: ALTERNATE-DOMAIN, or else the original server.
        credentials: the ones that are used there, the same as before.
    """

    id: TransactionId = attrs.field(repr=bytes.hex)
    old: Path
    new: Path
    server_hostname: str | None
    credentials: Credentials | None


@attrs.frozen
class Alternate:
    """Where a 300 points."""

    address: Address
    domain: str | None


def read_alternate(response: Message, asked: Address) -> Alternate | None:
    """What a verified 300 says; ``None`` where it says nothing that can be followed.

    The address must be of the family of ``asked``, and ALTERNATE-DOMAIN the name of a host (RFC 8489 10, 14.16).
    """
    try:
        address = response.get(ALTERNATE_SERVER)
        domain = response.get(ALTERNATE_DOMAIN)
    except DecodeError:
        return None
    if address is None or not address.port or address.is_ipv6 != asked.is_ipv6:
        return None
    if domain is None:
        return Alternate(address, None)
    try:
        named = ServerUri.of("stuns", domain)
    except ValueError:
        return None
    return None if named.is_literal else Alternate(address, named.host)
