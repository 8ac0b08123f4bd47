import sys
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from sansice.machine import DropReason
from sansice.stun import (
    MAX_RFC4571_FRAME,
    MAX_STUN_FRAME,
    MAX_TURN_FRAME,
    PADDING,
    SOFTWARE,
    MessageClass,
    Method,
    Rfc4571Framer,
    StreamFramer,
    encode,
    frame_rfc4571,
)

TID = bytes(range(12))
REQUEST = encode(Method.BINDING, MessageClass.REQUEST, TID)
LONGER = encode(Method.BINDING, MessageClass.INDICATION, TID, [(SOFTWARE, "framer"), (PADDING, bytes(100))])


def channel(number, data):
    """A ChannelData message as it is delivered."""
    return number.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def padded(frame):
    return frame + bytes(-len(frame) % 4)


def fed(framer, stream, size=1):
    return [frame for start in range(0, len(stream), size) for frame in framer.feed(stream[start : start + size])]


@pytest.mark.req("RFC8489-030")
def test_two_messages_one_byte_at_a_time_are_two_messages_each_at_its_last_byte():
    framer = StreamFramer()
    stream = REQUEST + LONGER
    complete = {}
    for position, byte in enumerate(stream, 1):
        for frame in framer.feed(bytes([byte])):
            complete[position] = frame
    assert complete == {len(REQUEST): REQUEST, len(stream): LONGER}
    assert framer.pending == 0
    assert framer.error is None


@pytest.mark.req("RFC8489-030")
def test_a_partial_tail_is_kept_and_counted():
    framer = StreamFramer()
    assert framer.feed(REQUEST + LONGER + REQUEST[:7]) == [REQUEST, LONGER]
    assert framer.pending == 7
    assert framer.feed(REQUEST[7:19]) == []
    assert framer.pending == 19
    assert framer.feed(REQUEST[19:] + REQUEST) == [REQUEST, REQUEST]
    assert framer.pending == 0


@pytest.mark.req("RFC8489-029")
def test_stun_alone_on_a_stream_has_no_framing_and_stun_beside_others_has_that_of_rfc_4571():
    payload = b"not STUN at all"
    assert StreamFramer().feed(REQUEST + REQUEST) == [REQUEST, REQUEST]
    assert Rfc4571Framer().feed(frame_rfc4571(REQUEST) + frame_rfc4571(payload)) == [REQUEST, payload]
    bare = StreamFramer()
    assert bare.feed(REQUEST + payload) == [REQUEST]
    assert bare.error is DropReason.NOT_STUN


def test_channel_data_comes_without_its_padding():
    frames = [channel(0x4000, bytes(length)) for length in range(9)]
    framer = StreamFramer(channel_data=True)
    assert framer.feed(b"".join(map(padded, frames)) + REQUEST) == [*frames, REQUEST]
    assert framer.pending == 0


def test_channel_data_waits_for_its_padding():
    framer = StreamFramer(channel_data=True)
    frame = channel(0x4FFF, b"x")
    assert framer.feed(frame) == []
    assert framer.pending == 5
    assert framer.feed(b"\xaa\xbb\xcc") == [frame]
    assert framer.pending == 0


frames = st.one_of(
    st.integers(0, 60).map(lambda words: encode(Method.BINDING, MessageClass.REQUEST, TID, [(PADDING, bytes(4 * words))])),
    st.builds(channel, st.integers(0x4000, 0x4FFF), st.binary(max_size=300)),
)


@pytest.mark.req("RFC8489-030")
@given(st.lists(frames, max_size=12), st.lists(st.integers(0, 5000), max_size=20), st.integers(0, 5))
def test_any_split_of_a_stream_gives_the_same_frames(expected, cuts, missing):
    stream = b"".join(map(padded, expected))
    cut_at = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    framer = StreamFramer(channel_data=True)
    got = [frame for start, end in pairwise(cut_at) for frame in framer.feed(stream[start:end])]
    assert got == expected
    assert all(type(frame) is bytes for frame in got)
    assert framer.pending == 0
    assert framer.feed(REQUEST[:missing]) == []
    assert framer.pending == missing


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_noise_never_raises_and_never_keeps_more_than_a_frame(parts):
    framer = StreamFramer(channel_data=True, max_length=64)
    for part in parts:
        framer.feed(part)
        assert framer.pending < 64 + 3


@pytest.mark.parametrize("channel_data", [False, True])
@pytest.mark.parametrize("first", range(256))
def test_the_first_byte_decides_what_may_follow(first, channel_data):
    framer = StreamFramer(channel_data=channel_data)
    assert framer.feed(bytes([first])) == []
    allowed = first < 0x40 or (channel_data and 0x40 <= first < 0x80)
    assert framer.error is (None if allowed else DropReason.NOT_STUN)


@pytest.mark.parametrize(
    ("number", "error"),
    [(0x4000, None), (0x4FFF, None), (0x5000, None), (0x7FFF, None), (0x8000, DropReason.NOT_STUN)],
)
def test_reserved_channels_are_framed_for_those_who_discard_them(number, error):
    framer = StreamFramer(channel_data=True)
    frame = channel(number, b"data")
    assert framer.feed(frame) == ([frame] if error is None else [])
    assert framer.error is error


