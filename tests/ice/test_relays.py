"""Relays as sockets of the agent, alone: whose data is whose, permissions, channels, refusals, ends."""

import math

import attrs
import pytest

from ice._relay_bench import (
    DTLS,
    HOST,
    MAPPED,
    OTHER,
    PEER,
    PEER6,
    RELAYED,
    RELAYED6,
    SERVER,
    TCP,
    TLS,
    UDP,
    Bench,
    question,
)
from ice._wire import make_local
from sansice.ice._gathering._relay import (
    RELAY_TRANSITIONS,
    PeerRefused,
    Relayed,
    RelayedIcmp,
    RelayInput,
    RelayLost,
    RelayRefused,
    RelayState,
)
from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    DropReason,
    IcmpError,
    LocalProtocolError,
    OpenSocket,
    ProxyOptions,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.stun import (
    ALTERNATE_SERVER,
    DATA,
    ICMP,
    LIFETIME,
    XOR_PEER_ADDRESS,
    Icmp,
    MessageClass,
    Method,
    ServerTarget,
    ServerUri,
    TransactionId,
    encode,
)
from sansice.turn import TurnClientConfig, encode_channel_data

LOST = SocketError(SocketErrorKind.OTHER, "interface gone")
EVERY = pytest.mark.parametrize("transport", [UDP, TCP, TLS, DTLS])


def indication(*attributes):
    return encode(Method.DATA, MessageClass.INDICATION, TransactionId(b"indication12"), attributes)


def data_from(peer, payload):
    return indication((XOR_PEER_ADDRESS, peer), (DATA, payload))


def binding(kind=MessageClass.SUCCESS):
    return encode(Method.BINDING, kind, TransactionId(b"binding12345"), [])


# ------------------------------------------------------------- asking


def test_udp_servers_are_asked_through_the_host_candidates_socket():
    bench = Bench()
    bench.do("ask", question())
    assert [(one.socket, one.destination) for one in bench.sent] == [(HOST.socket, SERVER)]
    assert bench.actions == []
    assert bench.relays.carries(HOST.socket) and not bench.relays.carries(SocketId(2))
    assert bench.relays.is_asked(HOST.socket, SERVER) and not bench.relays.is_asked(HOST.socket, OTHER)


@pytest.mark.parametrize("transport", [TCP, TLS, DTLS])
def test_other_servers_are_asked_through_sockets_of_their_own_from_the_same_address(transport):
    bench = Bench()
    bench.do("ask", question(transport=transport))
    (opened,) = bench.actions
    assert isinstance(opened, OpenSocket)
    assert (opened.transport, opened.bind, opened.remote) == (transport, HOST.base._replace(port=0), SERVER)
    assert bench.relays.carries(opened.socket) and not bench.relays.carries(HOST.socket)


@EVERY
def test_a_grant_makes_a_socket_of_each_relayed_address(transport):
    bench = Bench(family="both")
    relay, socket = bench.relay(RELAYED, RELAYED6, transport=transport)
    (relayed,) = bench.told(Relayed)
    assert [address for _, address in relayed.addresses] == [RELAYED, RELAYED6]
    assert relayed.mapped == MAPPED and relayed.target.address == SERVER
    assert (relayed.local == HOST.base) is (transport is UDP)
    assert bench.relays.is_virtual(socket) and len(set(relay.sockets.values())) == 2
    assert relay.state is RelayState.RELAYING and relay.heard


def test_a_refusal_is_told_with_all_that_was_tried_and_leaves_nothing():
    bench = Bench()
    bench.do("ask", question(ServerTarget(UDP, SERVER), ServerTarget(UDP, OTHER)))
    bench.challenge()
    bench.answer(code=486)
    bench.challenge()
    bench.answer(code=508)
    (refused,) = bench.told(RelayRefused)
    assert [(one.target.address, one.code) for one in refused.attempts] == [(SERVER, 486), (OTHER, 508)]
    assert len(bench.relays) == 0 and bench.relays.deadline() == math.inf
    assert not bench.relays.carries(HOST.socket)


def test_a_server_that_is_not_there_fails_at_once():
    bench = Bench()
    bench.do("ask", question())
    bench.do("handle_icmp", HOST.socket, SERVER, IcmpError(3, 3))
    bench.do("handle_icmp", HOST.socket, OTHER, IcmpError(3, 3))
    assert bench.told(RelayRefused)


