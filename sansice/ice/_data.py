"""What the application may send (RFC 7983: what the peer will not take for STUN)."""

from __future__ import annotations

from sansice.machine import LocalProtocolError
from sansice.stun import is_stun

MAX_DATAGRAM = 65507  # bytes: what UDP over IPv4 can carry
FIRST_OF_DATA = 0x40  # a datagram that begins with less may look like STUN (RFC 7983)


def as_bytes(data: object) -> bytes:
    """A copy of what only looks like bytes: an output is immutable.

    Raises:
        LocalProtocolError: it does not look like bytes.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise LocalProtocolError(f"send(): bytes, not {type(data).__name__}")


def check_data(data: bytes) -> None:
    """Refuse what the peer would drop or misread.

    Raises:
        LocalProtocolError: empty, too long, or like STUN.
    """
    if not data:
        raise LocalProtocolError("send(): an empty datagram, which the peer would drop")
    if len(data) > MAX_DATAGRAM:
        raise LocalProtocolError(f"send(): {len(data)} bytes are more than the {MAX_DATAGRAM} that UDP can carry")
    if is_stun(data):
        raise LocalProtocolError("send(): the peer would take this for STUN (RFC 7983)")
