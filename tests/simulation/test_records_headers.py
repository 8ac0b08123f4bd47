"""Headers, judged by a checksum that is counted word by word, and by what each field must hold."""

import ipaddress
import struct

import pytest

from sansice import Address, IcmpError
from sansice.simulation import Fragment, Packet, TcpFlags, TcpSegment
from sansice.simulation._records._headers import wire_bytes

A4, B4 = Address("192.0.2.1", 5000), Address("198.51.100.9", 3478)
A6, B6 = Address("2001:db8::1", 5000), Address("2001:db8::9", 3478)


def ones_complement_sum(data):
    data += b"\0" * (len(data) % 2)
    total = 0
    for (word,) in struct.iter_unpack("!H", data):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checked(raw):
    """Version, header fields and transport bytes of a packet, all checksums tried."""
    if raw[0] >> 4 == 4:
        assert ones_complement_sum(raw[:20]) == 0xFFFF
        (total,) = struct.unpack_from("!H", raw, 2)
        assert total == len(raw)
        protocol, addresses, body = raw[9], raw[12:20], raw[20:]
    else:
        (length,) = struct.unpack_from("!H", raw, 4)
        assert length == len(raw) - 40
        protocol, addresses, body = raw[6], raw[8:40], raw[40:]
    pseudo = b"" if protocol == 1 else addresses + struct.pack("!IxxxB", len(body), protocol)
    assert ones_complement_sum(pseudo + body) == 0xFFFF
    return protocol, body


@pytest.mark.parametrize(("a", "b"), [(A4, B4), (A6, B6)])
@pytest.mark.parametrize("data", [b"", b"x", b"\0\0", b"odd", bytes(range(256)) * 4])
def test_udp_has_both_ports_its_length_and_a_right_checksum(a, b, data):
    protocol, body = checked(wire_bytes(Packet(a, b, data)))
    assert protocol == 17
    assert struct.unpack_from("!HHH", body) == (5000, 3478, 8 + len(data))
    assert body[8:] == data


def test_udp_checksum_that_would_be_zero_is_written_as_ones():
    empty = wire_bytes(Packet(A4, B4, b"\0\0"))
    rest = empty[26:28]  # as data, the checksum itself makes the sum 0xFFFF
    raw = wire_bytes(Packet(A4, B4, rest))
    assert raw[26:28] == b"\xff\xff"


def test_a_sum_whose_carry_carries_again_is_folded_twice():
    a, b = Address("192.168.255.254", 0x7FFF), Address("192.168.255.253", 0x7000)
    raw = wire_bytes(Packet(a, b, b"\0\0"))
    sums = ones_complement_sum(raw[12:20] + struct.pack("!HH", 17, 10)) + ones_complement_sum(raw[20:26])
    data = (0x1FFFF - sums).to_bytes(2, "big")
    _, body = checked(wire_bytes(Packet(a, b, data)))
    assert body[6:8] == b"\xff\xfe"  # 0x1FFFF, 0x10000, 1


def test_ipv4_fragments_are_named_by_the_sixteen_bits_that_there_are():
    first = Packet(A4, B4, b"y" * 392, fragment=Fragment(0x12345, 0, True, 808, 0))
    assert wire_bytes(first)[4:6] == b"\x23\x45"


def test_ipv4_header_says_hops_and_whether_it_may_be_cut():
    raw = wire_bytes(Packet(A4, B4, b"x", dont_fragment=True, hops=7))
    assert raw[6:9] == b"\x40\x00\x07"
    assert wire_bytes(Packet(A4, B4, b"x"))[6:9] == b"\x00\x00\x40"


def test_scope_of_a_link_local_address_stays_at_home():
    raw = wire_bytes(Packet(Address("fe80::1%eth0", 1), Address("fe80::2%eth0", 2), b"x"))
    assert raw[8:24] == ipaddress.ip_address("fe80::1").packed
    checked(raw)


@pytest.mark.parametrize(("a", "b"), [(A4, B4), (A6, B6)])
def test_tcp_has_its_numbers_flags_and_as_much_of_its_window_as_fits(a, b):
    segment = TcpSegment(TcpFlags.PSH | TcpFlags.ACK, 0xFFFFFFFF, 7, 100_000)
    protocol, body = checked(wire_bytes(Packet(a, b, b"hello", tcp=segment)))
    assert protocol == 6
    assert struct.unpack_from("!HHIIBBH", body) == (5000, 3478, 0xFFFFFFFF, 7, 0x50, 0x18, 0xFFFF)
    assert body[20:] == b"hello"


def test_fragments_together_are_the_datagram_with_its_checksum():
    data = bytes(range(251)) * 3
    whole = wire_bytes(Packet(A4, B4, data))
    total, words = 8 + len(data), ones_complement_sum(data)
    first = Packet(A4, B4, data[:392], fragment=Fragment(77, 0, True, total, words))
    nowhere = (Address(A4.host, 0), Address(B4.host, 0))
    last = Packet(*nowhere, data[392:], fragment=Fragment(77, 400, False, total, words))
    one, two = wire_bytes(first), wire_bytes(last)
    assert one[20:] + two[20:] == whole[20:]
    assert (one[4:8], two[4:8]) == (b"\x00\x4d\x20\x00", b"\x00\x4d\x00\x32")
    assert ones_complement_sum(one[:20]) == ones_complement_sum(two[:20]) == 0xFFFF


def test_ipv6_fragments_say_so_in_a_header_of_their_own():
    first = Packet(A6, B6, b"y" * 392, fragment=Fragment(0x12345678, 0, True, 808, 0))
    last = Packet(A6, B6, b"y" * 400, fragment=Fragment(0x12345678, 400, False, 808, 0))
    assert wire_bytes(first)[40:48] == bytes.fromhex("1100000112345678")
    assert wire_bytes(last)[40:48] == bytes.fromhex("1100019012345678")
    assert wire_bytes(last)[6] == 44
    assert wire_bytes(first)[4:6] == wire_bytes(last)[4:6] == (408).to_bytes(2, "big")


def test_ipv6_header_says_hops():
    assert [wire_bytes(Packet(A6, B6, b"x", hops=hops))[7] for hops in (64, 7)] == [64, 7]


@pytest.mark.parametrize(
    ("a", "b", "error", "rest", "protocol"),
    [
        (A4, B4, IcmpError(3, 3), "00000000", 1),
        (A4, B4, IcmpError(3, 4, mtu=1280), "00000500", 1),
        (A6, B6, IcmpError(1, 4, ipv6=True), "00000000", 58),
        (A6, B6, IcmpError(2, 0, ipv6=True, mtu=1400), "00000578", 58),
    ],
)
@pytest.mark.parametrize("tcp", [None, TcpSegment(TcpFlags.SYN, 9, 0, 1000)])
def test_icmp_error_quotes_the_headers_of_what_it_is_about(a, b, error, rest, protocol, tcp):
    raw = wire_bytes(Packet(Address(b.host, 0), a, b"", error, b, tcp))
    found, body = checked(raw)
    assert (found, body[0], body[1], body[4:8].hex()) == (protocol, error.type, error.code, rest)
    assert body[8:] == wire_bytes(Packet(a, b, b"", tcp=tcp))
    checked(body[8:])


def test_what_fits_into_no_ipv4_packet_is_refused_with_its_addresses():
    with pytest.raises(ValueError, match=r"192\.0\.2\.1:5000 > 198\.51\.100\.9:3478: 65536 bytes"):
        wire_bytes(Packet(A4, B4, bytes(65508)))
