"""Blocks, as the draft has them."""

import struct

from sansice.simulation._records._pcapng import INBOUND, OUTBOUND, interface, packet, section


def options(data):
    found = []
    while True:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            assert data == b"\0\0\0\0"
            return found
        found.append((code, data[4 : 4 + length]))
        padded = 4 + length + -length % 4
        assert not any(data[4 + length : padded])
        data = data[padded:]


def block(data):
    kind, length = struct.unpack_from("<II", data)
    assert length == len(data) == struct.unpack("<I", data[-4:])[0]
    assert length % 4 == 0
    return kind, data[8:-4]


def test_section_is_of_version_1_and_open_ended():
    kind, body = block(section("sansice 1.2", "a call"))
    assert (kind, body[:16].hex()) == (0x0A0D0D0A, "4d3c2b1a01000000ffffffffffffffff")
    assert options(body[16:]) == [(1, b"a call"), (4, b"sansice 1.2")]
    assert options(block(section("sansice 1.2"))[1][16:]) == [(4, b"sansice 1.2")]


def test_interface_is_raw_ip_in_nanoseconds_with_a_name():
    kind, body = block(interface("büro outside"))
    assert (kind, body[:8].hex()) == (1, "6500000000000000")
    assert options(body[8:]) == [(2, "büro outside".encode()), (9, b"\x09")]


def test_packet_has_its_time_in_two_halves_its_direction_and_its_comments():
    nanoseconds = 1_700_000_000 * 10**9 + 20_000_001
    kind, body = block(packet(3, nanoseconds, b"12345", OUTBOUND, ["first", "second"]))
    assert kind == 6
    number, high, low, captured, length = struct.unpack_from("<IIIII", body)
    assert (number, (high << 32) + low, captured, length) == (3, nanoseconds, 5, 5)
    assert body[20:28] == b"12345\0\0\0"
    assert options(body[28:]) == [(1, b"first"), (1, b"second"), (2, b"\x02\0\0\0")]
    assert options(block(packet(0, 0, b"", INBOUND))[1][20:]) == [(2, b"\x01\0\0\0")]


def test_text_too_long_for_an_option_is_cut_between_characters():
    for before, length in (("a", 65535), ("", 65534)):
        ((_, text), _) = options(block(section("x", before + "é" * 40000))[1][16:])
        assert len(text) == length
        assert text.decode() == before + "é" * 32767
