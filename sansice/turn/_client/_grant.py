"""What a server grants: the answer to an Allocate request, read and judged (RFC 8656 7.3)."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

import attrs

from sansice.machine import Address, DecodeError, DropReason
from sansice.stun import (
    ADDRESS_ERROR_CODE,
    LIFETIME,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    MOBILITY_TICKET,
    RESERVATION_TOKEN,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    AddressErrorCode,
    Message,
)

from ._wish import AllocateWish

_INTEGRITY = (MESSAGE_INTEGRITY.code, MESSAGE_INTEGRITY_SHA256.code)


@attrs.frozen
class Grant:
    """An allocation as the server describes it; the attributes are those of `AllocationCreated`, and its first ticket."""

    relayed: tuple[Address, ...]
    mapped: Address
    lifetime: int
    reservation_token: bytes | None
    refused: AddressErrorCode | None
    ticket: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Misfit:
    """Why an allocation is of no use, and is to be deleted.

    Attributes:
        reason: words for a person.
        family: whether it is one of a family that nobody here can use: then the server is left alone (RFC 8656 7.3).
    """

    reason: str
    family: bool = False


def read_grant(response: Message, wish: AllocateWish, understood: Collection[int]) -> Grant | Misfit:
    """Read a success response to an Allocate request.

    Args:
        response: verified.
        wish: what was asked for.
        understood: the families that the application can use.
    """
    try:
        relayed = _relayed(response)
        mapped, lifetime = response.get(XOR_MAPPED_ADDRESS), response.get(LIFETIME)
        token, refused = response.get(RESERVATION_TOKEN), response.get(ADDRESS_ERROR_CODE)
        ticket = response.get(MOBILITY_TICKET) if wish.mobility else None
    except DecodeError as error:
        return Misfit(f"the server's answer cannot be read: {error}")
    if not relayed or mapped is None or not lifetime:
        return Misfit("the server's answer lacks a relayed address, the mapped address or a lifetime (RFC 8656 7.2)")
    for address in relayed:
        if not _is_usable(address):
            return Misfit(f"nobody can send to {address}, the relayed address that the server names")
        if ip_version_of(address) not in wish.families:
            return Misfit(f"the relayed address {address} is of a family that was not asked for", family=True)
    for address in (*relayed, mapped):
        if ip_version_of(address) not in understood:
            return Misfit(f"{address} is of a family that is not understood here", family=True)
    return Grant(relayed, mapped, lifetime, token, refused, ticket)


def ip_version_of(address: Address) -> int:
    """4 or 6."""
    return 6 if address.is_ipv6 else 4


def _relayed(response: Message) -> tuple[Address, ...]:
    """The first address of each family, IPv4 first; `Message.get` sees one only, and a dual allocation has two."""
    first: dict[int, Address] = {}
    for code, value in response.attributes():
        if code in _INTEGRITY:
            break  # RFC 8489 14.5: nobody vouches for what follows
        if code == XOR_RELAYED_ADDRESS.code:
            try:
                address = XOR_RELAYED_ADDRESS.unpack(value, response.transaction_id)
            except ValueError as error:
                raise DecodeError(DropReason.BAD_ATTRIBUTE, f"{XOR_RELAYED_ADDRESS.name}: {error}") from None
            first.setdefault(ip_version_of(address), address)
    return tuple(first[family] for family in (4, 6) if family in first)


def _is_usable(address: Address) -> bool:
    host = ipaddress.ip_address(address.host.partition("%")[0])
    return bool(address.port) and not (host.is_unspecified or host.is_multicast)
