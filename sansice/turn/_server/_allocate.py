"""What an Allocate request asks for: judged by itself, in the order of RFC 8656 7.2 (and RFC 6062 5.1)."""

from __future__ import annotations

import enum
from collections.abc import Container

import attrs

from sansice.machine import DecodeError, Transport
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    SSODA_ADDRESS_FAMILY,
    AddressErrorCode,
    AddressFamily,
    Message,
)

from ._allocation import TCP_PROTOCOL, UDP_PROTOCOL
from ._config import TurnServerConfig
from ._refusal import (
    BAD_REQUEST,
    UNKNOWN_DONT_FRAGMENT,
    UNSUPPORTED_FAMILY,
    UNSUPPORTED_TRANSPORT,
    Refusal,
)

IPV4, IPV6 = AddressFamily


class PortWish(enum.Enum):
    """What EVEN-PORT says about the port (RFC 8656 18.7)."""

    ANY = "any port"
    EVEN = "an even port"
    PAIR = "an even port, and the next one reserved"


@attrs.frozen
class RelayWish:
    """What is wanted, by a request that is sound in itself.

    Attributes:
        protocol: of the relayed addresses: 17 or 6.
        families: of the relayed addresses; with ``token`` none is named, the reserved address has one.
        unavailable: the family of a dual request that this server does not have, as the answer says it.
        port: which ports will do.
        token: of a reserved port.
        lifetime: seconds that will be granted.
        mobile: a ticket, to come back from elsewhere (RFC 8016); judged by `Mobility`.
    """

    protocol: int = UDP_PROTOCOL
    families: tuple[AddressFamily, ...] = ()
    unavailable: AddressErrorCode | None = None
    port: PortWish = PortWish.ANY
    token: bytes | None = attrs.field(default=None, repr=False)
    lifetime: int = 0
    mobile: bool = False


def judge_allocate(
    request: Message, transport: Transport, supported: Container[int], config: TurnServerConfig
) -> RelayWish | Refusal:
    """What an Allocate request wants, or the first thing that is wrong with it. Never raises because of what is in it.

    Args:
        request: authenticated, without unknown attributes, on a 5-tuple without an allocation.
        transport: between client and server.
        supported: families of which this server has relayed addresses.
        config: the server's.
    """
    try:
        return _judge(request, transport, supported, config)
    except DecodeError:
        return BAD_REQUEST


def _judge(request: Message, transport: Transport, supported: Container[int], config: TurnServerConfig) -> RelayWish | Refusal:
    protocol = request.get(REQUESTED_TRANSPORT)
    if protocol is None:
        return BAD_REQUEST
    if protocol != UDP_PROTOCOL and not (protocol == TCP_PROTOCOL and config.tcp_relay):
        return UNSUPPORTED_TRANSPORT
    if DONT_FRAGMENT in request and not config.dont_fragment:
        return UNKNOWN_DONT_FRAGMENT
    lifetime = granted_lifetime(request, config)
    token = request.get(RESERVATION_TOKEN)
    even_port = request.get(EVEN_PORT)
    family = request.get(REQUESTED_ADDRESS_FAMILY)
    additional = request.get(ADDITIONAL_ADDRESS_FAMILY if ADDITIONAL_ADDRESS_FAMILY in request else SSODA_ADDRESS_FAMILY)
    is_tcp = protocol == TCP_PROTOCOL
    # RFC 6062 5.1: only over a stream, and without what is about datagrams and their ports.
    if is_tcp and (not transport.is_stream or DONT_FRAGMENT in request or even_port is not None or token is not None):
        return BAD_REQUEST
    if token is not None:
        if even_port is not None or family is not None or additional is not None:
            return BAD_REQUEST
        return RelayWish(token=token, lifetime=lifetime)
    port = PortWish.ANY if even_port is None else PortWish.PAIR if even_port else PortWish.EVEN
    if additional is None:
        wanted = IPV4 if family is None else family
        if wanted not in supported:
            return UNSUPPORTED_FAMILY
        return RelayWish(protocol, (AddressFamily(wanted),), port=port, lifetime=lifetime)
    if family is not None or port is PortWish.PAIR or additional != IPV6:
        return BAD_REQUEST
    return _judge_dual(RelayWish(protocol, (IPV4, IPV6), port=port, lifetime=lifetime), supported)


def _judge_dual(wish: RelayWish, supported: Container[int]) -> RelayWish | Refusal:
    """One family of two is success enough; the answer names the other."""
    there = tuple(family for family in wish.families if family in supported)
    if len(there) == len(wish.families):
        return wish
    if not there:
        return UNSUPPORTED_FAMILY
    missing = next(family for family in wish.families if family not in there)
    error = UNSUPPORTED_FAMILY.error
    return attrs.evolve(wish, families=there, unavailable=AddressErrorCode(missing, error.code, error.reason))


def granted_lifetime(request: Message, config: TurnServerConfig) -> int:
    """Seconds: what is asked for, but no more than the maximum, and no less than the default (RFC 8656 7.2, 8.2).

    Raises:
        DecodeError: LIFETIME is malformed.
    """
    asked = request.get(LIFETIME)
    return max(config.default_lifetime, min(asked or 0, config.max_lifetime))


def within_token(lifetime: int, remaining: int | None) -> int:
    """No longer than the access token lasts that the request was made with, if there was one (RFC 7635 9)."""
    return lifetime if remaining is None else min(lifetime, remaining)
