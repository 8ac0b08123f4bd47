"""The far end of a call through a relay, alone."""

import math

import pytest

from sansice import Address, OpenSocket, SendDatagram, SocketId
from sansice.simulation import check_machine
from sansice.simulation._scene._relay_peer import PeerGathered, PeerHeard, RelayPeer
from sansice.stun import XOR_MAPPED_ADDRESS, MessageClass, Method, decode_untrusted, encode

SERVER, RELAYED = Address("192.0.2.10", 3478), Address("192.0.2.10", 50000)
LOCAL, MAPPED = Address("10.0.0.1", 40000), Address("203.0.113.1", 6000)
SOCKET = SocketId(1)
KNOCK = bytes([0x81]) * 20


def opened(*, now=0.0):
    peer = RelayPeer(LOCAL.host, SERVER, 20, entropy=lambda count: bytes(range(count)))
    peer.start(now=now)
    assert [type(output) for output in peer.take_outputs()] == [OpenSocket]
    peer.handle_socket_opened(SOCKET, LOCAL, now=now)
    return peer


def gathered():
    peer = opened()
    peer.handle_datagrams(SOCKET, [(SERVER, answer_to(peer.take_outputs()[0].data))], now=0.1)
    assert peer.take_outputs() == [PeerGathered(LOCAL, MAPPED)]
    return peer


def answer_to(request, attributes=((XOR_MAPPED_ADDRESS, MAPPED),), id=None):
    id = id or decode_untrusted(request).transaction_id
    return encode(Method.BINDING, MessageClass.SUCCESS, id, attributes)


def timed(peer, until):
    """What the timer has it do until then, with the times."""
    done = []
    while (due := peer.deadline()) <= until:
        peer.handle_timer(now=due)
        assert peer.deadline() > due
        done += [(due, output) for output in peer.take_outputs()]
    return done


def test_nothing_happens_before_it_is_started():
    peer = RelayPeer(LOCAL.host, SERVER, 20, entropy=bytes)
    assert peer.deadline() == math.inf
    assert peer.take_outputs() == []


def test_server_is_asked_three_times_and_waited_for_three_seconds():
    peer = opened()
    [request] = peer.take_outputs()
    assert decode_untrusted(request.data).method is Method.BINDING
    assert timed(peer, 100.0) == [(0.5, request), (1.5, request), (3.0, PeerGathered(LOCAL, None))]


def test_address_that_the_server_saw_is_told():
    assert gathered().deadline() == math.inf


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda request: answer_to(request, ()), id="without an address"),
        pytest.param(lambda request: answer_to(request, id=b"another's..."), id="to another request"),
        pytest.param(lambda request: answer_to(request)[:-1], id="damaged"),
        pytest.param(lambda request: b"\x80voice", id="no STUN"),
    ],
)
def test_anything_else_of_the_servers_is_no_answer(answer):
    peer = opened()
    [request] = peer.take_outputs()
    peer.handle_datagrams(SOCKET, [(SERVER, answer(request.data))], now=0.1)
    assert peer.take_outputs() == []
    assert peer.deadline() == 0.5


def test_it_knocks_once_a_second_at_the_relayed_address():
    peer = gathered()
    peer.call(RELAYED, now=1.0)
    knock = SendDatagram(SOCKET, RELAYED, KNOCK)
    assert peer.take_outputs() == [knock]
    assert timed(peer, 3.5) == [(2.0, knock), (3.0, knock)]


def test_answer_to_a_knock_is_told_and_anything_else_of_the_relays_comes_back():
    peer = gathered()
    peer.call(RELAYED, now=1.0)
    peer.take_outputs()
    peer.handle_datagrams(SOCKET, [(RELAYED, KNOCK), (RELAYED, b"\x80voice"), (MAPPED, b"a stranger's")], now=1.5)
    assert peer.take_outputs() == [PeerHeard(True), SendDatagram(SOCKET, RELAYED, b"\x80voice"), PeerHeard(False)]


def test_it_can_be_called_while_it_still_asks():
    peer = opened()
    [request] = peer.take_outputs()
    peer.call(RELAYED, now=0.1)
    peer.take_outputs()
    knock = SendDatagram(SOCKET, RELAYED, KNOCK)
    assert timed(peer, 1.6) == [(0.5, request), (1.1, knock), (1.5, request)]


def test_it_keeps_the_contract():
    check_machine(
        lambda entropy: RelayPeer(LOCAL.host, SERVER, 20, entropy=entropy),
        setup=lambda peer, now: peer.start(now=now),
        commands={"call": [(RELAYED,), (MAPPED,)]},
        flood=500,
        max_examples=30,
    )
