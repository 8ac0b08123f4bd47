"""Connections of a client with peers, at exact times and against answers written by hand (RFC 6062 4)."""

import pytest

from _turn_client_scene import (
    CREDENTIALS,
    DTLS,
    KEY,
    LOCAL,
    PEER,
    PEER6,
    SERVER,
    TCP,
    TLS,
    UDP,
    Scene,
)
from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    DropReason,
    LocalProtocolError,
    OpenSocket,
    SendStream,
    SetReading,
    SocketError,
    SocketErrorKind,
)
from sansice.stun import (
    ALPN_TURN,
    CONNECTION_ID,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    USERNAME,
    XOR_PEER_ADDRESS,
    Attribute,
    MessageClass,
    Method,
    ServerTarget,
    StunClientConfig,
    encode,
    shapes,
)
from sansice.turn import (
    AllocationLost,
    ConnectFailed,
    ConnectionAttempted,
    PeerConnected,
    StreamLost,
    StreamReceived,
    StreamSent,
    TurnClient,
    TurnClientConfig,
)
from sansice.turn._client._peer_stream import PEER_STREAM_TRANSITIONS, PeerStreamState
from sansice.turn._client._streams import MAX_REFUSED

SUCCESS, ERROR = MessageClass.SUCCESS, MessageClass.ERROR
BAD_ID = Attribute(CONNECTION_ID.code, "CONNECTION-ID", shapes.OPAQUE)
OTHER_PEER = PEER._replace(port=5001)
DATA_LOCAL = LOCAL._replace(port=40001)


class StreamScene(Scene):
    def __init__(self, transport=TCP, **settings):
        super().__init__(transport=transport, **settings)

    def begin(self):
        self.allocate(transport=TCP)
        return self

    def connecting(self, peer=PEER):
        return self.do("connect", peer)

    def answered(self, connection=7):
        """The relay has connected; the data connection opens."""
        self.answer((CONNECTION_ID, connection), to=Method.CONNECT)
        return self.open(local=DATA_LOCAL)

    def connected(self, peer=PEER, connection=7):
        id = self.connecting(peer)
        socket = self.answered(connection)
        self.answer(to=Method.CONNECTION_BIND)
        return id, socket

    def attempted(self, peer=PEER, connection=9):
        attributes = [(CONNECTION_ID, connection), (XOR_PEER_ADDRESS, peer)]
        self.give(encode(Method.CONNECTION_ATTEMPT, MessageClass.INDICATION, bytes(12), attributes))

    def of(self, kind):
        return [event for _, event in self.events if isinstance(event, kind)]

    def closed(self):
        return [action for action in self.actions if isinstance(action, CloseSocket)]

    def streamed(self):
        return [action for _, action in self.data]


@pytest.fixture
def scene():
    return StreamScene().begin()


# ------------------------------------------------------------------- the allocation


@pytest.mark.req("RFC6062-001", "RFC6062-002")
@pytest.mark.parametrize("transport", [TCP, TLS])
def test_a_tcp_allocation_is_asked_for_over_a_stream_without_what_is_about_datagrams(transport):
    scene = StreamScene(transport).begin()
    for _, request in scene.asked(Method.ALLOCATE):
        assert request.get(REQUESTED_TRANSPORT) == 6
        assert not any(attribute in request for attribute in (DONT_FRAGMENT, EVEN_PORT, RESERVATION_TOKEN))
    assert scene.opened()[0].transport is transport


@pytest.mark.req("RFC6062-001", "RFC7350-004")
@pytest.mark.parametrize(
    ("server", "options"),
    [
        (ServerTarget(UDP, SERVER, None), {}),
        (ServerTarget(DTLS, SERVER, "turn.example"), {}),
        ("turn:turn.example?transport=udp", {}),
        ("turn:turn.example", {"transports": [UDP]}),
    ],
)
def test_a_tcp_allocation_is_not_asked_for_over_datagrams(server, options):
    client = TurnClient(server, credentials=CREDENTIALS, **options)
    with pytest.raises(LocalProtocolError, match=r"RFC 6062 4\.1"):
        client.allocate(transport=TCP, now=0.0)
    client.allocate(now=0.0)


