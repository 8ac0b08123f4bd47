"""How large a message may be (RFC 8489 6.1)."""

from __future__ import annotations

from sansice.machine import Transport

from ._header import HEADER_LENGTH

_IPV4_PACKET = 576  # bytes that every host can reassemble (RFC 1122 3.3.2)
_IPV6_PACKET = 1280  # bytes that every link carries (RFC 8200 5)
_IPV4_HEADER = 20  # without options
_IPV6_HEADER = 40
_UDP_HEADER = 8
_DTLS_RECORD = 13  # the header of a record (RFC 6347 4.1)
# The dearest of the cipher suites in use, CBC with HMAC-SHA384: initialisation vector, MAC and padding (RFC 5246 6.2.3.2).
# Those with authenticated encryption need a quarter of that.
_DTLS_CIPHER = 16 + 48 + 16

_STREAM_LIMIT = HEADER_LENGTH + 0xFFFC  # what the length field can say


def size_budget(transport: Transport, *, ipv6: bool, mtu: int | None = None) -> int:
    """How many bytes a message may have so that it arrives without fragments (RFC 8489 6.1).

    Args:
        transport: over streams only the length field limits a message.
        ipv6: whether it travels over IPv6.
        mtu: the path MTU in bytes of IP packet, where it is known; otherwise what every path carries counts.

    Returns:
        548 bytes over UDP and IPv4, 1232 over IPv6, 93 bytes less over DTLS.
    """
    if transport.is_stream:
        return _STREAM_LIMIT
    packet = mtu if mtu is not None else _IPV6_PACKET if ipv6 else _IPV4_PACKET
    budget = packet - (_IPV6_HEADER if ipv6 else _IPV4_HEADER) - _UDP_HEADER
    return budget - _DTLS_RECORD - _DTLS_CIPHER if transport is Transport.DTLS else budget
