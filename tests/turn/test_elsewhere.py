"""Clients whose allocation, port or connection is in another process that shares the listeners."""

import attrs
import pytest

from _turn_serving import CLIENT, HOST, LISTENERS, REALM_TEXT, TCP, TLS, UDP, UDP_RELAY, USERS, TurnServing, code_of
from sansice.machine import Address, SetReading
from sansice.stun import (
    CONNECTION_ID,
    EVEN_PORT,
    MOBILITY_TICKET,
    PENDING,
    RESERVATION_TOKEN,
    XOR_RELAYED_ADDRESS,
    CredentialRequested,
    Method,
    ServerAuthentication,
    UserKeys,
    decode_untrusted,
)
from sansice.turn import DatagramsElsewhere, RelayAddress, StreamElsewhere, TurnServerConfig, encode_channel_data
from sansice.turn._server import _elsewhere
from sansice.turn._server._elsewhere import LIFETIME as KNOWN_FOR

KEY = bytes(32)
PEER = Address("198.51.100.9", 5000)
MOVED = CLIENT._replace(port=7777)
ALLOCATE, REFRESH, BIND = Method.ALLOCATE, Method.REFRESH, Method.CONNECTION_BIND
_WORKERS = 3


def worker(number, authentication=None, **policy):
    """A server that is one of several."""
    options = {} if authentication is None else {"authentication": authentication}
    low = 50000 + 100 * number
    policy = {"relay_ports": (low, low + 99), "relay_addresses": [RelayAddress(HOST)], **policy}
    policy |= {"worker": number, "workers": _WORKERS, "ticket_key": KEY, "shared_ports": (50000, 50299)}
    return TurnServing(policy=policy, **options)


def told(outputs):
    return [one for one in outputs if isinstance(one, (DatagramsElsewhere, StreamElsewhere))]


def deliver(event, other):
    """Do with datagrams what the application does; what the other process answers there."""
    socket = other.server.listening_socket(event.path.transport, event.local)
    return other.feed(socket, *((event.path.remote, data) for data in event.datagrams))


def reserve(serving):
    """A token for the next port, of alice's."""
    answer = serving.client().allocate((EVEN_PORT, True))
    return answer.get(RESERVATION_TOKEN), answer.get(XOR_RELAYED_ADDRESS)


def test_a_reserved_port_is_got_through_another_process_and_all_that_follows_goes_there():
    one, two = worker(1), worker(2)
    token, first = reserve(one)
    alice = two.client(MOVED)
    request = alice.request(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token))
    [event] = told(alice.send(request))
    assert (event.worker, event.path.remote, event.datagrams) == (1, MOVED, (request,))
    at_one = one.client(MOVED)
    answer = decode_untrusted(at_one.answers(deliver(event, one))[0])
    if code_of(answer) == 438:  # the nonce is the other's: these two have no key in common
        at_one.nonce = None
        again = at_one.request(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token))
        [event] = told(alice.send(again))
        answer = decode_untrusted(at_one.answers(deliver(event, one))[0])
    assert answer.get(XOR_RELAYED_ADDRESS) == first._replace(port=first.port + 1)
    data = encode_channel_data(0x4000, b"x")
    outputs = two.feed(alice.socket, (MOVED, data), (CLIENT, b"\x40\x00\x00\x01y"), (MOVED, b"z"))
    assert [one.datagrams for one in told(outputs)] == [(data, b"z")]
    assert two.allocations() == ()


def test_nobody_is_handed_over_before_he_has_proved_who_he_is():
    one, two = worker(1), worker(2)
    token, _ = reserve(one)
    mallory = two.client(MOVED, user="mallory")
    outputs = mallory.send(mallory.request(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token)))
    assert not told(outputs)
    assert len(two.server._elsewhere) == 0


@pytest.mark.parametrize("number", [2, _WORKERS, 255])
def test_a_token_of_this_process_or_of_none_is_judged_here(number):
    two = worker(2)
    alice = two.client()
    assert alice.code(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, bytes([number]) + bytes(7))) == 508


def test_a_server_that_is_alone_hands_nobody_over():
    serving = TurnServing()
    assert serving.client().code(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, b"\x01" + bytes(7))) == 508


def test_a_client_that_has_moved_is_handed_to_the_process_that_made_its_ticket():
    one, two = worker(1, mobility=True), worker(2, mobility=True)
    alice = one.client()
    ticket = alice.allocate((MOBILITY_TICKET, b"")).get(MOBILITY_TICKET)
    moved = two.client(MOVED)
    [event] = told(moved.send(moved.request(REFRESH, (MOBILITY_TICKET, ticket))))
    assert (event.worker, event.path.remote) == (1, MOVED)


@pytest.mark.parametrize("ticket", [b"", b"no ticket", bytes(100)])
def test_what_is_no_ticket_of_anybodys_is_judged_here(ticket):
    two = worker(2, mobility=True)
    assert two.client().code(REFRESH, (MOBILITY_TICKET, ticket)) in (400, 437)
    assert len(two.server._elsewhere) == 0