@pytest.mark.req("RFC6062-001")
def test_a_server_that_leaves_the_choice_is_asked_over_a_stream():
    scene = StreamScene()
    for options in ({}, {"transports": [UDP, TCP]}):
        scene.client = TurnClient("turn:192.0.2.1", credentials=CREDENTIALS, **options)
        scene.do("allocate", transport=TCP)
        assert [one.transport for one in scene.opened()] == [TCP]
        scene.actions.clear()


@pytest.mark.req("RFC6062-002")
@pytest.mark.parametrize("option", [{"dont_fragment": True}, {"even_port": True}, {"reservation_token": bytes(8)}])
def test_what_is_about_datagrams_cannot_be_asked_for(option):
    with pytest.raises(LocalProtocolError, match=r"RFC 6062 4\.1"):
        StreamScene().do("allocate", transport=TCP, **option)


@pytest.mark.req("RFC6062-003")
def test_refreshes_go_over_the_control_connection(scene):
    scene.connected()
    scene.run(545.0)
    action, request = scene.find(Method.REFRESH)
    assert (action.socket, request.get(LIFETIME)) == (scene.client.path.socket, None)


# ------------------------------------------------------------------- connect


@pytest.mark.req("RFC6062-004", "RFC6062-005")
def test_a_connection_is_asked_for_bound_from_another_port_and_then_plain_bytes(scene):
    id = scene.connecting()
    action, request = scene.find(Method.CONNECT)
    assert (action.socket, request.get(XOR_PEER_ADDRESS)) == (scene.client.path.socket, PEER)
    scene.answer((CONNECTION_ID, 0xFEDCBA98), to=Method.CONNECT)
    opens = scene.actions[-1]
    assert isinstance(opens, OpenSocket)
    assert (opens.transport, opens.remote, opens.bind) == (TCP, SERVER, Address(LOCAL.host, 0))
    assert opens.socket != scene.client.path.socket
    socket = scene.open(local=DATA_LOCAL)
    action, request = scene.find(Method.CONNECTION_BIND)
    assert (action.socket, request.get(CONNECTION_ID), request.get(USERNAME)) == (socket, 0xFEDCBA98, "user")
    assert request.has_integrity
    assert not scene.client.is_connected(id)
    scene.answer(to=Method.CONNECTION_BIND)
    assert scene.of(PeerConnected) == [PeerConnected(id, PEER)]
    assert scene.client.is_connected(id)


@pytest.mark.req("RFC6062-004")
def test_a_connection_is_asked_for_on_the_control_connection_whatever_others_are_open(scene):
    scene.connecting()
    scene.answered()
    scene.connecting(OTHER_PEER)
    action, request = scene.find(Method.CONNECT)
    assert (action.socket, request.get(XOR_PEER_ADDRESS)) == (scene.client.path.socket, OTHER_PEER)


def test_a_data_connection_says_in_tls_what_it_is_for_like_the_control_connection():
    scene = StreamScene(TLS, config=TurnClientConfig(alpn=(ALPN_TURN,))).begin()
    scene.connected()
    assert [one.options.tls.alpn for one in scene.opened()] == [(ALPN_TURN,)] * 2


@pytest.mark.req("RFC6062-008")
@pytest.mark.parametrize("split", [1, 1000])
def test_bytes_in_the_segment_of_the_answer_are_the_peers(scene, split):
    id = scene.connecting()
    socket = scene.answered()
    action, request = scene.find(Method.CONNECTION_BIND)
    data = encode(request.method, SUCCESS, request.transaction_id, [], key=KEY) + b"\x01\x01hello"
    for start in range(0, len(data), split):
        scene.do("handle_stream_data", socket, data[start : start + split])
    binding = encode(Method.BINDING, MessageClass.REQUEST, bytes(12), [])
    scene.do("handle_stream_data", socket, binding)
    received = scene.of(StreamReceived)
    assert [one.id for one in received] == [id] * len(received)
    assert b"".join(one.data for one in received) == b"\x01\x01hello" + encode(
        Method.BINDING, MessageClass.REQUEST, bytes(12), []
    )
    assert action.socket == socket


