"""Messages and captures that the tests of the decoder share."""

import socket
import struct

import pytest

from sansice import Address
from sansice.stun import SOFTWARE, XOR_MAPPED_ADDRESS, MessageClass, Method, TransactionId, encode

ID = TransactionId(bytes(range(12)))


@pytest.fixture
def request_bytes():
    return encode(Method.BINDING, MessageClass.REQUEST, ID, [(SOFTWARE, "x")], fingerprint=True)


@pytest.fixture
def response_bytes():
    return encode(Method.BINDING, MessageClass.SUCCESS, ID, [(XOR_MAPPED_ADDRESS, Address("203.0.113.5", 5000))])


class Wire:
    """Packets as they would be captured, from 10.0.0.1:5000 to 192.0.2.1:3478 or [2001:db8::1] to [2001:db8::2]."""

    @staticmethod
    def udp(payload, length=None):
        return struct.pack("!4H", 5000, 3478, 8 + len(payload) if length is None else length, 0) + payload

    @staticmethod
    def tcp(payload, sequence, *, syn=False, options=b""):
        offset = (20 + len(options)) // 4 << 4
        return struct.pack("!2HIIBBHHH", 5000, 3478, sequence, 0, offset, 0x02 if syn else 0x18, 1000, 0, 0) + options + payload

    @staticmethod
    def ipv4(body, protocol=17, *, fragment=0, total=None):
        total = 20 + len(body) if total is None else total
        addresses = socket.inet_aton("10.0.0.1") + socket.inet_aton("192.0.2.1")
        return struct.pack("!BBHHHBBH", 0x45, 0, total, 1, fragment, 64, protocol, 0) + addresses + body

    @staticmethod
    def ipv6(body, protocol=17):
        addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + addresses + body

    @staticmethod
    def ethernet(body, kind=0x0800):
        return bytes(12) + struct.pack("!H", kind) + body

    @staticmethod
    def pcap(packets, link=1, *, magic=0xA1B2C3D4, order="<"):
        head = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link)
        return head + b"".join(
            struct.pack(order + "4I", 1000 + index, index, len(one), len(one)) + one for index, one in enumerate(packets)
        )

    @staticmethod
    def block(kind, body, order="<"):
        body += bytes(-len(body) % 4)
        length = struct.pack(order + "I", len(body) + 12)
        return struct.pack(order + "I", kind) + length + body + length

    def pcapng(self, packets, link=1, *, order="<", options=b""):
        section = self.block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
        interface = self.block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)
        return section + interface + b"".join(self.enhanced(one, order=order) for one in packets)

    def enhanced(self, packet, *, interface=0, time=1_000_000_000, order="<"):
        head = struct.pack(order + "5I", interface, time >> 32, time & 0xFFFFFFFF, len(packet), len(packet))
        return self.block(6, head + packet, order)


@pytest.fixture
def wire():
    return Wire()
