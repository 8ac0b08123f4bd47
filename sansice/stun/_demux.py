"""Whose packet is it: the first byte tells the protocols that share a port apart (RFC 7983 7, RFC 9443 3)."""

from __future__ import annotations

import enum


class Protocol(enum.Enum):
    """The protocols that can share a port."""

    STUN = "stun"
    ZRTP = "zrtp"
    DTLS = "dtls"
    TURN_CHANNEL = "turn-channel"
    RTP = "rtp"
    QUIC = "quic"


_RANGES = (  # RFC 7983 7, figure 3
    (0, 3, Protocol.STUN),
    (16, 19, Protocol.ZRTP),
    (20, 63, Protocol.DTLS),
    (64, 79, Protocol.TURN_CHANNEL),
    (128, 191, Protocol.RTP),
)
_QUIC_RANGES = ((80, 127, Protocol.QUIC), (192, 255, Protocol.QUIC))  # RFC 9443 3, figure 3
_QUIC_INSTEAD_OF_CHANNEL = ((64, 79, Protocol.QUIC),)


def _table(*ranges: tuple[int, int, Protocol]) -> tuple[Protocol | None, ...]:
    table: list[Protocol | None] = [None] * 256
    for first, last, protocol in ranges:
        table[first : last + 1] = [protocol] * (last + 1 - first)
    return tuple(table)


_PLAIN = _table(*_RANGES)
_WITH_QUIC = _table(*_RANGES, *_QUIC_RANGES, *_QUIC_INSTEAD_OF_CHANNEL)
_WITH_QUIC_AND_TURN = _table(*_RANGES, *_QUIC_RANGES)


def demultiplex(first_byte: int, *, quic: bool = False, from_turn_server: bool = False) -> Protocol | None:
    """Tell which protocol a datagram belongs to.

    The byte narrows it down to one protocol, and that one's own parser has the last word: what `is_stun` or
    `decode_untrusted` refuses is not STUN, and may be offered to another parser (RFC 8489 6.3). Who shares a port with
    nobody needs no demultiplexer. STUN methods above 0xFF and TURN channels outside 0x4000-0x4FFF cannot be told apart
    from other protocols, and so are none here (RFC 7983 3, 6).

    Args:
        first_byte: of the datagram, 0..255.
        quic: QUIC shares the port too (RFC 9443).
        from_turn_server: the datagram's source is the address of a TURN server that has answered. With ``quic``
            64..79 is a TURN channel only then, and otherwise QUIC; without ``quic`` it changes nothing.

    Returns:
        The protocol; ``None`` for a byte that none has: the datagram is to be dropped.
    """
    if not quic:
        return _PLAIN[first_byte]
    return (_WITH_QUIC_AND_TURN if from_turn_server else _WITH_QUIC)[first_byte]