@pytest.mark.req("RFC6062-008")
def test_bytes_are_sent_as_they_are(scene):
    id, socket = scene.connected()
    scene.client.send_stream(id, b"\x00\x01\x00", now=scene.now)
    scene.client.send_stream(id, b"", now=scene.now)
    assert scene.client.take_outputs() == [SendStream(socket, b"\x00\x01\x00")]


@pytest.mark.req("RFC6062-004")
@pytest.mark.parametrize("stage", ["connecting", "connected", "attempted"])
def test_a_peer_is_not_asked_for_twice(scene, stage):
    scene.permit(PEER)
    getattr(scene, stage)()
    with pytest.raises(LocalProtocolError, match=r"RFC 6062 4\.3"):
        scene.connecting()
    scene.connecting(OTHER_PEER)


@pytest.mark.req("RFC6062-006")
def test_after_a_447_the_peer_is_left_alone_for_ten_seconds(scene):
    id = scene.connecting()
    scene.now = 5.0
    scene.refuse(447, to=Method.CONNECT, reason="Connection Timeout or Failure")
    assert scene.of(ConnectFailed) == [ConnectFailed(id, PEER, 447, "Connection Timeout or Failure")]
    scene.now = 14.9
    with pytest.raises(LocalProtocolError, match=r"not again for 0\.1 s"):
        scene.connecting()
    scene.connecting(OTHER_PEER)
    scene.now = 15.0
    scene.connecting()


def test_peers_left_alone_are_remembered_up_to_a_bound(scene):
    for port in range(1, MAX_REFUSED + 2):
        scene.connecting(PEER._replace(port=port))
        scene.refuse(447, to=Method.CONNECT)
    scene.connecting(PEER._replace(port=1))
    with pytest.raises(LocalProtocolError, match="not again"):
        scene.connecting(PEER._replace(port=2))


@pytest.mark.parametrize("code", [403, 446, 508])
def test_other_refusals_are_told_and_close_nothing_else(scene, code):
    id = scene.connecting()
    scene.refuse(code, to=Method.CONNECT)
    assert scene.of(ConnectFailed) == [ConnectFailed(id, PEER, code, "no")]
    scene.connecting()


def test_a_437_to_a_connect_is_the_end_of_the_allocation(scene):
    scene.connecting()
    scene.connecting(OTHER_PEER)
    scene.refuse(437, to=Method.CONNECT)
    assert [event.code for event in scene.of(AllocationLost)] == [437]
    assert len(scene.of(ConnectFailed)) == 2


@pytest.mark.parametrize("attributes", [[], [(BAD_ID, b"x")]])
def test_an_answer_without_a_connection_id_is_of_no_use(scene, attributes):
    id = scene.connecting()
    scene.answer(*attributes, to=Method.CONNECT)
    (failed,) = scene.of(ConnectFailed)
    assert (failed.id, failed.code) == (id, None)
    assert "CONNECTION-ID" in failed.reason


def test_too_many_wait_for_their_turn():
    scene = StreamScene(max_connecting=2, max_streams=4).begin()
    for port in range(1, 5):
        scene.connecting(PEER._replace(port=port))
    with pytest.raises(LocalProtocolError, match="max_streams"):
        scene.connecting()
    assert len(scene.asked(Method.CONNECT)) == 2
    scene.refuse(403, to=Method.CONNECT)
    assert [request.get(XOR_PEER_ADDRESS).port for _, request in scene.asked(Method.CONNECT)] == [1, 2, 3]


def test_a_udp_allocation_has_no_connections_and_a_tcp_one_no_other_family():
    scene = StreamScene()
    with pytest.raises(LocalProtocolError, match="no allocation"):
        scene.connecting()
    scene.allocate()
    with pytest.raises(LocalProtocolError, match="datagrams"):
        scene.connecting()
    scene = StreamScene().begin()
    for peer in (PEER6, PEER._replace(port=0)):
        with pytest.raises(LocalProtocolError):
            scene.connecting(peer)


def test_a_relay_that_does_not_answer_is_given_up_on(scene):
    id = scene.connecting()
    scene.run(40.0)
    assert [(time, event.id, event.code) for time, event in scene.events if isinstance(event, ConnectFailed)] == [
        (39.5, id, None)
    ]


# ------------------------------------------------------------------- peers that connect


