"""What tells a peer's address over TCP from the same one over UDP, and which TCP candidates go together (RFC 6544 6.2)."""

from __future__ import annotations

from types import MappingProxyType

from sansice.ice._candidate import DISCARD_PORT, Candidate, TcpType
from sansice.machine import Address

_ACTIVE, _PASSIVE, _BOTH = TcpType.ACTIVE, TcpType.PASSIVE, TcpType.SIMULTANEOUS_OPEN
OPPOSITES = MappingProxyType({_ACTIVE: _PASSIVE, _PASSIVE: _ACTIVE, _BOTH: _BOTH})
"""RFC 6544 6.2: what a local candidate is paired with."""


class TcpAddress(Address):
    """A peer's address over TCP. It equals only another one: over UDP the same address is another path.

    What tells paths apart, by socket and address, so needs to know nothing of transports.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TcpAddress) and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = Address.__hash__

    def __str__(self) -> str:
        return f"{super().__str__()}/tcp"


def remote_end(candidate: Candidate) -> TcpAddress | None:
    """Where a remote TCP candidate is; ``None``: it has a name, or does not say how it connects."""
    if not isinstance(candidate.address, Address) or candidate.tcp_type is None:
        return None
    port = DISCARD_PORT if candidate.tcp_type is _ACTIVE else candidate.address.port
    return TcpAddress(candidate.address.host, port)


def is_checked(local: Candidate, remote: Candidate) -> bool:
    """Whether two TCP candidates make a pair that stays in the checklist.

    Those whose local candidate is passive are pruned (RFC 6544 6.2): the peer connects.
    """
    return local.tcp_type is not None and local.tcp_type is not _PASSIVE and OPPOSITES[local.tcp_type] is remote.tcp_type
