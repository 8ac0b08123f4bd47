"""Storms: whoever asks for much, or pretends to be many, gets what is documented; and an honest flow loses nothing meanwhile."""

import random

import pytest

from _flood import bytes_held, spoofed
from _turn_serving import (
    CLIENT,
    HOST,
    LISTENERS,
    OF,
    PEER,
    START,
    TCP_RELAY,
    UDP,
    UDP_RELAY,
    TurnServing,
    long_term,
    sent_to_peers,
)
from sansice.machine import Address, CloseSocket, DropReason, SendStream, SetReading, SocketErrorKind
from sansice.stun import (
    CHANNEL_NUMBER,
    LIFETIME,
    USERNAME,
    XOR_PEER_ADDRESS,
    MessageClass,
    Method,
    StunServerConfig,
    encode,
    long_term_key,
)
from sansice.turn import ResourcesExhausted, TurnLimits, encode_channel_data

HONEST = Address("203.0.113.99", 9)
SOURCES = 250_000
BATCH = 500
ALLOWED = 2_000_000  # bytes, as for a STUN server


class Flow:
    """Somebody who relays, and looks whether everything arrives."""

    def __init__(self, serving):
        self.user = serving.client(HONEST, user="bob")
        self.user.allocate()
        assert self.user.bind(0x4000, PEER) == 0

    def check(self):
        outputs = self.user.send(encode_channel_data(0x4000, b"to the peer"))
        assert sent_to_peers(outputs, self.user.relays[0]) == [(PEER, b"to the peer")]
        assert self.user.hear(PEER, b"from the peer") == [encode_channel_data(0x4000, b"from the peer")]

    def refresh(self):
        assert self.user.code(Method.REFRESH) == 0
        assert self.user.bind(0x4000, PEER) == 0


