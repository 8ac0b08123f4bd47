"""What a Refresh request asks for: judged by itself (RFC 8656 8.2)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sansice.machine import DecodeError
from sansice.stun import LIFETIME, REQUESTED_ADDRESS_FAMILY, AddressFamily, Message

from ._allocate import granted_lifetime
from ._allocation import Relay
from ._config import TurnServerConfig
from ._refusal import BAD_REQUEST, FAMILY_MISMATCH, Refusal


@attrs.frozen
class RefreshWish:
    """What is wanted, by a request that is sound in itself.

    Attributes:
        relays: the relayed addresses that it is about.
        lifetime: seconds that will be granted; 0 deletes.
    """

    relays: tuple[Relay, ...]
    lifetime: int


def judge_refresh(request: Message, relays: Mapping[AddressFamily, Relay], config: TurnServerConfig) -> RefreshWish | Refusal:
    """What a Refresh request wants, or what is wrong with it. Never raises because of what is in it."""
    try:
        family = request.get(REQUESTED_ADDRESS_FAMILY)
        lifetime = 0 if request.get(LIFETIME) == 0 else granted_lifetime(request, config)
    except DecodeError:
        return BAD_REQUEST
    if family is None:
        return RefreshWish(tuple(relays.values()), lifetime)
    one = next((relay for relay in relays.values() if relay.family == family), None)
    return FAMILY_MISMATCH if one is None else RefreshWish((one,), lifetime)
