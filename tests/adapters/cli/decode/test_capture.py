import struct

import pytest
from hypothesis import given, strategies as st

from sansice_cli.decode._capture import CaptureError, is_capture, read_capture


def packets(data):
    """All that can be read, and the complaint in the end."""
    found = []
    reading = read_capture(data)
    while True:
        try:
            found.append(next(reading))
        except StopIteration:
            return found, ""
        except CaptureError as error:
            return found, str(error)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "time"), [(0xA1B2C3D4, 1001.000001), (0xA1B23C4D, 1001.000000001)])
def test_pcap_of_each_byte_order_and_resolution(wire, order, magic, time):
    data = wire.pcap([b"one", b"three"], 101, magic=magic, order=order)
    assert is_capture(data)
    found, problem = packets(data)
    assert [(one.number, one.link, one.data) for one in found] == [(1, 101, b"one"), (2, 101, b"three")]
    assert found[1].time == pytest.approx(time, abs=1e-10)
    assert problem == ""


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_of_each_byte_order(wire, order):
    found, problem = packets(wire.pcapng([b"one", b"three"], 113, order=order))
    assert [(one.number, one.time, one.link, one.data) for one in found] == [(1, 1000.0, 113, b"one"), (2, 1000.0, 113, b"three")]
    assert problem == ""


@pytest.mark.parametrize(
    ("options", "time"),
    [
        (struct.pack("<HHB3x", 9, 1, 9), 1.0),  # nanoseconds
        (struct.pack("<HHB3x", 9, 1, 0x80 | 10), 1_000_000_000 / 1024),
        (struct.pack("<HH4sHHq", 2, 4, b"eth0", 14, 8, 500), 1500.0),
    ],
    ids=["decimal", "binary", "offset"],
)
def test_pcapng_times_follow_the_interface(wire, options, time):
    [packet], _ = packets(wire.pcapng([b"x"], options=options))
    assert packet.time == pytest.approx(time)


def test_pcapng_simple_and_obsolete_packets_and_unknown_blocks(wire):
    section = wire.pcapng([])
    unknown = wire.block(0x0BAD, b"whatever")
    simple = wire.block(3, struct.pack("<I", 3) + b"abc")
    obsolete = wire.block(2, struct.pack("<HH4I", 0, 0, 0, 2_000_000, 3, 3) + b"def")
    found, problem = packets(section + unknown + simple + obsolete)
    assert [(one.time, one.data) for one in found] == [(None, b"abc"), (2.0, b"def")]
    assert problem == ""


def test_pcapng_snap_length_cuts_simple_packets(wire):
    section = wire.pcapng([])[:28] + wire.block(1, struct.pack("<HHI", 1, 0, 4))
    [packet], _ = packets(section + wire.block(3, struct.pack("<I", 9) + b"abcd"))
    assert packet.data == b"abcd"


def test_new_section_of_pcapng_forgets_the_interfaces(wire):
    found, problem = packets(wire.pcapng([b"x"]) + wire.pcapng([b"y"], 101, order=">"))
    assert [(one.link, one.data) for one in found] == [(1, b"x"), (101, b"y")]
    assert problem == ""


def test_capture_that_ends_early_gives_what_is_there_and_says_where(wire):
    data = wire.pcap([b"one", b"three"])
    assert packets(data[:-1]) == (packets(data)[0][:1], "the capture ends in the middle of packet 2, which begins at byte 59")
    assert packets(data[:45])[1] == "the capture ends in the middle of packet 2, which begins at byte 43"
    assert packets(data[:20]) == ([], "the capture ends in its header, after 20 bytes")
    data = wire.pcapng([b"one", b"two"])
    assert len(packets(data[:-1])[0]) == 1
    assert packets(data[:-1])[1] == "the capture ends in the middle of the block at byte 84"
    assert packets(data[:90])[1] == "the capture ends in the middle of the block at byte 84"


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (lambda wire: wire.enhanced(b"x", interface=7), "is damaged"),
        (lambda wire: wire.block(6, b"short"), "is damaged"),
        (lambda wire: wire.block(6, struct.pack("<5I", 0, 0, 0, 100, 100) + b"x"), "is damaged"),
        (lambda wire: wire.block(1, b"x"), "is damaged"),
        (lambda wire: wire.block(1, struct.pack("<HHIHH", 1, 0, 0, 14, 2) + b"xx"), "is damaged"),
        (lambda wire: struct.pack("<3I", 6, 8, 0), "says that it is 8 bytes long"),
        (lambda wire: struct.pack("<3I", 6, 15, 0) + bytes(9), "says that it is 15 bytes long"),
    ],
    ids=["interface", "short", "length", "interface block", "option", "tiny", "odd"],
)
def test_damaged_block_ends_the_reading_and_is_named(wire, block, complaint):
    found, problem = packets(wire.pcapng([b"good"]) + block(wire))
    assert [one.data for one in found] == [b"good"]
    assert problem.startswith("the block at byte 84 of the capture ") and complaint in problem


@given(st.sampled_from([b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\n\r\r\n"]), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(magic, rest):
    packets(magic + rest)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 6, 0x0A0D0D0A]), st.binary(max_size=60)), max_size=5))
def test_any_blocks_are_read_or_refused(blocks):
    start = bytes.fromhex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000")
    packets(start + b"".join(_block(kind, body) for kind, body in blocks))


def _block(kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack("<2I", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
