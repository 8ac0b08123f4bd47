import struct

import pytest
from hypothesis import given, strategies as st

from sansice import Address
from sansice_cli.decode._packets import Carried, carried

V4 = (Address("10.0.0.1", 5000), Address("192.0.2.1", 3478))
V6 = (Address("2001:db8::1", 5000), Address("2001:db8::2", 3478))


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (0, struct.pack("<I", 2)),
        (0, struct.pack(">I", 2)),
        (108, struct.pack(">I", 2)),
        (1, bytes(12) + b"\x08\x00"),
        (1, bytes(12) + b"\x81\x00\x00\x07\x08\x00"),
        (1, bytes(12) + b"\x88\xa8\x00\x07\x81\x00\x00\x08\x08\x00"),
        (113, bytes(14) + b"\x08\x00"),
        (276, b"\x08\x00" + bytes(18)),
        (12, b""),
        (14, b""),
        (101, b""),
        (228, b""),
    ],
    ids=["null", "null, big", "loop", "ethernet", "vlan", "two vlans", "sll", "sll2", "raw 12", "raw 14", "raw", "ipv4"],
)
def test_every_link_type_leads_to_the_datagram(wire, link, head):
    assert carried(link, head + wire.ipv4(wire.udp(b"data"))) == Carried(False, *V4, b"data")


@pytest.mark.parametrize("extension", [0, 43, 60])
def test_ipv6_headers_before_udp_are_passed(wire, extension):
    inner = struct.pack("!BB6x", 17, 0) + wire.udp(b"data")
    assert carried(229, wire.ipv6(inner, extension)) == Carried(False, *V6, b"data")
    assert carried(1, wire.ethernet(wire.ipv6(wire.udp(b"data")), 0x86DD)) == Carried(False, *V6, b"data")


def test_padding_of_the_link_is_no_payload(wire):
    assert carried(101, wire.ipv4(wire.udp(b"data")) + b"trailer") == Carried(False, *V4, b"data")


def test_segment_has_the_sequence_of_its_first_byte(wire):
    assert carried(101, wire.ipv4(wire.tcp(b"data", 7, options=bytes(8)), 6)) == Carried(True, *V4, b"data", 0, 7)
    assert carried(101, wire.ipv4(wire.tcp(b"", 2**32 - 1, syn=True), 6)) == Carried(True, *V4, b"", 0, 0, True)


def test_length_of_0_means_all_there_is(wire):
    packet = wire.ipv4(wire.tcp(b"data", 7), 6, total=0)
    assert carried(101, packet) == Carried(True, *V4, b"data", 0, 7)
    jumbo = bytearray(wire.ipv6(wire.udp(b"data", length=0)))
    jumbo[4:6] = b"\0\0"
    assert carried(101, bytes(jumbo)) == Carried(False, *V6, b"data")


def test_bytes_that_were_not_captured_are_counted(wire):
    assert carried(101, wire.ipv4(wire.udp(b"some data"))[:-5]) == Carried(False, *V4, b"some", 5)
    assert carried(101, wire.ipv4(wire.tcp(b"some data", 7), 6)[:-5]) == Carried(True, *V4, b"some", 5, 7)


@pytest.mark.parametrize(
    ("link", "packet", "reason"),
    [
        (147, lambda wire: b"x", "link type 147 is not known here"),
        (1, lambda wire: wire.ethernet(b"arp", 0x0806), "not IP"),
        (101, lambda wire: b"\x50", "not IP"),
        (101, lambda wire: wire.ipv4(b"ping", 1), "neither UDP nor TCP"),
        (101, lambda wire: wire.ipv4(b"more", fragment=0x2000), "an IP fragment"),
        (101, lambda wire: wire.ipv4(b"last", fragment=5), "an IP fragment"),
        (101, lambda wire: wire.ipv6(b"fragment", 44), "an IP fragment"),
        (101, lambda wire: b"", "cut short in a header"),
        (101, lambda wire: wire.ipv4(wire.udp(b""))[:24], "cut short in a header"),
        (101, lambda wire: wire.ipv6(b"\x2b", 43), "cut short in a header"),
        (1, lambda wire: wire.ethernet(b"", 0x8100), "cut short in a header"),
    ],
)
def test_what_carries_nothing_says_why(wire, link, packet, reason):
    assert carried(link, packet(wire)) == reason


@given(
    st.sampled_from([0, 1, 101, 113, 276]),
    st.sampled_from([b"", b"\x45", b"\x60", bytes(12) + b"\x81\x00"]),
    st.binary(max_size=80),
)
def test_any_packet_is_read_or_passed_over(link, start, rest):
    assert isinstance(carried(link, start + rest), Carried | str)