@pytest.mark.req("RFC6062-007")
def test_a_peer_that_connects_is_offered_and_accepted_on_a_new_connection(scene):
    scene.permit(PEER)
    scene.attempted(OTHER_PEER, 9)
    (offered,) = scene.of(ConnectionAttempted)
    assert offered.peer == OTHER_PEER
    scene.do("accept", offered.id)
    socket = scene.open(local=DATA_LOCAL)
    action, request = scene.find(Method.CONNECTION_BIND)
    assert (action.socket, request.get(CONNECTION_ID)) == (socket, 9)
    assert socket != scene.client.path.socket
    scene.answer(to=Method.CONNECTION_BIND)
    assert scene.of(PeerConnected) == [PeerConnected(offered.id, OTHER_PEER)]
    scene.run(40.0)  # what was accepted is no offer any more, and does not expire
    assert scene.client.is_connected(offered.id)
    assert scene.of(ConnectFailed) == []


@pytest.mark.req("RFC6062-007")
def test_an_offer_that_nobody_takes_expires_with_the_relays_patience(scene):
    scene.permit(PEER)
    scene.attempted()
    (offered,) = scene.of(ConnectionAttempted)
    scene.run(31.0)
    assert [(time, event.id) for time, event in scene.events if isinstance(event, ConnectFailed)] == [(30.0, offered.id)]
    with pytest.raises(LocalProtocolError, match="gone"):
        scene.do("accept", offered.id)


def test_an_offer_may_be_refused(scene):
    scene.permit(PEER)
    scene.attempted()
    (offered,) = scene.of(ConnectionAttempted)
    scene.do("refuse", offered.id)
    scene.run(31.0)
    assert scene.of(ConnectFailed) == []
    with pytest.raises(LocalProtocolError, match="gone"):
        scene.do("refuse", offered.id)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ([(CONNECTION_ID, 1)], DropReason.MISSING_ATTRIBUTE),
        ([(XOR_PEER_ADDRESS, PEER)], DropReason.MISSING_ATTRIBUTE),
        ([(BAD_ID, b"x"), (XOR_PEER_ADDRESS, PEER)], DropReason.BAD_ATTRIBUTE),
        ([(CONNECTION_ID, 1), (XOR_PEER_ADDRESS, Address("198.51.100.200", 1))], DropReason.NO_PERMISSION),
    ],
)
def test_an_attempt_that_makes_no_sense_is_dropped(scene, attributes, reason):
    scene.permit(PEER)
    scene.give(encode(Method.CONNECTION_ATTEMPT, MessageClass.INDICATION, bytes(12), attributes))
    assert scene.of(ConnectionAttempted) == []
    assert scene.client.stats.dropped == {reason: 1}


def test_a_storm_of_attempts_is_bounded():
    scene = StreamScene(max_streams=5).begin()
    scene.permit(PEER)
    for port in range(1, 101):
        scene.attempted(PEER._replace(port=port), port)
    assert len(scene.of(ConnectionAttempted)) == 5
    assert scene.client.stats.dropped == {DropReason.LIMIT: 95}


def test_an_attempt_on_a_data_connection_is_nobodys(scene):
    scene.permit(PEER)
    scene.connecting()
    socket = scene.answered()
    attributes = [(CONNECTION_ID, 1), (XOR_PEER_ADDRESS, OTHER_PEER)]
    scene.do("handle_stream_data", socket, encode(Method.CONNECTION_ATTEMPT, MessageClass.INDICATION, bytes(12), attributes))
    assert scene.of(ConnectionAttempted) == []


# ------------------------------------------------------------------- binding that fails


def test_a_bind_that_is_refused_closes_the_data_connection(scene):
    id = scene.connecting()
    socket = scene.answered()
    scene.refuse(400, to=Method.CONNECTION_BIND)
    assert scene.of(ConnectFailed) == [ConnectFailed(id, PEER, 400, "no")]
    assert [action.socket for action in scene.closed()] == [socket]
    scene.connecting()


def test_a_stale_nonce_on_a_data_connection_is_answered_with_the_new_one(scene):
    id = scene.connecting()
    scene.answered()
    scene.challenge(code=438, nonce="fresh", to=Method.CONNECTION_BIND)
    scene.answer(to=Method.CONNECTION_BIND)
    assert scene.of(PeerConnected) == [PeerConnected(id, PEER)]


