"""Priorities and foundations (RFC 8445 5.1.1.3, 5.1.2, 6.1.2.3)."""

from __future__ import annotations

from types import MappingProxyType

from sansice.machine import Transport

from ._candidate import CandidateType, TcpType

# RFC 8445 5.1.2.2
TYPE_PREFERENCES = {
    CandidateType.HOST: 126,
    CandidateType.PEER_REFLEXIVE: 110,
    CandidateType.SERVER_REFLEXIVE: 100,
    CandidateType.RELAYED: 0,
}
# RFC 6544 4.2 wants UDP before TCP for what is like RTP: TCP repeats what nobody needs any more. Below those of UDP, but for a
# relay's, which costs somebody money and a round trip more.
TCP_TYPE_PREFERENCES = {
    CandidateType.HOST: 90,
    CandidateType.PEER_REFLEXIVE: 80,
    CandidateType.SERVER_REFLEXIVE: 70,
    CandidateType.RELAYED: 0,
}
MAX_OTHER_PREFERENCE = 8191  # RFC 6544 4.2
_OTHER_BITS = 13
_HOST_DIRECTIONS = MappingProxyType({TcpType.ACTIVE: 6, TcpType.PASSIVE: 4, TcpType.SIMULTANEOUS_OPEN: 2})  # RFC 6544 4.2
_REFLEXIVE_DIRECTIONS = MappingProxyType({TcpType.SIMULTANEOUS_OPEN: 6, TcpType.ACTIVE: 4, TcpType.PASSIVE: 2})
MAX_LOCAL_PREFERENCE = 65535  # RFC 8445 5.1.2.1
# Foundations that are remembered: more than an agent has at a time. One that roams for ever meets ever new addresses, and an
# address that comes back after so many others may well have a new foundation.
MAX_FOUNDATIONS = 1024


def candidate_priority(type: CandidateType, local_preference: int, component: int, transport: Transport = Transport.UDP) -> int:
    """The recommended formula: 2^24 type + 2^8 local + (256 - component) (RFC 8445 5.1.2.1)."""
    preferences = TYPE_PREFERENCES if transport is Transport.UDP else TCP_TYPE_PREFERENCES
    return (preferences[type] << 24) | (local_preference << 8) | (256 - component)


def tcp_local_preference(type: CandidateType, direction: TcpType, other: int) -> int:
    """2^13 direction + other, which is 0 to `MAX_OTHER_PREFERENCE` and unique for a type and direction (RFC 6544 4.2)."""
    directions = _REFLEXIVE_DIRECTIONS if type is CandidateType.SERVER_REFLEXIVE else _HOST_DIRECTIONS
    return (directions[direction] << _OTHER_BITS) + other


def pair_priority(controlling: int, controlled: int) -> int:
    """2^32 min(G, D) + 2 max(G, D) + (1 if G > D), with G the controlling agent's (RFC 8445 6.1.2.3)."""
    low, high = sorted((controlling, controlled))
    return (low << 32) + 2 * high + (controlling > controlled)


class Foundations:
    """Numbers the foundations of one agent: equal exactly when type, base, server and transport are (5.1.1.3)."""

    __slots__ = ("_forgotten", "_known")

    def __init__(self) -> None:
        self._known: list[tuple[CandidateType | str, ...]] = []
        self._forgotten = 0  # how many of the oldest: no number is given twice

    def of(self, type: CandidateType, base: str, server: str = "", transport: Transport = Transport.UDP) -> str:
        """The foundation for a type, base IP address, server IP address and transport."""
        key: tuple[CandidateType | str, ...] = (type, base, server)
        if transport is not Transport.UDP:
            key = (*key, transport.value)
        known = self._known
        if key not in known:
            known.append(key)
            if len(known) > MAX_FOUNDATIONS:
                del known[0]
                self._forgotten += 1
        return str(self._forgotten + known.index(key) + 1)
