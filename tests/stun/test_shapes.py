import struct

import attrs
import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address
from sansice.stun import (
    AddressErrorCode,
    AddressFamily,
    ChangeRequest,
    ErrorCode,
    Icmp,
    PasswordAlgorithm,
    TransmitCounter,
    shapes,
)

TID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
PORTS = st.integers(0, 65535)
IPV4 = st.ip_addresses(v=4).map(str)
IPV6 = st.ip_addresses(v=6).filter(lambda ip: ip.ipv4_mapped is None).map(str)
ADDRESSES = st.builds(Address, IPV4 | IPV6, PORTS)
REASONS = st.text(max_size=127)
CODES = st.integers(300, 699)

ROUND_TRIPS = {
    "UINT8": st.integers(0, 0xFF),
    "UINT16": st.integers(0, 0xFFFF),
    "UINT32": st.integers(0, 2**32 - 1),
    "UINT64": st.integers(0, 2**64 - 1),
    "FLAG": st.none(),
    "OPAQUE": st.binary(max_size=100),
    "TEXT": st.text(max_size=127),
    "ADDRESS": ADDRESSES,
    "XOR_ADDRESS": ADDRESSES,
    "ERROR": st.builds(ErrorCode, CODES, REASONS),
    "ADDRESS_ERROR": st.builds(AddressErrorCode, st.integers(0, 255), CODES, REASONS),
    "ATTRIBUTE_TYPES": st.lists(st.integers(0, 0xFFFF), max_size=128).map(tuple),
    "ALGORITHM": st.builds(PasswordAlgorithm, st.integers(0, 0xFFFF), st.binary(max_size=20)),
    "ALGORITHMS": st.lists(st.builds(PasswordAlgorithm, st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=9).map(tuple),
    "FIRST_BIT": st.booleans(),
    "CHANGE_FLAGS": st.builds(ChangeRequest, st.booleans(), st.booleans()),
    "PADDED_PORT": PORTS,
    "ICMP_ERROR": st.builds(Icmp, st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32 - 1)),
    "TRANSMIT_COUNTER": st.builds(TransmitCounter, st.integers(0, 255), st.integers(0, 255)),
}


@given(st.data())
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_every_value_of_a_shape_survives_packing_and_unpacking(name, data):
    shape = getattr(shapes, name)
    value = data.draw(ROUND_TRIPS[name])
    tid = data.draw(st.binary(min_size=12, max_size=12))
    assert shape.unpack(shape.pack(value, tid), tid) == value


JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=9) | st.just(object())
FIELDS = {
    "ERROR": ErrorCode,
    "ADDRESS_ERROR": AddressErrorCode,
    "ALGORITHM": PasswordAlgorithm,
    "CHANGE_FLAGS": ChangeRequest,
    "ICMP_ERROR": Icmp,
    "TRANSMIT_COUNTER": TransmitCounter,
}


@given(st.data())
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_packing_anything_makes_bytes_or_raises_what_the_shape_says(name, data):
    junk = JUNK | st.lists(JUNK, max_size=3) | st.tuples(JUNK, JUNK) | st.dictionaries(JUNK.filter(_hashable), JUNK, max_size=2)
    if name in FIELDS:
        kind = FIELDS[name]
        junk |= st.builds(kind, *[JUNK for _ in attrs.fields(kind)])
    value = data.draw(junk)
    try:
        assert type(getattr(shapes, name).pack(value, TID)) is bytes
    except (ValueError, struct.error, TypeError, AttributeError, OverflowError):
        pass


def _hashable(value):
    return not isinstance(value, list | dict)


@pytest.mark.parametrize("value", [0, 1, 5000, "0", None, b""])
def test_even_port_and_change_request_take_nothing_but_true_and_false(value):
    with pytest.raises(TypeError, match="True or False is wanted, not"):
        shapes.FIRST_BIT.pack(value, TID)
    for request in (ChangeRequest(change_ip=value), ChangeRequest(change_port=value)):
        with pytest.raises(TypeError, match="True or False is wanted, not"):
            shapes.CHANGE_FLAGS.pack(request, TID)


@pytest.mark.parametrize("value", ["text", 5, None, [1, 2]])
def test_opaque_bytes_are_not_made_of_something_else(value):
    with pytest.raises(TypeError, match="bytes are wanted, not"):
        shapes.OPAQUE.pack(value, TID)