def test_a_forged_answer_on_a_data_connection_binds_nothing(scene):
    scene.connecting()
    socket = scene.answered()
    _, request = scene.find(Method.CONNECTION_BIND)
    forged = encode(request.method, SUCCESS, bytes(12), [], key=KEY)
    scene.do("handle_stream_data", socket, forged + encode(request.method, SUCCESS, request.transaction_id, [], key=KEY) + b"x")
    assert [one.data for one in scene.of(StreamReceived)] == [b"x"]


def test_a_data_connection_that_cannot_be_opened_fails_the_connection(scene):
    id = scene.connecting()
    scene.answer((CONNECTION_ID, 7), to=Method.CONNECT)
    scene.lose(-1)
    (failed,) = scene.of(ConnectFailed)
    assert (failed.id, failed.code) == (id, None)


@pytest.mark.parametrize("data", [b"", b"\xff garbage"])
def test_a_data_connection_that_ends_or_talks_nonsense_before_it_is_bound_fails_the_connection(scene, data):
    id = scene.connecting()
    socket = scene.answered()
    scene.do("handle_stream_data", socket, data)
    assert [event.id for event in scene.of(ConnectFailed)] == [id]
    assert socket in [action.socket for action in scene.closed()]


def test_what_finds_no_place_in_the_queue_fails_and_raises_nowhere():
    scene = StreamScene(stun=StunClientConfig(max_outstanding=2, max_queued=1)).begin()
    first, second, third, fourth = (scene.connecting(PEER._replace(port=port)) for port in (1, 2, 3, 4))
    assert [event.id for event in scene.of(ConnectFailed)] == [fourth]
    scene.refuse(403, to=Method.CONNECT, index=0)
    scene.answer((CONNECTION_ID, 8), to=Method.CONNECT, index=1)
    assert [event.id for event in scene.of(ConnectFailed)] == [fourth, first]
    scene.answer((CONNECTION_ID, 9), to=Method.CONNECT, index=2)
    assert [event.id for event in scene.of(ConnectFailed)] == [fourth, first, third]
    assert len(scene.closed()) == 1
    scene.open(-2, local=DATA_LOCAL)
    scene.answer(to=Method.CONNECTION_BIND)
    assert scene.of(PeerConnected) == [PeerConnected(second, PEER._replace(port=2))]


# ------------------------------------------------------------------- open connections


def test_the_end_of_the_peer_is_told_and_closes_the_connection(scene):
    id, socket = scene.connected()
    scene.do("handle_stream_data", socket, b"bye")
    scene.do("handle_stream_data", socket, b"")
    assert scene.of(StreamReceived) == [StreamReceived(id, b"bye"), StreamReceived(id, b"")]
    assert scene.closed() == [CloseSocket(socket, CloseMode.FLUSH)]
    with pytest.raises(LocalProtocolError, match="gone"):
        scene.do("send_stream", id, b"late")
    scene.connecting()


def test_a_connection_that_breaks_is_told(scene):
    id, socket = scene.connected()
    scene.do("handle_socket_failed", socket, SocketError(SocketErrorKind.RESET))
    assert scene.of(StreamLost) == [StreamLost(id, "connection reset")]
    assert not scene.client.is_connected(id)


def test_a_reader_and_a_writer_are_told_of_each_other(scene):
    id, socket = scene.connected()
    scene.do("set_stream_reading", id, False)
    scene.do("set_stream_reading", id, True)
    assert scene.actions[-2:] == [SetReading(socket, False), SetReading(socket, True)]
    scene.do("handle_stream_sent", socket, 70_000)
    scene.do("handle_stream_sent", scene.client.path.socket, 5)
    assert scene.of(StreamSent) == [StreamSent(id, 70_000)]
    scene.connecting(OTHER_PEER)
    scene.do("handle_stream_sent", scene.answered(8), 30)  # of the ConnectionBind, which is nobody's data
    assert len(scene.of(StreamSent)) == 1


@pytest.mark.parametrize("mode", CloseMode)
def test_a_connection_is_closed_by_closing_the_data_connection(scene, mode):
    id, socket = scene.connected()
    scene.do("close_stream", id, mode=mode)
    assert scene.closed() == [CloseSocket(socket, mode)]
    scene.do("close_stream", id)
    assert scene.of(StreamLost) == []


