"""The grammars: whatever they make is read as what it is, however it arrives."""

import pytest
from hypothesis import given, strategies as st

from fuzz._grammars import CHANNEL_DATA, MESSAGES, broken_messages, cut, padded, uris
from sansice.machine import DecodeError
from sansice.stun import Rfc4571Framer, ServerUri, StreamFramer, decode_untrusted, frame_rfc4571


@given(MESSAGES)
def test_every_attribute_of_a_legal_message_is_kept_in_its_order(raw):
    message = decode_untrusted(bytes(raw))
    assert message.attributes() == list(raw.attributes)
    assert message.transaction_id == raw.transaction_id
    assert set(message.unknown_required()) <= {code for code, _ in raw.attributes if code < 0x8000}


@given(broken_messages())
def test_message_that_breaks_one_rule_of_the_frame_is_refused(data):
    with pytest.raises(DecodeError):
        decode_untrusted(data)


@given(st.lists(st.one_of(MESSAGES.map(bytes), CHANNEL_DATA), max_size=6), st.data())
def test_frames_come_out_of_a_stream_as_they_went_in_wherever_it_is_cut(frames, data):
    framer = StreamFramer(channel_data=True)
    pieces = data.draw(cut(b"".join(map(padded, frames))))
    assert [frame for piece in pieces for frame in framer.feed(piece)] == frames
    assert (framer.error, framer.pending) == (None, 0)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.data())
def test_packets_come_out_of_rfc_4571_frames_as_they_went_in_wherever_they_are_cut(packets, data):
    framer = Rfc4571Framer()
    pieces = data.draw(cut(b"".join(map(frame_rfc4571, packets))))
    assert [packet for piece in pieces for packet in framer.feed(piece)] == packets
    assert (framer.error, framer.pending) == (None, 0)


@given(uris())
def test_uri_by_the_grammar_is_taken_apart_and_put_together_again(made):
    text, scheme, host, port, transport = made
    uri = ServerUri.parse(text)
    assert (uri.scheme, uri.port) == (scheme, port)
    assert uri.transport == (transport and transport.lower())
    assert uri.is_literal == (host.startswith("[") or host.replace(".", "").isdecimal())
    assert ServerUri.parse(str(uri)) == uri


@given(uris(), st.sampled_from(("//", "/", "@", " ", "#", "?x=1", "\0", ":0", ":65536", ":a")))
def test_uri_with_what_the_grammar_does_not_have_is_refused(made, extra):
    text = made[0]
    position = text.index(":") + 1
    for broken in (text[:position] + extra + text[position:], text + extra):
        with pytest.raises(ValueError):  # noqa: PT011  whatever it says
            ServerUri.parse(broken)
