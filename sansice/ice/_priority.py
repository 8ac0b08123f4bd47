"""Priorities and foundations (RFC 8445 5.1.1.3, 5.1.2, 6.1.2.3)."""

from __future__ import annotations

from ._candidate import CandidateType

# RFC 8445 5.1.2.2
TYPE_PREFERENCES = {
    CandidateType.HOST: 126,
    CandidateType.PEER_REFLEXIVE: 110,
    CandidateType.SERVER_REFLEXIVE: 100,
    CandidateType.RELAYED: 0,
}
MAX_LOCAL_PREFERENCE = 65535  # RFC 8445 5.1.2.1
# Foundations that are remembered: more than an agent has at a time. One that roams for ever meets ever new addresses, and an
# address that comes back after so many others may well have a new foundation.
MAX_FOUNDATIONS = 1024


def candidate_priority(type: CandidateType, local_preference: int, component: int) -> int:
    """The recommended formula: 2^24 type + 2^8 local + (256 - component) (RFC 8445 5.1.2.1)."""
    return (TYPE_PREFERENCES[type] << 24) | (local_preference << 8) | (256 - component)


def pair_priority(controlling: int, controlled: int) -> int:
    """2^32 min(G, D) + 2 max(G, D) + (1 if G > D), with G the controlling agent's (RFC 8445 6.1.2.3)."""
    low, high = sorted((controlling, controlled))
    return (low << 32) + 2 * high + (controlling > controlled)


class Foundations:
    """Numbers the foundations of one agent: equal exactly when type, base, server and transport are (5.1.1.3)."""

    __slots__ = ("_forgotten", "_known")

    def __init__(self) -> None:
        self._known: list[tuple[CandidateType, str, str]] = []
        self._forgotten = 0  # how many of the oldest: no number is given twice

    def of(self, type: CandidateType, base: str, server: str = "") -> str:
        """The foundation for a type, base IP address and server IP address; all are UDP here."""
        key = (type, base, server)
        known = self._known
        if key not in known:
            known.append(key)
            if len(known) > MAX_FOUNDATIONS:
                del known[0]
                self._forgotten += 1
        return str(self._forgotten + known.index(key) + 1)
