import pytest
from hypothesis import given, strategies as st

from sansice import Address
from sansice.stun import MessageClass, Method, TransactionId, encode, frame_rfc4571
from sansice_cli.decode._packets import Carried
from sansice_cli.decode._streams import MAX_WAITING, Piece, Stream, Streams

A, B = Address("10.0.0.1", 5000), Address("192.0.2.1", 3478)
ONE, TWO = (encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes([n]) * 12)) for n in (1, 2))
CHANNEL = b"\x40\x00\x00\x05hello"
BYTES = ONE + CHANNEL + b"\0\0\0" + TWO


def segment(data, sequence, *, is_first=False):
    return Carried(True, A, B, data, 0, sequence % 2**32, is_first)


def test_segments_out_of_order_and_again_make_each_message_once():
    stream = Stream()
    start = 2**32 - 10  # the sequence wraps around in the first message
    assert stream.take(segment(b"", start)) == []
    assert stream.take(segment(BYTES[20:40], start + 20)) == []
    assert stream.take(segment(BYTES[:15], start)) == []
    assert stream.take(segment(BYTES[10:25], start + 10)) == [Piece(ONE), Piece(CHANNEL)]
    assert stream.take(segment(BYTES[10:25], start + 10)) == []
    assert stream.take(segment(BYTES[30:], start + 30)) == [Piece(TWO)]
    assert stream.finish() == []


@given(st.data())
def test_any_cut_and_order_of_segments_gives_the_same_messages(data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(BYTES) - 1), max_size=8)))
    parts = [(start, BYTES[start:end]) for start, end in zip([0, *cuts], [*cuts, len(BYTES)], strict=True)]
    stream = Stream()
    pieces = stream.take(segment(b"", 100))
    for start, part in data.draw(st.permutations(parts)):
        pieces += stream.take(segment(part, 100 + start))
    assert pieces + stream.finish() == [Piece(ONE), Piece(CHANNEL), Piece(TWO)]


def test_frames_of_rfc4571_are_recognised():
    stream = Stream()
    data = frame_rfc4571(ONE) + frame_rfc4571(b"data") + frame_rfc4571(TWO)
    assert stream.take(segment(data[:9], 0)) == []
    assert stream.take(segment(data[9:-3], 9)) == [Piece(ONE), Piece(b"data")]
    assert stream.finish() == [Piece((frame_rfc4571(TWO))[:-3], "the stream ends in the middle of a message")]


def test_other_protocols_are_shown_once():
    stream = Stream()
    assert stream.take(segment(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", 0)) == [
        Piece(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03")
    ]
    assert stream.take(segment(b"more", 10)) == []
    assert stream.finish() == []


def test_stream_too_short_to_tell_is_shown_at_the_end():
    stream = Stream()
    assert stream.take(segment(b"hi", 0)) == []
    assert stream.finish() == [Piece(b"hi")]
    stream = Stream()
    stream.take(segment(b"\x40\x00\x00", 0))
    assert stream.finish() == [Piece(b"\x40\x00\x00", "the stream ends in the middle of a message")]


def test_stream_out_of_step_is_told_with_the_bytes_from_there_on():
    stream = Stream()
    assert stream.take(segment(ONE + b"\xff junk", 0)) == [
        Piece(ONE),
        Piece(b"\xff junk", "the stream is out of step here: not a STUN message"),
    ]
    assert stream.take(segment(TWO, 26)) == stream.finish() == []


def test_lost_segment_is_told_with_its_length():
    stream = Stream()
    stream.take(segment(ONE[:10], 0))
    stream.take(segment(TWO, 17))
    assert stream.finish() == [Piece(ONE[:10], "7 bytes of the stream are missing here; what follows them is left out")]


def test_waiting_segments_are_bounded():
    stream = Stream()
    stream.take(segment(b"", 0))
    for n in range(MAX_WAITING):
        assert stream.take(segment(b"x", 100 + 2 * n)) == []
    [piece] = stream.take(segment(b"x", 50))
    assert piece.problem.startswith("50 bytes of the stream are missing")


def test_streams_are_told_apart_and_a_syn_begins_anew():
    streams = Streams()
    assert streams.take(segment(ONE[:12], 1, is_first=True)) == []
    assert streams.take(segment(TWO, 500, is_first=True)) == [
        Piece(ONE[:12], "the stream ends in the middle of a message"),
        Piece(TWO),
    ]
    back = Carried(True, B, A, ONE[:12], 0, 9)
    assert streams.take(back) == []
    assert streams.finish() == [(B, A, Piece(ONE[:12], "the stream ends in the middle of a message"))]


@pytest.mark.parametrize("sequence", [0, 2**31, 2**32 - 1])
@given(st.lists(st.tuples(st.integers(-50, 50), st.binary(max_size=40), st.booleans()), max_size=20))
def test_any_segments_are_taken(sequence, segments):
    streams = Streams()
    for offset, data, is_first in segments:
        streams.take(segment(data, sequence + offset, is_first=is_first))
    streams.finish()