@pytest.mark.parametrize("stage", ["connecting", "binding", "offered"])
def test_an_attempt_is_given_up_in_any_state(scene, stage):
    scene.permit(PEER)
    if stage == "offered":
        scene.attempted()
        (id,) = [event.id for event in scene.of(ConnectionAttempted)]
    else:
        id = scene.connecting()
        if stage == "binding":
            scene.answered()
    scene.do("close_stream", id)
    assert len(scene.closed()) == (stage == "binding")
    assert scene.of(ConnectFailed) == []
    scene.connecting()


@pytest.mark.parametrize("end", ["close", "lost"])
def test_connections_end_with_the_allocation(scene, end):
    id, socket = scene.connected()
    waiting = scene.connecting(OTHER_PEER)
    if end == "close":
        scene.do("close")
    else:
        scene.lose()
    assert CloseSocket(socket, CloseMode.FLUSH) in scene.closed()
    assert [event.id for event in scene.of(StreamLost)] == [id]
    assert [event.id for event in scene.of(ConnectFailed)] == [waiting]


@pytest.mark.parametrize("command", ["send_stream", "set_stream_reading"])
def test_an_unknown_or_unfinished_connection_takes_nothing(scene, command):
    id = scene.connecting()
    argument = b"x" if command == "send_stream" else True
    for one in (id, id + 1):
        with pytest.raises(LocalProtocolError):
            scene.do(command, one, argument)


def test_every_connection_can_end_from_every_state():
    ends = [state for (state, _), after in PEER_STREAM_TRANSITIONS.items() if after is PeerStreamState.CLOSED]
    assert ends == [state for state in PeerStreamState if state is not PeerStreamState.CLOSED]
    assert repr(StreamReceived(1, b"\xff")) == "StreamReceived(id=1, data=ff)"


@pytest.mark.parametrize("stage", ["connecting", "binding"])
def test_of_an_attempt_that_is_given_up_nothing_is_asked_or_awaited_any_more(scene, stage):
    scene.run(1.0)
    before = scene.client.deadline()
    id = scene.connecting()
    if stage == "binding":
        scene.answered()
    assert scene.client.deadline() < before
    scene.do("close_stream", id)
    assert scene.client.deadline() == before
    assert len(scene.client._streams._requests) == 0


def test_of_a_connection_that_is_over_nothing_is_kept(scene):
    for end in ("close", "eof", "break"):
        id, socket = scene.connected()
        if end == "close":
            scene.do("close_stream", id)
        elif end == "eof":
            scene.do("handle_stream_data", socket, b"")
        else:
            scene.do("handle_socket_failed", socket, SocketError(SocketErrorKind.RESET, ""))
    assert list(scene.client._reception._framers) == [scene.client.path.socket]
    assert list(scene.client._stun._sockets) == [scene.client.path.socket]
    assert not scene.client._streams._by_socket


def test_a_peer_whose_permission_was_refused_is_not_offered(scene):
    scene.do("create_permission", PEER)
    scene.refuse(403, to=Method.CREATE_PERMISSION)
    scene.attempted()
    assert scene.of(ConnectionAttempted) == []
    assert scene.client.stats.dropped == {DropReason.NO_PERMISSION: 1}


def test_a_peer_that_fails_again_is_not_the_oldest_any_more(scene):
    refused = scene.client._streams._refused
    for number in range(MAX_REFUSED):
        scene.now = 11.0 * (number == MAX_REFUSED - 1)
        scene.connecting(PEER._replace(port=1 + number))
        scene.refuse(447, to=Method.CONNECT)
    scene.connecting(PEER._replace(port=1))
    scene.refuse(447, to=Method.CONNECT)
    scene.connecting(PEER._replace(port=60_000))
    scene.refuse(447, to=Method.CONNECT)
    assert PEER._replace(port=1) in refused
    assert PEER._replace(port=2) not in refused


def test_what_the_server_has_not_read_of_a_connection_holds_up_nothing_else():
    scene = StreamScene().begin()
    _, socket = scene.connected()
    scene.do("handle_stream_sent", socket, 1_000_000)
    assert scene.client._allocation.unsent == 0