def test_sockets_that_are_nobodys_change_nothing():
    bench = Bench()
    bench.do("handle_socket_opened", SocketId(7), PEER)
    bench.do("handle_socket_failed", SocketId(7), LOST)
    bench.do("handle_stream_sent", SocketId(7), 5)
    assert bench.do("unwrap_stream", SocketId(7), b"what") == []
    assert bench.dropped == {DropReason.UNKNOWN_SOCKET: 1}
    assert not bench.relays.has_news and len(bench.relays) == 0


# ------------------------------------------------------------- permissions, data, channels


@EVERY
@pytest.mark.req("RFC8445-056", "RFC8445-057")
def test_data_waits_for_its_permission_and_gets_a_channel_when_it_is_selected(transport):
    bench = Bench()
    _, socket = bench.relay(transport=transport)
    assert bench.wrap(socket, PEER, b"\x80first") is None
    assert len(bench.asked(Method.CREATE_PERMISSION)) == 1
    assert bench.asked(Method.CREATE_PERMISSION)[0].get(XOR_PEER_ADDRESS).host == PEER.host
    before = len(bench.sent)
    bench.answer(method=Method.CREATE_PERMISSION)
    assert [b"\x80first" in one.data for one in bench.sent[before:]] == [True]
    sent = bench.wrap(socket, PEER, b"\x80second")
    assert sent.data[:2] == b"\x00\x16"  # a Send indication
    assert isinstance(sent, SendStream if transport in (TCP, TLS) else SendDatagram)
    assert bench.asked(Method.CHANNEL_BIND) == []
    bench.do("select", socket, PEER)
    bench.answer(method=Method.CHANNEL_BIND)
    assert bench.wrap(socket, PEER, b"\x80third").data[:1] == b"\x40"
    bench.do("select", socket, PEER)
    assert len(bench.asked(Method.CHANNEL_BIND)) == 1


def test_one_permission_is_for_all_ports_of_a_host_and_is_asked_for_once():
    bench = Bench()
    _, socket = bench.relay()
    for port in (5000, 5001):
        assert bench.do("permit", socket, PEER._replace(port=port))
    assert len(bench.asked(Method.CREATE_PERMISSION)) == 1


def test_permissions_of_hosts_that_are_kept_no_more_are_let_go():
    bench = Bench(family="both")
    relay, _ = bench.relay(RELAYED, RELAYED6)
    four, six = relay.sockets[4], relay.sockets[6]
    other = Address("192.0.2.10", 5000)
    for socket, peer in ((four, PEER), (four, other), (six, PEER6)):
        bench.permit(socket, peer)
    bench.do("keep", four, {other.host})
    bench.do("keep", SocketId(999), set())
    assert bench.wrap(four, other, b"\x80data") is not None and bench.wrap(six, PEER6, b"\x80data") is not None
    assert bench.wrap(four, PEER, b"\x80data") is None  # waits, and its permission is asked for anew
    hosts = [request.get(XOR_PEER_ADDRESS).host for request in bench.asked(Method.CREATE_PERMISSION)]
    assert hosts == [PEER.host, other.host, PEER6.host, PEER.host]


def test_host_that_was_refused_is_asked_for_anew_when_it_comes_back():
    bench = Bench()
    _, socket = bench.relay()
    bench.do("permit", socket, PEER)
    bench.answer(method=Method.CREATE_PERMISSION, code=403)
    assert not bench.do("permit", socket, PEER)
    bench.do("keep", socket, set())
    assert bench.do("permit", socket, PEER)


def test_server_that_another_one_named_is_not_asked_on_its_own_account_until_it_is():
    bench = Bench()
    bench.do("ask", question())
    bench.challenge()
    bench.answer((ALTERNATE_SERVER, OTHER), code=300)
    assert bench.sent[-1].destination == OTHER
    assert not bench.relays.is_asked(HOST.socket, OTHER)
    own = bench.do("ask", question(server=OTHER))
    bench.challenge()
    bench.grant()
    assert own.granted is not None and bench.relays.is_asked(HOST.socket, OTHER)


