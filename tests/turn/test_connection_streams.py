"""Connections with peers as an application has them, over a client that does what the test says."""

import pytest

from sansice import Address, CloseMode, LocalProtocolError
from sansice.turn import (
    ConnectFailed,
    ConnectionAttempted,
    DataReceived,
    PeerConnected,
    StreamLost,
    StreamReceived,
    StreamSent,
    TurnClosed,
    TurnError,
    TurnStep,
    TurnStreamBase,
    pieces,
)
from sansice.turn._connection_streams import CHUNK, MAX_UNREAD, MAX_UNSENT, Streams

PEER = Address("198.51.100.1", 80)


class Bell:
    rung = 0

    def wake(self):
        self.rung += 1


class Turn:
    """What a stream needs of its connection: a driver and a client in one."""

    uri = "turn:192.0.2.1"

    def __init__(self):
        self.client = self._driver = self
        self._streams = Streams()
        self._left = False
        self.called = []

    def call(self, command, *args, **kwargs):
        if self._left:
            raise LocalProtocolError("outside of its block")
        command(*args, **kwargs)

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.called.append((name, *args, *kwargs.values()))


@pytest.fixture
def turn():
    return Turn()


@pytest.fixture
def stream(turn):
    made = TurnStreamBase(turn, 1, PEER, Bell())
    turn._streams.add(made)
    return made


def tell(turn, *events):
    for event in events:
        turn._streams.deliver(event)


def test_a_stream_opens_when_the_client_says_so(turn, stream):
    assert not stream.is_open
    assert stream._is_connected() is False
    tell(turn, PeerConnected(1, PEER), PeerConnected(2, PEER))
    assert stream.is_open
    assert stream._is_connected() is True
    assert stream._news.rung == 1
    assert repr(stream) == "<TurnStream 198.51.100.1:80>"


def test_a_writer_waits_while_too_much_waits_for_the_peer(turn, stream):
    tell(turn, PeerConnected(1, PEER), StreamSent(1, MAX_UNSENT), StreamSent(2, 9))
    assert stream._has_room() is True
    tell(turn, StreamSent(1, MAX_UNSENT + 1))
    assert stream._has_room() is False
    stream._send(b"x")
    assert turn.called == [("send_stream", 1, b"x")]


def test_a_peer_waits_while_too_much_waits_for_the_reader(turn, stream):
    tell(turn, PeerConnected(1, PEER), StreamReceived(1, bytes(MAX_UNREAD)))
    assert turn.called == []
    tell(turn, StreamReceived(1, b"x"), StreamReceived(1, b"y"))
    assert turn.called == [("set_stream_reading", 1, False)]
    assert stream._take(2) == b"\0\0"
    assert turn.called == [("set_stream_reading", 1, False)]
    stream._take(MAX_UNREAD // 2)
    assert turn.called[1:] == [("set_stream_reading", 1, True)]
    assert stream._take(MAX_UNREAD)[-2:] == b"xy"
    assert stream._take(1) is None


def test_what_came_before_the_end_is_given_out_before_it(turn, stream):
    tell(turn, PeerConnected(1, PEER), StreamReceived(1, bytes(MAX_UNREAD + 1)), StreamReceived(1, b""))
    turn.called.clear()
    assert len(stream._take(MAX_UNREAD + 9)) == MAX_UNREAD + 1
    assert turn.called == []  # nobody is there who could go on
    assert stream._take(9) == stream._take(9) == b""
    assert not turn._streams._by_id
    with pytest.raises(TurnError, match=r"198\.51\.100\.1:80 has ended the connection") as caught:
        stream._has_room()
    assert caught.value.step is TurnStep.DATA
    stream.close()
    assert stream._take(9) == b""


def test_a_connection_that_breaks_is_told_after_what_came_before(turn, stream):
    tell(turn, PeerConnected(1, PEER), StreamReceived(1, b"x"), StreamLost(1, "connection reset"), StreamReceived(1, b"y"))
    assert stream._take(9) == b"x"
    for use in (lambda: stream._take(9), stream._has_room, stream._is_connected):
        with pytest.raises(TurnError, match=r"turn:192\.0\.2\.1: data: 198\.51\.100\.1:80: connection reset") as caught:
            use()
        assert type(caught.value) is TurnError
    assert not stream.is_open


@pytest.mark.parametrize("code", [447, None])
def test_a_refusal_that_comes_later_is_the_streams(turn, stream, code):
    tell(turn, ConnectFailed(1, PEER, code, "no answer"))
    with pytest.raises(TurnError, match="no answer") as caught:
        stream._is_connected()
    assert (caught.value.step, caught.value.code) == (TurnStep.CONNECT, code or 0)


def test_a_refusal_that_comes_before_the_caller_knows_the_name_is_kept(turn):
    tell(turn, ConnectFailed(7, PEER, None, "too much waits"))
    early = TurnStreamBase(turn, 7, PEER, Bell())
    turn._streams.add(early)
    with pytest.raises(TurnError, match="too much waits"):
        early._is_connected()
    tell(turn, ConnectFailed(8, PEER, 403, "Forbidden"))
    other = TurnStreamBase(turn, 9, PEER, Bell())
    turn._streams.add(other)
    assert other._is_connected() is False


def test_offers_are_kept_until_they_are_taken_or_expire(turn):
    tell(turn, ConnectionAttempted(1, PEER), ConnectionAttempted(2, PEER), ConnectFailed(1, PEER, None, "not accepted"))
    assert turn._streams.offers == {2: PEER}
    tell(turn, DataReceived(PEER, b"no business of streams"))


def test_closing_ends_the_connection_once_and_tells_who_waits(turn, stream):
    tell(turn, PeerConnected(1, PEER))
    stream.close(reset=True)
    stream.close()
    assert turn.called == [("close_stream", 1, CloseMode.RESET), ("close_stream", 1, CloseMode.FLUSH)]
    for use in (lambda: stream._take(9), stream._has_room):
        with pytest.raises(TurnClosed, match="closed"):
            use()
    tell(turn, StreamReceived(1, b"late"))
    assert not stream._unread


def test_a_connection_that_was_left_leaves_nobody_waiting(turn, stream):
    tell(turn, PeerConnected(1, PEER), StreamReceived(1, bytes(MAX_UNREAD)))
    turn._left = True
    rung = stream._news.rung
    turn._streams.wake()
    assert stream._news.rung == rung + 1
    tell(turn, StreamReceived(1, b"x"))  # which would have its peer wait, were there still a driver
    assert len(stream._take(MAX_UNREAD * 2)) == MAX_UNREAD + 1
    with pytest.raises(TurnClosed):
        stream._take(9)
    stream.close()


def test_data_is_handed_over_in_pieces():
    assert pieces(b"") == []
    assert pieces(b"x") == [b"x"]
    assert [len(one) for one in pieces(bytes(2 * CHUNK + 1))] == [CHUNK, CHUNK, 1]
