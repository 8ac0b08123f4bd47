"""How much data fits into a packet on its way, so that none is cut in pieces."""

from __future__ import annotations

from sansice.machine import Address, Transport

from ._candidate import CandidateType
from ._pair import Pair

_IPV4_HEADER, _IPV6_HEADER, _UDP_HEADER = 20, 40, 8  # bytes
_TCP_HEADER = 20 + 12  # with timestamps (RFC 7323), which all systems use
_FRAME = 2  # RFC 4571 2
# RFC 8656 11: until a channel is bound, a relay's client sends and gets data in indications: a header, the address of the
# other end, the head of DATA, and what fills it up.
_INDICATION = 20 + 4 + 3
_PEER_IPV4, _PEER_IPV6 = 12, 24
_RELAYED = CandidateType.RELAYED


def data_mtu(pair: Pair, path_mtu: int) -> int:
    """Bytes of data that one packet on this pair's path can carry.

    Where an end is relayed, the packets between the relay and its client are larger than what the peers see, and may be of
    the other address family: that is reckoned with.

    Args:
        pair: the pair in use.
        path_mtu: the largest IP packet of the path.
    """
    if pair.local.candidate.transport is Transport.TCP:
        return path_mtu - (_IPV6_HEADER if pair.local.base.is_ipv6 else _IPV4_HEADER) - _TCP_HEADER - _FRAME
    is_relayed = _RELAYED in (pair.local.candidate.type, pair.remote.type)
    return path_data_mtu(pair.remote_address, path_mtu, is_relayed=is_relayed)


def path_data_mtu(remote: Address, path_mtu: int, *, is_relayed: bool) -> int:
    """The same, of a path to an address."""
    is_ipv6 = ":" in remote.host
    if not is_relayed:
        return path_mtu - (_IPV6_HEADER if is_ipv6 else _IPV4_HEADER) - _UDP_HEADER
    return path_mtu - _IPV6_HEADER - _UDP_HEADER - _INDICATION - (_PEER_IPV6 if is_ipv6 else _PEER_IPV4)