def test_data_from_where_another_server_was_named_is_the_agents():
    bench = Bench()
    relay = bench.do("ask", question())
    bench.challenge()
    bench.answer((ALTERNATE_SERVER, OTHER), code=300)
    data = b"\x40\x00\x00\x04data"
    assert bench.do("unwrap", HOST.socket, [(OTHER, data)]) == [(HOST.socket, [(OTHER, data)])]
    bench.challenge()
    bench.grant()
    assert relay.granted.target.address == OTHER
    assert bench.do("unwrap", HOST.socket, [(OTHER, data)]) == []


def test_each_family_is_reached_from_the_relayed_address_of_its_own():
    bench = Bench(family="both")
    relay, _ = bench.relay(RELAYED, RELAYED6)
    four, six = relay.sockets[4], relay.sockets[6]
    assert not bench.do("permit", four, PEER6) and not bench.do("permit", six, PEER)
    assert bench.wrap(four, PEER6, b"\x80data") is None
    assert bench.asked(Method.CREATE_PERMISSION) == []
    bench.permit(six, PEER6)
    assert bench.wrap(six, PEER6, b"\x80data") is not None
    found = bench.do("unwrap", HOST.socket, [(SERVER, data_from(PEER6, b"six"))])
    assert found == [(six, [(PEER6, b"six")])]


def test_host_that_the_server_never_relays_to_is_told_at_once_and_with_every_further_datagram():
    bench = Bench()
    _, socket = bench.relay()
    bench.wrap(socket, PEER, b"\x80data")
    bench.answer(code=403, method=Method.CREATE_PERMISSION)
    assert bench.told(PeerRefused) == [PeerRefused(socket, PEER.host, 403, bench.told(PeerRefused)[0].reason)]
    assert bench.wrap(socket, PEER, b"\x80data") is None
    assert len(bench.told(PeerRefused)) == 2
    assert not bench.do("permit", socket, PEER)
    assert len(bench.asked(Method.CREATE_PERMISSION)) == 1


def test_permission_that_the_server_could_not_give_is_asked_for_with_the_next_datagram():
    bench = Bench()
    _, socket = bench.relay()
    bench.wrap(socket, PEER, b"\x80one")
    bench.run(40.0)  # nobody answers
    asked = len({message.transaction_id for message in bench.asked(Method.CREATE_PERMISSION)})
    assert bench.told(PeerRefused) == []
    bench.wrap(socket, PEER, b"\x80two")
    assert len({message.transaction_id for message in bench.asked(Method.CREATE_PERMISSION)}) == asked + 1


@pytest.mark.parametrize(("code", "refused"), [(403, True), (499, True), (500, False), (508, False)])
def test_refusals_of_a_server_in_trouble_may_pass_and_the_others_do_not(code, refused):
    bench = Bench()
    relay, socket = bench.relay()
    bench.do("permit", socket, PEER)
    bench.answer(method=Method.CREATE_PERMISSION, code=code)
    bench.run(60.0)
    assert (PEER.host in relay.refused) == refused == bool(bench.told(PeerRefused))
    assert bench.do("permit", socket, PEER) != refused


def test_pair_that_is_selected_again_needs_no_second_channel():
    bench = Bench()
    _, socket = bench.relay()
    bench.permit(socket)
    for _ in range(3):
        bench.do("select", socket, PEER)
        bench.answer(method=Method.CHANNEL_BIND)
    assert len(bench.asked(Method.CHANNEL_BIND)) == 1


def test_server_whose_stream_has_opened_has_begun_to_answer():
    bench = Bench()
    relay = bench.do("ask", question(transport=TCP))
    assert not relay.heard
    bench.open()
    assert relay.heard


def test_socket_that_dies_while_it_waits_to_be_closed_is_not_closed():
    bench = Bench()
    relay, _ = bench.relay()
    bench.relays.close_socket(HOST.socket, CloseMode.FLUSH)
    bench.do("leave", relay)
    bench.do("handle_socket_failed", HOST.socket, SocketError(SocketErrorKind.OTHER, "gone"))
    bench.run(100.0)
    assert len(bench.relays) == 0
    assert HOST.socket not in bench.closed()


def test_more_hosts_than_a_relay_may_permit_are_left_out():
    bench = Bench(config=TurnClientConfig(max_permissions=1))
    _, socket = bench.relay()
    bench.permit(socket)
    assert not bench.do("permit", socket, Address("192.0.2.10", 5000))


