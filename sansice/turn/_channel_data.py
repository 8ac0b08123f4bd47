"""ChannelData: data of a peer behind a header of four bytes (RFC 8656 12.4, 12.5)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from sansice.machine import DecodeError, DropReason, LocalProtocolError

FIRST_CHANNEL: Final = 0x4000
"""The lowest channel number (RFC 8656 12)."""

LAST_CHANNEL: Final = 0x4FFF
"""The highest channel number; those above, up to 0xFFFF, are reserved (RFC 8656 12)."""

CHANNEL_HEADER_LENGTH: Final = 4
"""Bytes of channel number and length, before the data."""

_MAX_LENGTH = 0xFFFF  # what the length field can say

_pack = struct.Struct("!HH").pack
_unpack = struct.Struct("!HH").unpack_from
PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")
"""By a length modulo 4, what fills it up on a stream. Always zeros: nothing of other data leaks."""

# The length fields of what fits into the packets of most networks, ready made: packing a number takes twice as long as
# looking it up, and that for each packet.
LENGTHS: Final = tuple(length.to_bytes(2, "big") for length in range(2048))


class ChannelData(NamedTuple):
    """What is in a ChannelData message.

    A NamedTuple, because there is one for each packet.
    """

    number: int
    data: bytes

    def __repr__(self) -> str:
        return f"ChannelData(number={self.number:#06x}, data={self.data.hex()})"


def encode_channel_data(number: int, data: bytes, *, padded: bool = False) -> bytes:
    """Put the header before data (RFC 8656 12.4).

    Args:
        number: of the channel, `FIRST_CHANNEL` to `LAST_CHANNEL`.
        data: at most 65,535 bytes; none at all is legal.
        padded: fill the message up to a multiple of 4 bytes, as TCP and TLS need it (RFC 8656 12.5). The length field does
            not count the padding.

    Raises:
        LocalProtocolError: no channel has this number, or there is too much data.
    """
    length = len(data)
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
        raise LocalProtocolError(f"{number:#06x} is no channel number: they are {FIRST_CHANNEL:#06x} to {LAST_CHANNEL:#06x}")
    if length > _MAX_LENGTH:
        raise LocalProtocolError(f"{length} bytes do not fit into ChannelData, which holds {_MAX_LENGTH}")
    message = _pack(number, length) + data
    return message + PADDING[length & 3] if padded else message


def read_channel_data_untrusted(message: bytes) -> ChannelData:
    """Read a ChannelData message: a datagram, or what `StreamFramer` has cut from a stream.

    What follows the data is padding, and ignored (RFC 8656 12.5).

    Raises:
        DecodeError: too short for its header or for the length in it (`DropReason.BAD_LENGTH`), or no channel has its
            number (`DropReason.NO_CHANNEL`).
    """
    available = len(message) - CHANNEL_HEADER_LENGTH
    if available < 0:
        raise DecodeError(DropReason.BAD_LENGTH, f"{len(message)} bytes are no ChannelData")
    number, length = _unpack(message)
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
        raise DecodeError(DropReason.NO_CHANNEL, f"{number:#06x}")
    if length > available:
        raise DecodeError(DropReason.BAD_LENGTH, f"{available} bytes of data where {length} are announced")
    return ChannelData(number, message[CHANNEL_HEADER_LENGTH : CHANNEL_HEADER_LENGTH + length])
