"""ICMP errors: about whom they may be sent, and what they quote."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fragment, Packet, TcpFlags, TcpSegment
from sansice.simulation._world._icmp import HOST_UNREACHABLE, about, too_big

A, B = Address("192.0.2.1", 1), Address("192.0.2.2", 2)
A6, B6 = Address("2001:db8::1", 1), Address("2001:db8::2", 2)
SYN = TcpSegment(TcpFlags.SYN, 7, 0, 9)


def test_an_error_goes_to_the_source_and_quotes_the_destination_and_the_segment():
    assert about(Packet(A, B, b"x", tcp=SYN), HOST_UNREACHABLE, "192.0.2.9") == Packet(
        Address("192.0.2.9", 0), A, b"", IcmpError(3, 1), B, SYN
    )
    assert about(Packet(A6, B6, b"x"), HOST_UNREACHABLE) == Packet(Address("100::8", 0), A6, b"", IcmpError(1, 3, ipv6=True), B6)


def test_a_router_without_an_address_speaks_with_the_one_for_such():
    assert about(Packet(A, B, b"x"), HOST_UNREACHABLE).source == Address("192.0.0.8", 0)


@pytest.mark.parametrize(
    "packet",
    [
        Packet(A, B, b"", IcmpError(3, 1), A),
        Packet(A, B, bytes(8), fragment=Fragment(1, 8, False, 16)),
    ],
)
def test_there_is_no_error_about_an_error_or_a_later_fragment(packet):
    assert about(packet, HOST_UNREACHABLE) is None


def test_a_first_fragment_may_be_the_reason_and_the_mtu_is_told():
    error = about(Packet(A, B, bytes(8), fragment=Fragment(1, 0, True, 32)), too_big(1400))
    assert error == Packet(Address("192.0.0.8", 0), A, b"", IcmpError(3, 4, mtu=1400), B)
    assert about(Packet(A6, B6, b""), too_big(1400)).icmp == IcmpError(2, 0, ipv6=True, mtu=1400)
