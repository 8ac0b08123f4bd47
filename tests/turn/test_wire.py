"""TURN's own methods and attributes, byte for byte (RFC 8656 17, 18)."""

import pytest

from sansice.machine import Address, DecodeError
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    ADDRESS_ERROR_CODE,
    CHANNEL_NUMBER,
    DATA,
    DONT_FRAGMENT,
    EVEN_PORT,
    ICMP,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    XOR_PEER_ADDRESS,
    AddressErrorCode,
    Icmp,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
)

ID = TransactionId(bytes(range(12)))
REQUEST, INDICATION, SUCCESS, ERROR = MessageClass


def wire(*attributes):
    """The attributes of a message, as they are sent."""
    return encode(Method.ALLOCATE, SUCCESS, ID, attributes)[20:].hex(" ")


@pytest.mark.req("RFC8656-108")
@pytest.mark.parametrize(
    ("method", "number", "classes"),
    [
        (Method.ALLOCATE, 0x003, (REQUEST, SUCCESS, ERROR)),
        (Method.REFRESH, 0x004, (REQUEST, SUCCESS, ERROR)),
        (Method.SEND, 0x006, (INDICATION,)),
        (Method.DATA, 0x007, (INDICATION,)),
        (Method.CREATE_PERMISSION, 0x008, (REQUEST, SUCCESS, ERROR)),
        (Method.CHANNEL_BIND, 0x009, (REQUEST, SUCCESS, ERROR)),
    ],
)
def test_each_method_has_its_number_and_its_classes_and_no_others(method, number, classes):
    assert method == number
    for message_class in MessageClass:
        kind = number | (message_class & 0b10) << 7 | (message_class & 0b01) << 4
        data = kind.to_bytes(2, "big") + bytes((0, 0, 0x21, 0x12, 0xA4, 0x42)) + ID
        if message_class in classes:
            message = decode_untrusted(data)
            assert (message.method, message.message_class) == (method, message_class)
            assert encode(method, message_class, ID) == data
        else:
            with pytest.raises(DecodeError):
                decode_untrusted(data)


@pytest.mark.req("RFC8656-109")
@pytest.mark.parametrize("length", range(5))
def test_data_is_padded_with_zeros_to_a_multiple_of_four(length):
    padded = wire((DATA, b"\xff" * length), (LIFETIME, 1))
    value = " ".join(["ff"] * length + ["00"] * (-length % 4))
    assert padded == " ".join(filter(None, (f"00 13 00 0{length}", value, "00 0d 00 04 00 00 00 01")))


@pytest.mark.req("RFC8656-109", "RFC8656-113")
@pytest.mark.parametrize(("reserve", "byte"), [(True, "80"), (False, "00")])
def test_even_port_has_eight_bytes_in_a_message(reserve, byte):
    assert wire((EVEN_PORT, reserve)) == f"00 18 00 01 {byte} 00 00 00"


@pytest.mark.req("RFC8656-110", "RFC8656-111", "RFC8656-112", "RFC8656-114", "RFC8656-115")
@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        (CHANNEL_NUMBER, 0x4001, "00 0c 00 04 40 01 00 00"),
        (LIFETIME, 3600, "00 0d 00 04 00 00 0e 10"),
        (XOR_PEER_ADDRESS, Address("192.0.2.1", 32853), "00 12 00 08 00 01 a1 47 e1 12 a6 43"),
        (REQUESTED_ADDRESS_FAMILY, 2, "00 17 00 04 02 00 00 00"),
        (REQUESTED_TRANSPORT, 17, "00 19 00 04 11 00 00 00"),
        (DONT_FRAGMENT, None, "00 1a 00 00"),
        (RESERVATION_TOKEN, bytes(range(8)), "00 22 00 08 00 01 02 03 04 05 06 07"),
        (ADDITIONAL_ADDRESS_FAMILY, 2, "80 00 00 04 02 00 00 00"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_an_attribute_has_these_bytes(attribute, value, expected):
    assert wire((attribute, value)) == expected
    assert decode_untrusted(encode(Method.ALLOCATE, REQUEST, ID, [(attribute, value)])).get(attribute) == value


@pytest.mark.req("RFC8656-116")
def test_the_code_of_a_family_that_failed_is_split_like_an_error_code():
    value = AddressErrorCode(2, 440, "no")
    assert wire((ADDRESS_ERROR_CODE, value)) == "80 01 00 06 02 00 04 28 6e 6f 00 00"
    data = bytes.fromhex("0103000c2112a442") + ID + bytes.fromhex("8001000602fffc286e6f0000")
    assert decode_untrusted(data).get(ADDRESS_ERROR_CODE) == value  # the 13 bits between are ignored


@pytest.mark.req("RFC8656-117")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Icmp(3, 4, 1280), "80 04 00 08 00 00 03 04 00 00 05 00"),
        (Icmp(2, 0, 1280), "80 04 00 08 00 00 02 00 00 00 05 00"),
        (Icmp(11, 1), "80 04 00 08 00 00 0b 01 00 00 00 00"),
    ],
)
def test_an_icmp_error_has_type_code_and_the_mtu(value, expected):
    assert wire((ICMP, value)) == expected
    assert decode_untrusted(encode(Method.DATA, INDICATION, ID, [(ICMP, value)])).get(ICMP) == value