def test_opaque_bytes_are_copied_out_of_a_buffer_that_may_change():
    for buffer in (bytearray(b"abc"), memoryview(b"abc")):
        raw = shapes.OPAQUE.pack(buffer, TID)
        assert type(raw) is bytes
        assert raw == b"abc"


def test_a_computed_attribute_is_read_but_not_written():
    shape = shapes.computed("ask somebody", shapes.UINT32)
    assert shape.unpack(bytes(4), TID) == 0
    with pytest.raises(ValueError, match="it is computed: ask somebody"):
        shape.pack(0, TID)


@given(raw=st.binary(max_size=40), tid=st.binary(min_size=12, max_size=12))
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_unpacking_anything_raises_value_error_or_struct_error_at_most(name, raw, tid):
    try:
        getattr(shapes, name).unpack(raw, tid)
    except (ValueError, struct.error):
        pass


@pytest.mark.parametrize(
    ("name", "value", "raw"),
    [
        ("UINT8", 17, "11000000"),
        ("UINT16", 0x4000, "40000000"),
        ("UINT32", 0x6E0001FF, "6e0001ff"),
        ("UINT64", 0x932FF9B151263B36, "932ff9b151263b36"),
        ("FLAG", None, ""),
        ("TEXT", "h\u00e9", "68c3a9"),
        ("ERROR", ErrorCode(420, "Unknown"), "00000414556e6b6e6f776e"),
        ("ERROR", ErrorCode(699), "00000663"),
        ("ADDRESS_ERROR", AddressErrorCode(AddressFamily.IPV6, 440, "no"), "020004286e6f"),
        ("ATTRIBUTE_TYPES", (0x7FF0, 0x7FF1, 1), "7ff07ff10001"),
        (
            "ALGORITHMS",
            (PasswordAlgorithm(2), PasswordAlgorithm(7, b"abcde"), PasswordAlgorithm(1)),
            "0002000000070005616263646500000000010000",
        ),
        ("ALGORITHM", PasswordAlgorithm(7, b"a"), "0007000161000000"),
        ("FIRST_BIT", True, "80"),
        ("FIRST_BIT", False, "00"),
        pytest.param("CHANGE_FLAGS", ChangeRequest(change_ip=True), "00000004", marks=pytest.mark.req("RFC5780-015")),
        pytest.param("CHANGE_FLAGS", ChangeRequest(change_port=True), "00000002", marks=pytest.mark.req("RFC5780-015")),
        pytest.param("PADDED_PORT", 5000, "13880000", marks=pytest.mark.req("RFC5780-016")),
        ("ICMP_ERROR", Icmp(3, 4, 1280), "0000030400000500"),
        ("TRANSMIT_COUNTER", TransmitCounter(2, 1), "00000201"),
    ],
)
def test_values_have_the_bytes_of_their_rfc(name, value, raw):
    shape = getattr(shapes, name)
    assert shape.pack(value, TID).hex() == raw
    assert shape.unpack(bytes.fromhex(raw), TID) == value


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("UINT8", "11ffffff", 17),
        ("UINT16", "4000ffff", 0x4000),
        ("FIRST_BIT", "ff", True),
        ("FIRST_BIT", "7f", False),
        ("CHANGE_FLAGS", "fffffff9", ChangeRequest()),
        ("PADDED_PORT", "1388", 5000),
        ("PADDED_PORT", "1388ffff", 5000),
        ("ICMP_ERROR", "ffff030400000000", Icmp(3, 4)),
        ("TRANSMIT_COUNTER", "ffff0201", TransmitCounter(2, 1)),
    ],
)
def test_reserved_bits_are_ignored(name, raw, value):
    assert getattr(shapes, name).unpack(bytes.fromhex(raw), TID) == value


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("UINT8", "11"),
        ("UINT16", "4000"),
        ("UINT32", "6e0001"),
        ("UINT32", "6e0001ff00"),
        ("UINT64", "00000000"),
        ("FLAG", "00"),
        ("TEXT", "ff"),
        ("ATTRIBUTE_TYPES", "7ff07f"),
        ("ATTRIBUTE_TYPES", "0001" * 129),
        ("ALGORITHMS", "0002"),
        ("ALGORITHMS", "00020001"),
        ("ALGORITHMS", "00020000" * 129),
        ("ALGORITHM", ""),
        ("ALGORITHM", "0001000000020000"),
        ("FIRST_BIT", ""),
        ("FIRST_BIT", "8000"),
        pytest.param("CHANGE_FLAGS", "000006", marks=pytest.mark.req("RFC5780-015")),
        pytest.param("CHANGE_FLAGS", "0000000006", marks=pytest.mark.req("RFC5780-015")),
        pytest.param("PADDED_PORT", "138800", marks=pytest.mark.req("RFC5780-016")),
        ("ICMP_ERROR", "00000304"),
        ("TRANSMIT_COUNTER", "0000"),
    ],
)
def test_values_of_the_wrong_length_are_refused(name, raw):
    with pytest.raises((ValueError, struct.error)):
        getattr(shapes, name).unpack(bytes.fromhex(raw), TID)