@pytest.mark.long
def test_a_quarter_of_a_million_spoofed_sources_leave_nothing_and_take_nothing_from_who_is_here():
    draw = random.Random(8656)
    authentication = long_term(entropy=draw.randbytes)
    serving = TurnServing(policy={"stun": StunServerConfig()}, authentication=authentication, entropy=draw.randbytes)
    flow = Flow(serving)
    key = long_term_key("alice", "example.org", "guessed")
    kinds = [
        encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY, (USERNAME, "alice")], key=key),
        encode(Method.REFRESH, MessageClass.REQUEST, bytes(12), [(LIFETIME, 0)]),
        encode(Method.SEND, MessageClass.INDICATION, bytes(12), [(XOR_PEER_ADDRESS, PEER)]),
        encode_channel_data(0x4000, b"whose?"),
        encode(Method.BINDING, MessageClass.REQUEST, bytes(12)),
        *[encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY])] * 25,
    ]
    before = bytes_held(serving.server)
    for number in range(SOURCES // BATCH):
        serving.now += BATCH / 100_000  # a hundred thousand a second
        serving.server.handle_datagrams(OF[UDP], [spoofed(draw, kinds[number % 30]) for _ in range(BATCH)], now=serving.now)
        serving.server.take_outputs()
        if number % 50 == 0:
            flow.check()
    flow.refresh()
    assert len(serving.allocations()) == 1
    assert bytes_held(serving.server) - before < ALLOWED


def test_a_storm_of_allocations_ends_at_the_users_bound_and_the_rest_is_for_others():
    serving = TurnServing(limits=TurnLimits(allocations=60, allocations_per_user=50))
    flow = Flow(serving)
    codes = [serving.client(CLIENT._replace(port=2000 + number)).code(Method.ALLOCATE, UDP_RELAY) for number in range(200)]
    assert codes == [0] * 50 + [486] * 150
    flow.check()
    others = [
        serving.client(CLIENT._replace(port=4000 + number), user="bob").code(Method.ALLOCATE, UDP_RELAY) for number in range(20)
    ]
    assert others == [0] * 9 + [508] * 11
    flow.check()
    flow.refresh()


def test_a_storm_of_allocations_that_are_deleted_at_once_leaks_neither_ports_nor_quota():
    serving = TurnServing(policy={"relay_ports": (50000, 50009)}, limits=TurnLimits(allocations_per_user=5))
    for number in range(300):
        user = serving.client(CLIENT._replace(port=2000 + number))
        user.allocate()
        assert user.code(Method.REFRESH, (LIFETIME, 0)) == 0
    assert serving.allocations() == ()
    flow = Flow(serving)
    flow.check()


def test_allocations_that_the_system_never_answers_are_bounded_too():
    serving = TurnServing(limits=TurnLimits(allocations_per_user=20))
    flow = Flow(serving)
    serving.holding = True
    for number in range(100):
        user = serving.client(CLIENT._replace(port=2000 + number))
        user.send(user.request(Method.ALLOCATE, UDP_RELAY))
    waiting = [socket for socket, asked in serving.opened.items() if asked.bind.port >= 49152]
    assert len(waiting) == 1 + 20
    flow.check()


def test_ports_that_run_out_are_a_508_and_those_who_have_one_keep_it():
    serving = TurnServing(policy={"relay_ports": (50000, 50003)})
    flow = Flow(serving)
    codes = [serving.client(CLIENT._replace(port=2000 + number)).code(Method.ALLOCATE, UDP_RELAY) for number in range(6)]
    assert codes == [0, 0, 0, 508, 508, 508]
    flow.check()
    flow.refresh()


def test_a_system_without_descriptors_is_a_508_that_is_told_and_those_who_are_here_are_served():
    serving = TurnServing(policy={"relay_ports": (50000, 50003)})
    flow = Flow(serving)
    serving.refused = {Address(HOST, port): SocketErrorKind.NO_RESOURCES for port in range(50000, 50004)}
    user = serving.client()
    data = user.request(Method.ALLOCATE, UDP_RELAY)
    outputs = user.send(data)
    assert [type(output) for output in outputs if isinstance(output, ResourcesExhausted)] == [ResourcesExhausted]
    assert user.answers(outputs)[0][:2] == b"\x01\x13"
    flow.check()
    flow.refresh()


def test_a_storm_of_permissions_ends_at_the_bounds_of_the_allocation_and_of_the_user():
    limits = TurnLimits(permissions_per_allocation=30, permissions_per_user=50, permissions=1000)
    serving = TurnServing(limits=limits)
    flow = Flow(serving)
    users = [serving.client(CLIENT._replace(port=2000 + number)) for number in range(3)]
    installed = []
    for user in users:
        user.allocate()
        codes = [user.permit(Address(f"8.8.{number}.1", 1)) for number in range(100)]
        assert set(codes) <= {0, 508}
        installed.append(codes.count(0))
    assert installed == [30, 20, 0]
    before = bytes_held(serving.server)
    for number in range(100):
        users[2].permit(Address(f"8.9.{number}.1", 1))
    assert bytes_held(serving.server) - before < 20_000
    flow.check()


def test_one_request_with_very_many_permissions_installs_all_or_none():
    serving = TurnServing(limits=TurnLimits(permissions_per_allocation=10))
    user = serving.client()
    user.allocate()
    assert user.permit(*(Address(f"8.8.{number}.1", 1) for number in range(11))) == 508
    assert user.hear(Address("8.8.0.1", 1), b"x") == []
    assert user.permit(*(Address(f"8.8.{number}.1", 1) for number in range(10))) == 0


def test_a_storm_of_channels_ends_at_its_bounds():
    serving = TurnServing(limits=TurnLimits(channels_per_allocation=20))
    flow = Flow(serving)
    user = serving.client()
    user.allocate()
    codes = [user.bind(0x4000 + number, Address(f"8.8.{number}.1", 1)) for number in range(40)]
    assert codes == [0] * 20 + [508] * 20
    flow.check()


def test_a_storm_of_connects_opens_so_many_sockets_and_no_more():
    limits = TurnLimits(pending_connects_per_user=5, pending_connects=8)
    serving = TurnServing(policy={"tcp_relay": True}, limits=limits)
    flow = Flow(serving)
    serving.holding = True
    opened = {}
    for name in ("alice", "bob"):
        user = serving.stream(user=name)
        serving.holding = False
        assert user.code(Method.ALLOCATE, TCP_RELAY) == 0
        serving.holding = True
        before = len(serving.opened)
        for number in range(50):
            user.send(user.request(Method.CONNECT, (XOR_PEER_ADDRESS, Address(f"8.8.{number}.1", 80))))
        opened[name] = len(serving.opened) - before
    assert opened == {"alice": 5, "bob": 3}
    flow.check()


def test_a_client_that_never_reads_is_dropped_for_and_never_queued_for():
    serving = TurnServing(policy={"max_unsent": 10_000})
    flow = Flow(serving)
    slow = serving.stream()
    slow.allocate()
    assert slow.bind(0x4000, PEER) == 0
    queued = 0
    for _ in range(500):
        outputs = serving.feed(slow.relays[0], (PEER, bytes(1000)))
        queued += sum(len(output.data) for output in outputs if type(output) is SendStream)
        serving.server.handle_stream_sent(slow.socket, queued, now=serving.now)
    assert queued <= 10_000 + 1004
    assert serving.stats.dropped[DropReason.QUEUE_FULL] >= 480
    flow.check()


def test_a_client_that_asks_and_never_reads_is_not_read():
    serving = TurnServing()
    flow = Flow(serving)
    slow = serving.stream()
    slow.allocate()
    outputs = []
    serving.server.handle_stream_sent(slow.socket, 10**7, now=serving.now)
    outputs += serving.take()
    assert SetReading(slow.socket, False) in outputs
    flow.check()


def test_streams_that_say_nothing_are_closed_and_one_prefix_has_not_all_of_them():
    stun = StunServerConfig(rate=None, max_connections=50, max_connections_per_prefix=20)
    serving = TurnServing(policy={"stun": stun})
    flow = Flow(serving)
    for number in range(100):
        serving.stream(Address("192.0.2.7", 1000 + number))
    assert serving.stats.stun.connections == 20
    for number in range(100):
        serving.stream(Address(f"192.0.{100 + number}.7", 1000))
    assert serving.stats.stun.connections == 50
    closed = [output for _, output in serving.at(START + 60) if type(output) is CloseSocket]
    assert len(closed) >= 50
    assert serving.stats.stun.connections == 0
    flow.check()


@pytest.mark.parametrize("size", [160, 1200])
def test_one_user_over_his_bandwidth_takes_nothing_from_another(size):
    serving = TurnServing(limits=TurnLimits(bytes_per_second_per_user=100_000))
    flow = Flow(serving)
    greedy = serving.client()
    greedy.allocate()
    assert greedy.bind(0x4000, PEER) == 0
    relayed = 0
    for tick in range(100):
        serving.now = START + tick / 100
        outputs = serving.feed(OF[UDP], *[(greedy.address, encode_channel_data(0x4000, bytes(size)))] * 50)
        relayed += sum(len(data) for _, data in sent_to_peers(outputs, greedy.relays[0]))
        if tick % 10 == 0:
            flow.check()
    assert 190_000 < relayed <= 200_000
    assert serving.stats.dropped[DropReason.BANDWIDTH] > 0


def test_after_all_storms_nothing_is_left():
    serving = TurnServing(listeners=LISTENERS[:1])
    for number in range(50):
        user = serving.client(CLIENT._replace(port=2000 + number))
        user.allocate()
        for peer in range(5):
            user.code(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4000 + peer), (XOR_PEER_ADDRESS, PEER._replace(port=1 + peer)))
    serving.at(START + 7200)
    assert serving.allocations() == ()
    assert serving.server.deadline() == float("inf")