@pytest.mark.parametrize(
    ("prefix", "error"),
    [
        (b"\x00\x01\x00\x01", DropReason.BAD_LENGTH),
        (b"\x00\x01\xff\xff", DropReason.BAD_LENGTH),
        (b"\x00\x01\xff\xfc", DropReason.LIMIT),
        (b"\x00\x01\x00\x00\x21\x12\xa4\x43", DropReason.BAD_COOKIE),
        (b"\x16\x03\x01\x02", DropReason.BAD_LENGTH),  # a TLS ClientHello on the port without TLS
        (b"G", DropReason.NOT_STUN),  # HTTP
    ],
)
def test_a_frame_that_cannot_be_one_is_noticed_before_it_is_there(prefix, error):
    framer = StreamFramer()
    assert fed(framer, prefix[:-1]) == []
    assert framer.error is None
    assert framer.feed(prefix[-1:]) == []
    assert framer.error is error


def test_after_an_error_the_frames_before_it_are_delivered_and_nothing_after_it():
    framer = StreamFramer()
    assert framer.feed(REQUEST + b"\xff" + REQUEST) == [REQUEST]
    assert framer.error is DropReason.NOT_STUN
    assert framer.pending == 0
    assert framer.feed(REQUEST) == []


@pytest.mark.parametrize(
    ("options", "largest"), [({}, MAX_STUN_FRAME), ({"channel_data": True}, MAX_TURN_FRAME), ({"max_length": 24}, 24)]
)
def test_a_frame_over_the_limit_is_refused_by_its_length_alone(options, largest):
    for length, error in ((min(largest - 20, 0xFFFC), None), (largest - 20 + 4, DropReason.LIMIT)):
        if length <= 0xFFFF:
            framer = StreamFramer(**options)
            framer.feed(b"\x00\x01" + length.to_bytes(2, "big") + REQUEST[4:])
            assert framer.error is error


def test_the_largest_datagram_fits_into_the_default_limit_of_turn():
    framer = StreamFramer(channel_data=True)
    frame = channel(0x4000, bytes(0xFFFF))
    assert framer.feed(padded(frame)) == [frame]


def test_a_long_frame_byte_by_byte_costs_as_many_steps_as_bytes():
    """Copies per byte fed, counted, not timed: a frame that was copied for each read would be copied 65,000 times."""
    frame = padded(channel(0x4000, bytes(65_000)))
    framer = StreamFramer(channel_data=True)
    inspected = 0

    def watch(code, event, _):
        nonlocal inspected
        if event == "call" and code.f_code.co_name == "_inspect":
            inspected += 1

    sys.setprofile(watch)
    try:
        frames_out = fed(framer, frame)
    finally:
        sys.setprofile(None)
    assert frames_out == [frame]
    assert inspected <= 4


@given(st.lists(st.binary(max_size=300), max_size=12), st.integers(1, 7))
def test_rfc_4571_frames_survive_any_split(packets, size):
    stream = b"".join(map(frame_rfc4571, packets))
    framer = Rfc4571Framer()
    assert fed(framer, stream, size) == [packet for packet in packets if packet]
    assert framer.pending == 0
    assert framer.error is None


def test_an_rfc_4571_frame_is_two_bytes_of_length_and_the_packet():
    assert frame_rfc4571(b"ab") == b"\x00\x02ab"
    assert frame_rfc4571(b"") == b"\x00\x00"
    framer = Rfc4571Framer()
    assert framer.feed(b"\x00\x00\x00\x02a") == []
    assert framer.pending == 3
    assert framer.feed(b"b\x00") == [b"ab"]
    assert framer.pending == 1


def test_a_packet_over_the_limit_ends_the_rfc_4571_stream():
    framer = Rfc4571Framer(max_length=4)
    assert framer.feed(b"\x00\x04abcd\x00\x05") == [b"abcd"]
    assert framer.error is DropReason.LIMIT
    assert framer.feed(frame_rfc4571(b"ab")) == []


def test_a_packet_that_fits_no_frame_is_refused():
    assert Rfc4571Framer().feed(frame_rfc4571(bytes(MAX_RFC4571_FRAME))) == [bytes(MAX_RFC4571_FRAME)]
    with pytest.raises(ValueError, match="65536 bytes"):
        frame_rfc4571(bytes(MAX_RFC4571_FRAME + 1))


CONNECTION_BIND = encode(Method.CONNECTION_BIND, MessageClass.REQUEST, TID)
LAST = (CONNECTION_BIND[:2],)


@pytest.mark.req("RFC6062-008")
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_comes_behind_the_last_message_is_kept_as_it_is(size):
    framer = StreamFramer(last=LAST)
    assert fed(framer, REQUEST + CONNECTION_BIND + b"\xffraw" + REQUEST, size) == [REQUEST, CONNECTION_BIND]
    assert (framer.halted, framer.error) == (True, None)
    assert framer.unread == b"\xffraw" + REQUEST
    assert framer.pending == 4 + len(REQUEST)


def test_what_comes_behind_a_message_that_was_not_the_last_is_cut_after_all():
    framer = StreamFramer(last=LAST)
    assert framer.feed(CONNECTION_BIND + REQUEST + CONNECTION_BIND + REQUEST[:5]) == [CONNECTION_BIND]
    assert framer.resume() == [REQUEST, CONNECTION_BIND]
    assert framer.halted
    assert framer.resume() == []
    assert not framer.halted
    assert framer.feed(REQUEST[5:]) == [REQUEST]


def test_what_is_kept_behind_the_last_message_is_bounded():
    framer = StreamFramer(last=LAST, max_length=100)
    assert framer.feed(CONNECTION_BIND) == [CONNECTION_BIND]
    assert framer.feed(bytes(100)) == []
    assert framer.error is None
    assert framer.feed(b"x") == []
    assert framer.error is DropReason.LIMIT


def test_without_a_last_message_there_is_no_end():
    framer = StreamFramer()
    assert framer.feed(CONNECTION_BIND + REQUEST) == [CONNECTION_BIND, REQUEST]
    assert not framer.halted