# ------------------------------------------------------------------- addresses


@pytest.mark.req("RFC8489-121", "RFC8489-139")
@pytest.mark.parametrize(
    ("address", "raw"),
    [
        (Address("192.0.2.1", 32853), "00018055c0000201"),
        (Address("2001:db8::1", 32853), "0002805520010db8000000000000000000000001"),
    ],
)
def test_a_clear_address_is_family_port_and_address(address, raw):
    assert shapes.ADDRESS.pack(address, TID).hex() == raw
    assert shapes.ADDRESS.unpack(bytes.fromhex(raw), TID) == address


@pytest.mark.req("RFC8489-122")
@pytest.mark.parametrize(
    ("address", "raw"),
    [
        (Address("192.0.2.1", 32853), "0001a147e112a643"),
        (Address("2001:db8:1234:5678:11:2233:4455:6677", 32853), "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
    ],
)
def test_an_xor_address_is_masked_with_cookie_and_transaction_id(address, raw):
    assert shapes.XOR_ADDRESS.pack(address, TID).hex() == raw
    assert shapes.XOR_ADDRESS.unpack(bytes.fromhex(raw), TID) == address


@pytest.mark.req("RFC8489-121")
@pytest.mark.parametrize("name", ["ADDRESS", "XOR_ADDRESS"])
@pytest.mark.parametrize("family", range(4))
@pytest.mark.parametrize("size", [*range(9), 15, 16, 17, 20])
def test_only_family_one_with_four_bytes_and_family_two_with_sixteen_are_addresses(name, family, size):
    shape = getattr(shapes, name)
    raw = bytes([0xFF, family, 0, 0]) + bytes(size)
    if (family, size) in ((1, 4), (2, 16)):
        assert shape.unpack(raw, TID).is_ipv6 == (family == 2)
    else:
        with pytest.raises(ValueError, match="address"):
            shape.unpack(raw, TID)


@pytest.mark.parametrize("raw", ["", "00", "0001", "000100"])
def test_an_address_cut_before_its_port_is_refused(raw):
    with pytest.raises(struct.error):
        shapes.ADDRESS.unpack(bytes.fromhex(raw), TID)


@pytest.mark.req("RFC8489-121")
def test_the_first_byte_of_an_address_is_zero_when_sent_and_ignored_on_receipt():
    assert shapes.ADDRESS.pack(Address("192.0.2.1", 1), TID)[0] == 0
    assert shapes.ADDRESS.unpack(bytes.fromhex("ab010001c0000201"), TID) == Address("192.0.2.1", 1)


@pytest.mark.parametrize("name", ["ADDRESS", "XOR_ADDRESS"])
def test_an_ipv4_mapped_address_is_read_as_the_ipv4_address_that_it_is(name):
    shape = getattr(shapes, name)
    mapped = shape.pack(Address("::ffff:192.0.2.1", 7), TID)
    assert len(mapped) == 20
    assert shape.unpack(mapped, TID) == Address("192.0.2.1", 7)


def test_a_scope_stays_at_home():
    raw = shapes.ADDRESS.pack(Address("fe80::1%eth0", 7), TID)
    assert shapes.ADDRESS.unpack(raw, TID) == Address("fe80::1", 7)


@pytest.mark.parametrize("host", ["example.org", "1.2.3", "1.2.3.4.5", "1.2.3.256", "::g", ""])
@pytest.mark.parametrize("name", ["ADDRESS", "XOR_ADDRESS"])
def test_what_is_no_literal_address_is_not_packed(name, host):
    with pytest.raises(ValueError):  # noqa: PT011
        getattr(shapes, name).pack(Address(host, 1), TID)


@pytest.mark.parametrize("host", ["1.2.3.4", "::1"])
@pytest.mark.parametrize("port", [-1, 65536])
@pytest.mark.parametrize("name", ["ADDRESS", "XOR_ADDRESS"])
def test_a_port_outside_16_bits_is_not_packed(name, host, port):
    with pytest.raises(struct.error):
        getattr(shapes, name).pack(Address(host, port), TID)


# ------------------------------------------------------------------- limits


@pytest.mark.req("RFC8489-130")
@pytest.mark.parametrize(
    ("code", "allowed"), [(299, False), (300, True), (399, True), (600, True), (699, True), (700, False), (0, False)]
)
def test_error_codes_are_300_to_699_when_sent(code, allowed):
    if allowed:
        assert shapes.ERROR.pack(ErrorCode(code), TID) == bytes([0, 0, code // 100, code % 100])
    else:
        with pytest.raises(ValueError, match=r"outside 300\.\.699"):
            shapes.ERROR.pack(ErrorCode(code), TID)


@pytest.mark.req("RFC8489-130")
def test_error_codes_are_class_3_to_6_and_number_0_to_99_when_received():
    allowed = {(hundreds, number) for hundreds in range(3, 7) for number in range(100)}
    for hundreds in range(8):
        for number in range(256):
            raw = bytes([0xFF, 0xFF, 0xF8 | hundreds, number])  # the reserved bits all set
            if (hundreds, number) in allowed:
                assert shapes.ERROR.unpack(raw, TID) == ErrorCode(100 * hundreds + number)
            else:
                with pytest.raises(ValueError, match="no error code"):
                    shapes.ERROR.unpack(raw, TID)


@pytest.mark.req("RFC8489-130")
def test_a_reason_has_at_most_127_characters_sent_and_763_bytes_received():
    longest = "\U0001f9ca" * 127
    assert shapes.ERROR.unpack(shapes.ERROR.pack(ErrorCode(400, longest), TID), TID).reason == longest
    with pytest.raises(ValueError, match="128 characters"):
        shapes.ERROR.pack(ErrorCode(400, "x" * 128), TID)
    head = bytes([0, 0, 4, 0])
    assert len(shapes.ERROR.unpack(head + b"x" * 763, TID).reason) == 763
    for raw in (head + b"x" * 764, head[:3], head + b"\xff"):
        with pytest.raises(ValueError, match=r"outside 4\.\.767|invalid start byte"):
            shapes.ERROR.unpack(raw, TID)


def test_a_flag_takes_no_value():
    with pytest.raises(ValueError, match="a flag has no value"):
        shapes.FLAG.pack(True, TID)


def test_opaque_bytes_keep_to_their_bounds_both_ways():
    shape = shapes.opaque(2, 3)
    for check in (shape.pack, shape.unpack):
        assert check(b"ab", TID) == b"ab"
        assert check(b"abc", TID) == b"abc"
        for raw in (b"a", b"abcd"):
            with pytest.raises(ValueError, match=r"outside 2\.\.3"):
                check(raw, TID)


def test_text_keeps_to_its_own_bounds():
    shape = shapes.text(characters=3, sent=5, parsed=6, encoding="utf-8")
    assert shape.pack("abc", TID) == b"abc"
    assert shape.pack("\u00e9\u00e9a", TID) == "\u00e9\u00e9a".encode()
    for value in ("abcd", "\u00e9\u00e9\u00e9"):
        with pytest.raises(ValueError, match="over the limit of 3 in 5"):
            shape.pack(value, TID)
    assert shape.unpack(b"abcdef", TID) == "abcdef"
    with pytest.raises(ValueError, match="over the limit of 6"):
        shape.unpack(b"abcdefg", TID)


def test_the_bytes_of_a_password_algorithm_show_as_hex():
    assert repr(PasswordAlgorithm(7, b"\xab\xcd")) == "PasswordAlgorithm(number=7, parameters=abcd)"
