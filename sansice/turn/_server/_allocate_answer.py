"""The success response to an Allocate request (RFC 8656 7.2)."""

from __future__ import annotations

from typing import Any, TypeAlias

from sansice.stun import (
    ADDRESS_ERROR_CODE,
    LIFETIME,
    MOBILITY_TICKET,
    RESERVATION_TOKEN,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
)

from ._allocation import Allocation

Attributes: TypeAlias = tuple[tuple[Attribute[Any], Any], ...]


def allocate_answer(allocation: Allocation, *, now: float) -> Attributes:
    """What the client is told of an allocation that it has just made, or asks for once more.

    Args:
        allocation: as it is now; LIFETIME is what is left of it.
        now: monotonic seconds.
    """
    relays = list(allocation.relays.values())
    # Rounded up by what a float may lack, so that a lifetime just granted is told in full.
    lifetime = int(max(relay.expires for relay in relays) - now + 0.001)
    return (
        *((XOR_RELAYED_ADDRESS, relay.address) for relay in relays),
        (LIFETIME, lifetime),
        *(() if allocation.token is None else ((RESERVATION_TOKEN, allocation.token),)),
        (XOR_MAPPED_ADDRESS, allocation.path.remote),
        *(() if allocation.mobile is None else ((MOBILITY_TICKET, allocation.mobile.ticket),)),
        *(() if allocation.failed is None else ((ADDRESS_ERROR_CODE, allocation.failed),)),
    )
