"""Packets: what they are, how long on the wire, and how they show to a person."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fragment, Packet, TcpFlags, TcpSegment

A, B = Address("192.0.2.1", 1), Address("192.0.2.2", 2)
A6, B6 = Address("2001:db8::1", 1), Address("2001:db8::2", 2)
SYN = TcpSegment(TcpFlags.SYN, 7, 0, 65535)
UNREACHABLE = IcmpError(3, 1)
UNREACHABLE6 = IcmpError(1, 0, ipv6=True)


@pytest.mark.parametrize(
    ("packet", "protocol"),
    [
        (Packet(A, B, b""), "udp"),
        (Packet(A, B, b"", tcp=SYN), "tcp"),
        (Packet(A, B, b"", UNREACHABLE, A), "icmp"),
        (Packet(A, B, b"", UNREACHABLE, A, tcp=SYN), "icmp"),
    ],
)
def test_a_packet_knows_its_protocol_and_an_error_about_tcp_is_an_error(packet, protocol):
    assert packet.protocol == protocol


@pytest.mark.parametrize(
    ("packet", "size"),
    [
        (Packet(A, B, bytes(100)), 20 + 8 + 100),
        (Packet(A6, B6, bytes(100)), 40 + 8 + 100),
        (Packet(A, B, bytes(100), tcp=SYN), 20 + 20 + 100),
        (Packet(A, B, b"", UNREACHABLE, A), 20 + 8 + 20 + 8),
        (Packet(A6, B6, b"", UNREACHABLE6, A6, tcp=SYN), 40 + 8 + 40 + 20),
        (Packet(A, B, bytes(100), fragment=Fragment(1, 0, True, 208)), 20 + 8 + 100),
        (Packet(A, B, bytes(100), fragment=Fragment(1, 108, False, 208)), 20 + 100),
        (Packet(A6, B6, bytes(100), fragment=Fragment(1, 108, False, 208)), 40 + 8 + 100),
    ],
)
def test_the_size_is_that_on_the_wire(packet, size):
    assert packet.size == size


def test_segments_and_fragments_show_what_they_are():
    ack = TcpSegment(TcpFlags.SYN | TcpFlags.ACK, 7, 9, 500)
    assert repr(Packet(A, B, b"\xff", tcp=ack)) == "<192.0.2.1:1 > 192.0.2.2:2: TCP SYN|ACK seq 7 ack 9 window 500 ff>"
    part = Fragment(3, 8, False, 16)
    assert repr(Packet(A6, B6, bytes(8), fragment=part)) == (
        "<[2001:db8::1]:1 > [2001:db8::2]:2: bytes 8.. of 16 of datagram 3 0000000000000000>"
    )
