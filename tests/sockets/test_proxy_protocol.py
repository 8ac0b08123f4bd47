"""What a proxy says of a connection; and what a liar may try."""

import ipaddress
import struct

import pytest
from hypothesis import given, strategies as st

from sansice import Address, DecodeError, DropReason
from sansice.sockets._proxy_protocol import MAX_BINARY, MAX_LINE, ProxyHeader, read_proxy_header_untrusted

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


def binary(command=0x21, family=0x11, body=None, size=None):
    if body is None:
        body = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 5000, 3478)
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if size is None else size) + body


V6 = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("2001:db8::1").packed + struct.pack("!HH", 5000, 3478)


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 3478\r\n", Address("192.0.2.7", 5000)),
        (b"PROXY TCP6 2001:db8::7 2001:DB8::1 65535 0\r\n", Address("2001:db8::7", 65535)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff whatever 65535\r\n", None),
        (binary(), Address("192.0.2.7", 5000)),
        (binary(family=0x21, body=V6), Address("2001:db8::7", 5000)),
        (binary(family=0x21, body=V6 + b"\x03\x00\x04abcd"), Address("2001:db8::7", 5000)),
        (binary(command=0x20), None),
        (binary(command=0x20, family=0x00, body=b""), None),
        (binary(command=0x20, family=0x31, body=bytes(216)), None),
        (binary(command=0x21, family=0x00, body=b"\x04\x00\x01x"), None),
        (binary(family=0x21, body=bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7]) + V6[16:]), Address("192.0.2.7", 5000)),
    ],
)
def test_header_is_read_from_any_part_of_it_on_and_ends_where_it_says(data, source):
    for length in range(len(data)):
        assert read_proxy_header_untrusted(data[:length]) is None
    assert read_proxy_header_untrusted(data) == ProxyHeader(len(data), source)
    assert read_proxy_header_untrusted(data + b"\x00\x01\x00\x00!\x12\xa4B") == ProxyHeader(len(data), source)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x00\x00\x21\x12\xa4\x42",
        b"\x16\x03\x01",
        b"proxy TCP4 192.0.2.7 198.51.100.1 5000 3478\r\n",
        b"PROXY  TCP4 192.0.2.7 198.51.100.1 5000 3478\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 3478 \r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 3478\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 5000\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 05000 3478\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 +5000 3478\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 3478\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 5000 3478\r\n",
        b"PROXY TCP4 192.0.2 198.51.100.1 5000 3478\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 5000 3478\r\n",
        b"PROXY TCP4 ::ffff:192.0.2.7 198.51.100.1 5000 3478\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 5000 3478\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 5000 3478\r\n",
        b"PROXY TCP6 2001:db8::7 \xff 5000 3478\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 5000 3478\r\n",
        b"PROXY \r\n",
        b"PROXY UNKNOWN\x00\r\n",
        b"PROXY UNKNOWN " + b"x" * MAX_LINE,
        b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 15) + b"\r\n",
        b"PROXY UNKNOWN\r" + b"\n\n"[:0] + b"x\n",
        binary(command=0x11),
        binary(command=0x31),
        binary(command=0x22),
        binary(family=0x12),
        binary(family=0x22),
        binary(family=0x31, body=bytes(216)),
        binary(family=0x41),
        binary(family=0x21),
        binary(size=11),
        binary(family=0x21, body=V6, size=35),
        binary(size=MAX_BINARY),
        binary(command=0x20, size=0xFFFF),
        SIGNATURE[:11] + b"\x00",
    ],
)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(DecodeError) as caught:
        read_proxy_header_untrusted(data)
    assert caught.value.reason is DropReason.BAD_PROXY_HEADER


def test_the_longest_line_of_the_specification_is_read():
    longest = b"PROXY UNKNOWN " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2 + [b"65535"] * 2) + b"\r\n"
    assert len(longest) == MAX_LINE
    assert read_proxy_header_untrusted(longest) == ProxyHeader(MAX_LINE, None)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(SIGNATURE.__add__) | st.binary(max_size=110).map(b"PROXY ".__add__))
def test_any_bytes_are_a_header_or_the_beginning_of_one_or_refused(data):
    try:
        header = read_proxy_header_untrusted(data)
    except DecodeError:
        return
    assert header is None or 0 < header.length <= len(data)


@given(st.binary(max_size=40), st.integers(0, 60))
def test_more_bytes_never_make_a_header_of_what_was_refused(data, cut):
    whole = binary()[: 60 - cut] + data
    try:
        read_proxy_header_untrusted(whole)
    except DecodeError:
        with pytest.raises(DecodeError):
            read_proxy_header_untrusted(whole + b"\r\n")