def test_more_channels_than_there_may_be_leave_data_in_indications():
    bench = Bench(config=TurnClientConfig(max_channels=1))
    _, socket = bench.relay()
    bench.permit(socket)
    bench.do("select", socket, PEER)
    bench.answer(method=Method.CHANNEL_BIND)
    other = PEER._replace(port=5001)
    bench.do("select", socket, other)
    assert bench.wrap(socket, other, b"\x80data").data[:2] == b"\x00\x16"


def test_what_the_server_does_not_read_is_dropped_beyond_a_bound():
    bench = Bench(config=TurnClientConfig(max_unsent=1000))
    _, socket = bench.relay(transport=TCP)
    bench.permit(socket)
    path = bench.sent[-1].socket
    bench.do("handle_stream_sent", path, 1001)
    assert bench.wrap(socket, PEER, b"\x80data") is None
    assert bench.dropped[DropReason.QUEUE_FULL] == bench.relays.discarded == 1
    bench.do("handle_stream_sent", path, 1000)
    assert bench.wrap(socket, PEER, b"\x80data") is not None


def test_data_beyond_what_a_relay_can_carry_is_the_callers_mistake():
    bench = Bench()
    _, socket = bench.relay()
    bench.permit(socket)
    with pytest.raises(LocalProtocolError, match="a relay can send"):
        bench.wrap(socket, PEER, bytes(65_500))


# ------------------------------------------------------------- what arrives


def test_what_comes_from_a_server_is_the_relays_and_binding_messages_are_the_agents():
    bench = Bench()
    _, socket = bench.relay()
    bench.permit(socket)
    stranger = Address("192.0.2.77", 7)
    batch = [
        (SERVER, data_from(PEER, b"one")),
        (SERVER, data_from(PEER, b"two")),
        (SERVER, binding()),
        (SERVER, binding(MessageClass.REQUEST)),
        (stranger, data_from(PEER, b"forged")),
        (PEER, b"\x80direct"),
        (SERVER, data_from(PEER, b"three")),
    ]
    assert bench.do("unwrap", HOST.socket, batch) == [
        (socket, [(PEER, b"one"), (PEER, b"two")]),
        (HOST.socket, batch[2:6]),
        (socket, [(PEER, b"three")]),
    ]


@EVERY
def test_channel_data_comes_out_as_what_the_peer_sent(transport):
    bench = Bench()
    relay, socket = bench.relay(transport=transport)
    bench.permit(socket)
    bench.do("select", socket, PEER)
    bench.answer(method=Method.CHANNEL_BIND)
    message = encode_channel_data(0x4000, b"\x80data", padded=transport in (TCP, TLS))
    path = relay.client.path
    if transport in (TCP, TLS):
        found = bench.do("unwrap_stream", path.socket, message)
    else:
        found = bench.do("unwrap", path.socket, [(path.remote, message)])
    assert found == [(socket, [(PEER, b"\x80data")])]


def test_what_is_no_data_of_a_peers_is_dropped_and_counted():
    bench = Bench()
    bench.relay()
    batch = [(SERVER, b"\x40\x00\x00\x01x"), (SERVER, data_from(PEER, b"not permitted")), (SERVER, b"\x00\x17nonsense")]
    assert bench.do("unwrap", HOST.socket, batch) == []
    assert sum(bench.dropped.values()) == 3


def test_icmp_error_that_the_relay_heard_is_told_of_the_socket_that_it_is():
    bench = Bench(family="both")
    relay, socket = bench.relay()
    bench.permit(socket)
    error = Icmp(3, 3)
    indication = [(XOR_PEER_ADDRESS, PEER), (ICMP, error)]
    bench.do(
        "unwrap", HOST.socket, [(SERVER, encode(Method.DATA, MessageClass.INDICATION, TransactionId(b"i" * 12), indication))]
    )
    (told,) = bench.told(RelayedIcmp)
    assert (told.socket, told.peer, told.error.is_hard) == (socket, PEER, True)
    bench.do("close_virtual", socket)
    assert relay.state is RelayState.LEAVING


