"""What a server puts into its answers: functions of the request, the configuration and the sockets, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from sansice.machine import Address, DecodeError, DropReason, Transport
from sansice.stun._attributes import (
    ACCESS_TOKEN,
    ALTERNATE_DOMAIN,
    ALTERNATE_SERVER,
    CHANGE_REQUEST,
    MAPPED_ADDRESS,
    OTHER_ADDRESS,
    PADDING,
    REGISTRY,
    RESPONSE_ADDRESS,
    RESPONSE_ORIGIN,
    RESPONSE_PORT,
    SOFTWARE,
    XOR_MAPPED_ADDRESS,
    Attribute,
)
from sansice.stun._authentication._session import Session
from sansice.stun._encoding import encode
from sansice.stun._header import MessageClass
from sansice.stun._integrity import IntegrityAlgorithm
from sansice.stun._paths import Path
from sansice.stun._values import ChangeRequest

from ._behavior import Corner
from ._config import StunServerConfig
from ._requests import Exchange

Attributes: TypeAlias = Sequence[tuple[Attribute[Any], Any]]

# RFC 5780 7.6 asks for the MTU; but an answer padded to 1500 bytes for a request of 28 would be a weapon.
MAX_PADDING: Final = 1500

# RESPONSE-ADDRESS would make a reflector of any server (RFC 5389 12.2); the others are for servers with RFC 5780 on.
# An access token that nobody has asked for is unknown (RFC 7635 7).
_REFUSED = (RESPONSE_ADDRESS, CHANGE_REQUEST, RESPONSE_PORT, PADDING, ACCESS_TOKEN)
_BASIC = frozenset(REGISTRY) - {attribute.code for attribute in _REFUSED}
_WITH_TOKEN = _BASIC | {ACCESS_TOKEN.code}
_PADDED = _BASIC | {PADDING.code}
_ONE_ADDRESS = _PADDED | {RESPONSE_PORT.code}
_WITH_ALTERNATES = _ONE_ADDRESS | {CHANGE_REQUEST.code}


def understood(
    config: StunServerConfig, transport: Transport, corner: Corner | None, session: Session | None = None
) -> frozenset[int]:
    """The attributes that a request may have without being answered with 420 (RFC 8489 6.3.1, RFC 5780 6)."""
    if not config.behavior:
        return _BASIC if session is None else _WITH_TOKEN
    if transport is not Transport.UDP:  # an answer can only take the stream, or the DTLS session, that the request took
        return _PADDED
    return _ONE_ADDRESS if corner is None else _WITH_ALTERNATES


def redirection(config: StunServerConfig, exchange: Exchange) -> Attributes:
    """What a 300 to an authenticated request carries; nothing where the request is served here (RFC 8489 10, 14.8)."""
    ipv6 = exchange.path.remote.is_ipv6
    # The client's own family is first, and must be there.
    ordered = sorted(config.alternates, key=lambda address: address.is_ipv6 is not ipv6)
    if exchange.key is None or not ordered or ordered[0].is_ipv6 is not ipv6:
        return ()
    attributes: list[tuple[Attribute[Any], Any]] = [(ALTERNATE_SERVER, address) for address in ordered]
    secure = exchange.path.transport.is_secure
    # Only a client that sends the newer integrity knows the attribute.
    if config.alternate_domain is not None and secure and exchange.algorithm is IntegrityAlgorithm.SHA256:
        attributes.append((ALTERNATE_DOMAIN, config.alternate_domain))
    return attributes


def behavior_answer_untrusted(exchange: Exchange) -> tuple[Attributes, Path]:
    """A success response as RFC 5780 6.1 has it, and where it leaves and goes.

    Raises:
        DecodeError: the request is to be answered with 400.
    """
    path, request, corner = exchange.path, exchange.request, exchange.corner
    flags = request.get(CHANGE_REQUEST) or ChangeRequest()
    port, padding = request.get(RESPONSE_PORT), request.get(PADDING)
    if port is not None and (port == 0 or padding is not None):
        raise DecodeError(DropReason.BAD_ATTRIBUTE, "RESPONSE-PORT of 0, or beside PADDING")
    socket, origin = path.socket, exchange.local
    if corner is not None and (flags.change_ip or flags.change_port):
        socket, origin = corner.origins[flags]
    attributes: list[tuple[Attribute[Any], Any]] = [
        (XOR_MAPPED_ADDRESS, path.remote),
        (MAPPED_ADDRESS, path.remote),
        (RESPONSE_ORIGIN, origin),
    ]
    if corner is not None:
        attributes.append((OTHER_ADDRESS, corner.other))
    if padding is not None:
        # As long as the request's: whoever has to send as much as is sent gains nothing by it.
        attributes.append((PADDING, bytes(min(len(padding) + -len(padding) % 4, MAX_PADDING))))
    destination = path.remote if port is None else Address(path.remote.host, port)
    return attributes, Path(socket, destination, path.transport)


def encode_answer(config: StunServerConfig, exchange: Exchange, message_class: MessageClass, attributes: Attributes) -> bytes:
    """The answer to a request, protected as the request was; with SOFTWARE where that is wanted."""
    request = exchange.request
    return encode(
        request.method,
        message_class,
        request.transaction_id,
        attributes if config.software is None else (*attributes, (SOFTWARE, config.software)),
        key=exchange.key,
        algorithm=exchange.algorithm,
        fingerprint=request.has_fingerprint,
    )
