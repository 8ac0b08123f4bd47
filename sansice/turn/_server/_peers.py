"""What CreatePermission and ChannelBind requests ask for: judged by themselves (RFC 8656 10.2, 12.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from sansice.machine import Address, DecodeError
from sansice.stun import CHANNEL_NUMBER, XOR_PEER_ADDRESS, AddressFamily, Message
from sansice.turn._channel_data import FIRST_CHANNEL, LAST_CHANNEL

from ._allocation import Allocation, Relay
from ._refusal import BAD_REQUEST, FAMILY_MISMATCH, FORBIDDEN, Refusal


@attrs.frozen
class BindWish:
    """A channel that may be bound, or is bound already.

    Attributes:
        number: of the channel.
        peer: what it is to stand for.
        relay: the relayed address of the peer's family.
    """

    number: int
    peer: Address
    relay: Relay


def judge_permissions(
    request: Message, allocation: Allocation, may_permit: Callable[[Address, int], bool]
) -> Sequence[tuple[Relay, str]] | Refusal:
    """The hosts that a CreatePermission request names, each once; or what is wrong with it, and then nothing is installed.

    Args:
        request: authenticated.
        allocation: of its 5-tuple.
        may_permit: whether the host of an address may be a peer at all, of an allocation with this protocol.
    """
    try:
        peers = request.get_all(XOR_PEER_ADDRESS)
    except DecodeError:
        return BAD_REQUEST
    if not peers:
        return BAD_REQUEST
    wanted: dict[str, Relay] = {}
    for peer in peers:
        relay = allocation.relays.get(address_family_of(peer.host))
        if relay is None:
            return FAMILY_MISMATCH
        wanted[peer.host] = relay
    if not all(may_permit(peer, allocation.protocol) for peer in peers):
        return FORBIDDEN
    return [(relay, host) for host, relay in wanted.items()]


def judge_bind(
    request: Message, allocation: Allocation, may_reach: Callable[[Address], bool], last_channel: int = LAST_CHANNEL
) -> BindWish | Refusal:
    """The channel that a ChannelBind request wants, or what is wrong with it.

    Args:
        request: authenticated.
        allocation: of its 5-tuple.
        may_reach: whether an address may be a peer at all.
        last_channel: the highest number that a channel may have.
    """
    try:
        number, peer = request.get(CHANNEL_NUMBER), request.get(XOR_PEER_ADDRESS)
    except DecodeError:
        return BAD_REQUEST
    # Nobody has the port 0: data for it would be lost without a word.
    if number is None or peer is None or not FIRST_CHANNEL <= number <= last_channel or not peer.port:
        return BAD_REQUEST
    relay = allocation.relays.get(address_family_of(peer.host))
    if relay is None:
        return FAMILY_MISMATCH
    bound = allocation.channels.get(number.to_bytes(2, "big"))
    if bound is not relay.channels.get(peer):  # one of the two is bound to something else (RFC 8656 12.2)
        return BAD_REQUEST
    return BindWish(number, peer, relay) if may_reach(peer) else FORBIDDEN


def address_family_of(host: str) -> AddressFamily:
    """The family of a literal address."""
    return AddressFamily.IPV6 if ":" in host else AddressFamily.IPV4