def test_data_for_a_relayed_address_that_was_given_back_is_dropped():
    bench = Bench(family="both")
    relay, _ = bench.relay(RELAYED, RELAYED6)
    four, six = relay.sockets[4], relay.sockets[6]
    bench.permit(four)
    bench.permit(six, PEER6)
    bench.do("close_virtual", four)
    assert relay.state is RelayState.RELAYING and bench.relays.is_virtual(six)
    assert bench.do("unwrap", HOST.socket, [(SERVER, data_from(PEER, b"late"))]) == []
    assert bench.dropped == {DropReason.NO_ALLOCATION: 1}
    bench.do("unwrap", HOST.socket, [(SERVER, indication((XOR_PEER_ADDRESS, PEER), (ICMP, Icmp(3, 3))))])
    assert bench.told(RelayedIcmp) == []
    bench.do("close_virtual", six)
    assert relay.state is RelayState.LEAVING


def test_refusal_about_an_address_that_was_given_back_is_nobodys():
    bench = Bench(family="both")
    relay, _ = bench.relay(RELAYED, RELAYED6)
    bench.do("permit", relay.sockets[4], PEER)
    bench.do("close_virtual", relay.sockets[4])
    bench.answer(code=403, method=Method.CREATE_PERMISSION)
    assert bench.told(PeerRefused) == []


# ------------------------------------------------------------- ends


@EVERY
def test_what_is_given_back_is_deleted_and_its_socket_kept_until_then(transport):
    bench = Bench()
    relay, socket = bench.relay(transport=transport)
    bench.do("close_virtual", socket)
    bench.relays.close_socket(HOST.socket, CloseMode.FLUSH)
    bench.take()
    assert bench.relays.lingers and not bench.relays.is_virtual(socket)
    assert bench.asked(Method.REFRESH)[-1].get(LIFETIME) == 0
    assert (HOST.socket in bench.closed()) is (transport is not UDP)
    bench.answer(method=Method.REFRESH)
    assert bench.actions[-1] == CloseSocket(HOST.socket if transport is UDP else bench.sent[-1].socket)
    assert relay.state is RelayState.OVER and len(bench.relays) == 0 and not bench.relays.lingers
    assert bench.relays.deadline() == math.inf


def test_socket_that_several_relays_share_waits_for_the_last():
    bench = Bench()
    _, one = bench.relay()
    bench.do("ask", question(server=OTHER))
    bench.challenge()
    bench.grant(Address("198.51.100.54", 60000))
    bench.do("close_virtual", one)
    bench.answer(method=Method.REFRESH)
    bench.relays.close_socket(HOST.socket, CloseMode.RESET)
    bench.take()
    assert bench.closed() == [] and len(bench.relays) == 1
    bench.do("close")
    bench.answer(method=Method.REFRESH)
    assert bench.actions == [CloseSocket(HOST.socket, CloseMode.RESET)]


def test_deletion_that_nobody_confirms_is_given_up():
    bench = Bench()
    bench.relay()
    bench.do("close")
    bench.do("close")
    bench.relays.close_socket(HOST.socket, CloseMode.FLUSH)
    bench.run(60.0)
    assert bench.closed() == [HOST.socket] and len(bench.relays) == 0


def test_relay_that_is_still_asked_for_is_abandoned_and_what_comes_of_it_deleted():
    bench = Bench()
    relay = bench.do("ask", question())
    bench.challenge()
    assert bench.relays.pending == (relay,)
    bench.do("leave", relay)
    assert bench.relays.pending == () and bench.relays.live == ()
    bench.grant()
    assert bench.told(Relayed) == []
    assert bench.asked(Method.REFRESH)[-1].get(LIFETIME) == 0


def test_loss_of_the_host_candidates_socket_is_the_loss_of_the_relays_through_it():
    bench = Bench()
    relay, socket = bench.relay()
    bench.do("handle_socket_failed", HOST.socket, LOST)
    assert bench.told(RelayLost) == [RelayLost(relay, (socket,), "interface gone")]
    assert not bench.relays.is_virtual(socket) and len(bench.relays) == 0
    assert bench.do("wrap", socket, PEER, b"\x80data") is None
    assert not bench.do("permit", socket, PEER)
    bench.do("select", socket, PEER)
    assert not bench.relays.has_news


@pytest.mark.parametrize("transport", [TCP, TLS])
def test_end_of_its_own_socket_is_the_loss_of_one_relay(transport):
    bench = Bench()
    relay, _ = bench.relay(transport=transport)
    other = make_local("192.0.2.1", 2)
    bench.do("ask", question(host=other))
    path = relay.client.path
    bench.do("unwrap_stream", path.socket, b"")
    assert [one.relay for one in bench.told(RelayLost)] == [relay]
    assert len(bench.relays.pending) == 1


