"""ChannelData: four bytes of header, the data, and padding where a stream needs it."""

import pytest
from hypothesis import given, strategies as st

from sansice.machine import DecodeError, DropReason, LocalProtocolError
from sansice.stun import Protocol, StreamFramer, demultiplex
from sansice.turn import FIRST_CHANNEL, LAST_CHANNEL, ChannelData, encode_channel_data, read_channel_data_untrusted

NUMBERS = st.integers(FIRST_CHANNEL, LAST_CHANNEL)


@pytest.mark.req("RFC8656-098")
@pytest.mark.parametrize(
    ("number", "data", "message"),
    [
        (0x4000, b"", "40000000"),
        (0x4001, b"\x01", "4001000101"),
        (0x4FFF, b"abcd", "4fff000461626364"),
    ],
)
def test_the_header_is_number_and_length_of_the_data_alone(number, data, message):
    assert encode_channel_data(number, data).hex() == message
    assert read_channel_data_untrusted(bytes.fromhex(message)) == (number, data)


@pytest.mark.req("RFC8656-098")
def test_the_length_counts_up_to_what_its_field_can_say():
    data = bytes(range(256)) * 256
    message = encode_channel_data(0x4000, data[:65535])
    assert message[:4].hex() == "4000ffff"
    assert read_channel_data_untrusted(message).data == data[:65535]
    with pytest.raises(LocalProtocolError, match="65536 bytes do not fit into ChannelData"):
        encode_channel_data(0x4000, data)


@pytest.mark.req("RFC8656-100")
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_on_a_stream_it_is_padded_to_four_bytes_which_the_length_does_not_count(length):
    message = encode_channel_data(0x4000, b"\xff" * length, padded=True)
    assert message == b"\x40\x00" + bytes((0, length)) + b"\xff" * length + bytes(4 - length)
    framer = StreamFramer(channel_data=True)
    assert framer.feed(message + message) == [message[: 4 + length]] * 2


@pytest.mark.req("RFC8656-101")
def test_in_a_datagram_padding_is_optional_and_ignored():
    plain = encode_channel_data(0x4000, b"abc")
    assert len(plain) == 7
    for trailing in (b"", b"\0", b"\xff" * 9):
        assert read_channel_data_untrusted(plain + trailing) == (0x4000, b"abc")


@pytest.mark.req("RFC8656-102")
@pytest.mark.parametrize("message", ["", "40", "4000", "400000", "40000001", "4000000a" + "00" * 9])
def test_what_is_shorter_than_its_header_says_is_refused(message):
    with pytest.raises(DecodeError) as caught:
        read_channel_data_untrusted(bytes.fromhex(message))
    assert caught.value.reason is DropReason.BAD_LENGTH


@pytest.mark.req("RFC8656-103")
@pytest.mark.parametrize("number", [0, 0x3FFF, 0x5000, 0x7FFF, 0xFFFF])
def test_there_are_no_other_channel_numbers(number):
    with pytest.raises(DecodeError) as caught:
        read_channel_data_untrusted(number.to_bytes(2, "big") + b"\0\1x")
    assert caught.value.reason is DropReason.NO_CHANNEL
    with pytest.raises(LocalProtocolError, match="is no channel number: they are 0x4000 to 0x4fff"):
        encode_channel_data(number, b"x")


@given(NUMBERS, st.binary(max_size=3000), st.booleans())
def test_what_is_written_is_read(number, data, padded):
    message = encode_channel_data(number, data, padded=padded)
    assert read_channel_data_untrusted(message) == ChannelData(number, data)
    assert demultiplex(message[0]) is Protocol.TURN_CHANNEL


@given(st.binary(max_size=70))
def test_nothing_but_a_decode_error_comes_of_noise(noise):
    try:
        number, data = read_channel_data_untrusted(noise)
    except DecodeError:
        return
    assert encode_channel_data(number, data) == noise[: 4 + len(data)]


def test_data_shows_in_hex():
    assert repr(ChannelData(0x4001, b"\x00\xff")) == "ChannelData(number=0x4001, data=00ff)"