@pytest.mark.parametrize("transport", [TCP, TLS])
def test_a_data_connection_is_handed_over_with_all_that_was_read(transport):
    two = worker(2, tcp_relay=True)
    alice = two.stream(transport=transport)
    request = alice.request(BIND, (CONNECTION_ID, 0x01020304))
    outputs = alice.send(request + b"\xffnot STUN")
    [event] = told(outputs)
    assert event == StreamElsewhere(1, event.path, Address(HOST, event.local.port), request + b"\xffnot STUN")
    assert (event.path.socket, event.path.transport) == (alice.socket, transport)
    assert SetReading(alice.socket, False) in outputs
    assert alice.answers(outputs) == []
    assert two.stats.stun.connections == 0
    assert alice.send(b"more") == []  # the server knows the stream no more


def test_a_stream_that_ends_while_its_user_is_looked_up_is_not_handed_over():
    mechanism = ServerAuthentication(realm=REALM_TEXT, lookup_key=lambda *who: PENDING)
    two = worker(2, authentication=mechanism, tcp_relay=True)
    alice = two.stream()
    [wanted] = [
        one for one in alice.send(alice.request(BIND, (CONNECTION_ID, 0x01020304))) if isinstance(one, CredentialRequested)
    ]
    alice.send(b"")
    keys = UserKeys.of_password("alice", USERS["alice"], REALM_TEXT)
    _, outputs = two.call(two.server.provide_key, wanted.id, keys)
    assert not told(outputs)
    assert code_of(decode_untrusted(alice.answers(outputs)[0])) == 400


def test_over_dtls_the_answer_is_given_here_for_only_this_process_has_the_keys():
    two = worker(2)
    dtls = next(one.transport for one in LISTENERS if one.transport.is_secure and not one.transport.is_stream)
    alice = two.client(socket=two.server.listening_socket(dtls, next(a for t, a in two.server.addresses if t is dtls)))
    assert alice.code(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, b"\x01" + bytes(7))) == 508


def redirect(serving, port):
    user = serving.client(CLIENT._replace(port=port))
    return told(user.send(user.request(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, b"\x01" + bytes(7)))))


def test_who_is_silent_for_longer_than_any_allocation_lasts_is_a_stranger_again():
    two = worker(2)
    assert redirect(two, 1)
    at = CLIENT._replace(port=1)
    socket = two.client().socket
    for _ in range(3):
        two.at(two.now + KNOWN_FOR - 1)
        assert told(two.feed(socket, (at, b"x" * 40)))
    two.at(two.now + KNOWN_FOR)
    assert not told(two.feed(socket, (at, b"x" * 40)))
    assert len(two.server._elsewhere) == 0
    assert redirect(two, 2)
    two.at(two.now + KNOWN_FOR)
    assert not told(two.feed(socket, (CLIENT._replace(port=2), b"x" * 40)))


def test_a_request_that_was_handed_over_is_answered_by_the_other_process_alone():
    two = worker(2)
    assert redirect(two, 1)
    assert len(two.server._stun._pending) == 0
    assert two.at(two.now + 100.0) == []


def test_clients_elsewhere_are_bounded_by_user_and_in_total_and_the_oldest_makes_room(monkeypatch):
    monkeypatch.setattr(_elsewhere, "MAX_ELSEWHERE_PER_USER", 2)
    two = worker(2)
    for port in (1, 2, 3):
        assert redirect(two, port)
    socket = two.client().socket
    known = [bool(told(two.feed(socket, (CLIENT._replace(port=port), b"x" * 40)))) for port in (1, 2, 3)]
    assert known == [False, True, True]
    monkeypatch.setattr(_elsewhere, "MAX_ELSEWHERE", 2)
    monkeypatch.setattr(_elsewhere, "MAX_ELSEWHERE_PER_USER", 9)
    assert told(two.feed(socket, (CLIENT._replace(port=2), b"x" * 40)))  # so 3 has been silent for longer
    assert redirect(two, 4)
    assert len(two.server._elsewhere) == 2
    known = [bool(told(two.feed(socket, (CLIENT._replace(port=port), b"x" * 40)))) for port in (2, 3, 4)]
    assert known == [True, False, True]


def test_a_second_token_in_the_same_batch_takes_the_place_of_the_first():
    two = worker(2)
    alice = two.client()
    requests = [alice.request(ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, bytes([number]) + bytes(7))) for number in (1, 0)]
    outputs = two.feed(alice.socket, *((CLIENT, request) for request in requests))
    assert [event.worker for event in told(outputs)] == [1, 0]
    assert [event.worker for event in told(alice.send(b"data"))] == [0]
    assert len(two.server._elsewhere) == 1
    two.at(two.now + KNOWN_FOR)
    assert not told(alice.send(b"data"))
    assert not two.server._elsewhere._by_user  # user names may be new ones for ever


def test_a_worker_is_one_of_those_there_are():
    with pytest.raises(ValueError, match="worker: 3 of 3"):
        TurnServerConfig(worker=3, workers=3)
    with pytest.raises(ValueError, match="of 257 is none"):
        attrs.evolve(TurnServerConfig(), workers=257)


def test_no_listener_is_where_nobody_listens():
    two = worker(2)
    assert two.server.listening_socket(UDP, Address(HOST, 1)) is None