def test_socket_towards_one_server_is_no_other_relays():
    bench = Bench()
    relay, _ = bench.relay(transport=TCP)
    bench.do("ask", question(host=make_local("192.0.2.1", 2)))
    bench.do("handle_socket_failed", relay.client.path.socket, LOST)
    assert [one.relay for one in bench.told(RelayLost)] == [relay]
    assert len(bench.relays.pending) == 1


def test_allocation_that_the_server_forgot_is_lost():
    bench = Bench()
    relay, socket = bench.relay()
    bench.run(541.0)  # a Refresh is due
    bench.answer(code=437, method=Method.REFRESH)
    assert [(one.relay, one.sockets) for one in bench.told(RelayLost)] == [(relay, (socket,))]


def test_relay_lives_for_hours_by_itself():
    bench = Bench()
    relay, socket = bench.relay()
    bench.permit(socket)
    answered = 0
    while bench.now < 7200.0:
        bench.run(min(bench.relays.deadline(), 7200.0))
        for index, (_, message) in enumerate(bench.requests):
            if index >= answered and message.method in (Method.REFRESH, Method.CREATE_PERMISSION):
                bench.answer(*([(LIFETIME, 600)] if message.method is Method.REFRESH else []), index=index)
        answered = len(bench.requests)
    assert relay.state is RelayState.RELAYING
    assert bench.wrap(socket, PEER, b"\x80data") is not None


def test_every_state_but_the_last_can_be_left():
    assert set(RELAY_TRANSITIONS) == set(RelayState)
    assert all(RelayInput.LEAVE in steps for steps in RELAY_TRANSITIONS.values())
    assert set(RELAY_TRANSITIONS[RelayState.OVER].values()) == {RelayState.OVER}


def test_servers_whose_names_a_proxy_looks_up_are_left_alone_each_for_itself():
    bench = Bench()
    at = Address("10.1.0.10", 3128)
    ways = [ServerTarget(TCP, at, None, ProxyOptions(at, authority=f"{name}.example:3478")) for name in "ab"]
    asked = [question(way) for way in ways]
    asked[1] = attrs.evolve(asked[1], server=attrs.evolve(asked[1].server, uri=ServerUri.parse("turn:b.example")))
    memories = [bench.relays._memory_of(one) for one in asked]
    assert memories[0] is not memories[1]
    assert bench.relays._memory_of(asked[1]) is memories[1]
    plain = [
        bench.relays._memory_of(question(target))
        for target in (ServerTarget(TCP, at), ServerTarget(TCP, at, None, ProxyOptions(at)))
    ]
    assert plain[0] is plain[1]
    assert plain[0] not in memories


# ------------------------------------------------------------- opened before they are asked


def held(bench, *targets):
    return bench.do("ask", question(*targets, transport=TCP), is_held=True)


def test_one_that_is_held_asks_as_soon_as_it_is_released():
    bench = Bench()
    relay = held(bench)
    socket = bench.open()
    assert bench.sent == []
    bench.now = 0.3
    bench.do("release", relay)
    assert [one.socket for one in bench.sent] == [socket]
    assert not relay.is_held
    bench.now = 0.5
    bench.challenge()
    bench.grant()
    assert bench.told(Relayed)[0].seconds == pytest.approx(0.2)


def test_one_that_is_released_before_it_is_open_asks_when_it_is():
    bench = Bench()
    relay = held(bench)
    bench.do("release", relay)
    assert bench.sent == []
    bench.open()
    assert len(bench.sent) == 1


def test_a_stream_that_is_lost_while_it_is_held_is_asked_nothing():
    bench = Bench()
    relay = held(bench)
    socket = bench.open()
    bench.do("handle_socket_failed", socket, LOST)
    assert bench.told(RelayRefused)
    bench.do("release", relay)
    assert bench.sent == []


def test_of_several_streams_that_are_held_the_first_is_asked():
    bench = Bench()
    relay = held(bench, ServerTarget(TCP, SERVER), ServerTarget(TCP, OTHER))
    first = bench.open()
    bench.run(0.25)
    bench.take()
    second = bench.open()
    assert second != first
    bench.do("release", relay)
    assert [one.socket for one in bench.sent] == [first]
    assert bench.closed() == [second]
