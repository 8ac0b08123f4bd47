"""Clients that move: the tickets, the two places where they are for a while, and the rules of RFC 8016 3."""

import attrs
import pytest

from sansice.machine import Address, SendDatagram, SendStream, SocketId, Transport
from sansice.stun import (
    DATA,
    MOBILITY_TICKET,
    XOR_PEER_ADDRESS,
    AddressFamily,
    MessageClass,
    Method,
    Path,
    TransactionId,
    decode_untrusted,
    encode,
)
from sansice.turn import DEFAULT_PEER_POLICY, TurnLimits, TurnServerConfig, TurnServerStats
from sansice.turn._server._allocation import TCP_PROTOCOL, UDP_PROTOCOL, Allocation, AllocationId, Channel, Permission, Relay
from sansice.turn._server._limits import Quotas
from sansice.turn._server._mobility import NOBODY_READS, OLD_TICKET_LIFETIME, Mobility
from sansice.turn._server._own import OwnAddresses
from sansice.turn._server._refusal import BAD_REQUEST, MISMATCH, MOBILITY_FORBIDDEN, WRONG_CREDENTIALS
from sansice.turn._server._relay import DataPath
from sansice.turn._server._tickets import TICKET_KEY, TICKET_LENGTH, Ticket, Tickets

UDP, TCP, TLS, DTLS = Transport
LISTENER = SocketId(1)
HOME = Path(LISTENER, Address("198.51.100.7", 40_000), UDP)
ROAD = Path(LISTENER, Address("203.0.113.9", 50_000), UDP)
ELSEWHERE = Path(LISTENER, Address("203.0.113.10", 50_001), UDP)
PEER = Address("203.0.113.99", 9)
NOW = 100.0
TRANSACTION = TransactionId(bytes(12))
KEY = bytes(TICKET_KEY)


class Draws:
    """Entropy that never repeats."""

    def __init__(self, count=0):
        self.count = count

    def __call__(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big")


class World:
    """A mobile client of alice's at `HOME` with the channel 0x4000 to `PEER`."""

    def __init__(self, path=HOME, protocol=UDP_PROTOCOL, *, enabled=True, draws=None):
        self.quotas = Quotas(TurnLimits())
        self.left = []
        self.data = DataPath(
            TurnServerConfig(), TurnServerStats(), entropy=Draws(), own=OwnAddresses(DEFAULT_PEER_POLICY), arrive=self.arrive
        )
        self.allocations = {}
        self.tickets = Tickets(KEY, entropy=draws if draws is not None else Draws())
        self.mobility = Mobility(self.tickets, self.allocations, self.data, enabled=enabled)
        self.allocation = self.allocate(path, protocol)
        self.mobility.enroll(self.allocation)
        self.mobile = self.allocation.mobile

    def arrive(self, allocation, now):
        self.left.append(self.mobility.arrive(allocation.mobile))

    def allocate(self, path, protocol=UDP_PROTOCOL):
        id = AllocationId(len(self.allocations) + 1)
        allocation = Allocation(id, path, TRANSACTION, "alice", self.quotas.user("alice", now=NOW), protocol=protocol)
        local = Address("192.0.2.1", 50_000 + id)
        relay = Relay(allocation, AddressFamily.IPV4, SocketId(10 + id), local, local, NOW + 600)
        allocation.relays[AddressFamily.IPV4] = self.data.relays[relay.socket] = relay
        relay.permissions[PEER.host] = Permission(relay, PEER.host, is_own=False)
        channel = Channel(relay, 0x4000, PEER, is_own=False)
        allocation.channels[channel.header] = relay.channels[PEER] = channel
        self.allocations[id] = allocation
        self.data.add(allocation)
        return allocation

    def refresh(self, path, ticket=None, username="alice", now=NOW):
        """What comes of a Refresh request with a ticket: the new ticket, or a refusal."""
        request = asking(Method.REFRESH, self.mobile.ticket if ticket is None else ticket)
        read = self.mobility.read(request)
        if not isinstance(read, Ticket):
            return read
        mobile = self.mobility.judge_refresh(read, path, username, now=now)
        if mobile is not self.mobile:
            return mobile
        self.mobility.move(mobile, read, path, now=now)
        return mobile.ticket

    def from_client(self, path, data):
        outputs = []
        self.data.from_client(path.socket, [(path.remote, data)], 0, outputs, now=NOW)
        return outputs

    def to_client(self):
        """Where data of the peer's goes."""
        outputs = []
        (relay,) = self.allocation.relays.values()
        self.data.from_peer(relay, [(PEER, b"data")], outputs, now=NOW)
        return [output.destination if isinstance(output, SendDatagram) else output.socket for output in outputs]


def asking(method, ticket):
    return decode_untrusted(encode(method, MessageClass.REQUEST, TRANSACTION, [(MOBILITY_TICKET, ticket)]))


CHANNEL_DATA = b"\x40\x00\x00\x04data"
SEND = encode(Method.SEND, MessageClass.INDICATION, TRANSACTION, [(XOR_PEER_ADDRESS, PEER), (DATA, b"data")])
REFRESH = encode(Method.REFRESH, MessageClass.REQUEST, TRANSACTION)


# ------------------------------------------------------------------- Allocate


@pytest.mark.req("RFC8016-002")
@pytest.mark.parametrize(
    ("ticket", "enabled", "expected"), [(b"", True, True), (b"", False, MOBILITY_FORBIDDEN), (b"x", True, BAD_REQUEST)]
)
def test_an_empty_ticket_in_an_allocate_asks_for_mobility_and_one_that_is_not_is_a_400(ticket, enabled, expected):
    mobility = World(enabled=enabled).mobility
    assert mobility.judge_allocate(asking(Method.ALLOCATE, ticket), HOME, authenticated=True) == expected


@pytest.mark.req("RFC8016-002")
def test_a_ticket_that_is_not_empty_is_a_400_even_where_nobody_may_move():
    assert World(enabled=False).mobility.judge_allocate(asking(Method.ALLOCATE, b"x"), HOME, authenticated=True) is BAD_REQUEST


def test_who_does_not_ask_is_not_mobile():
    request = decode_untrusted(encode(Method.ALLOCATE, MessageClass.REQUEST, TRANSACTION))
    assert World().mobility.judge_allocate(request, HOME, authenticated=True) is False


@pytest.mark.parametrize(
    ("transport", "expected"), [(UDP, MOBILITY_FORBIDDEN), (TCP, MOBILITY_FORBIDDEN), (TLS, True), (DTLS, True)]
)
def test_without_credentials_only_a_secure_path_makes_sure_who_moves(transport, expected):
    path = attrs.evolve(HOME, transport=transport)
    assert World().mobility.judge_allocate(asking(Method.ALLOCATE, b""), path, authenticated=False) == expected


# ------------------------------------------------------------------- Refresh


def test_a_refresh_without_a_ticket_is_no_move():
    assert World().mobility.read(decode_untrusted(REFRESH)) is None


@pytest.mark.req("RFC8016-005")
def test_a_ticket_is_of_no_use_where_nobody_may_move_any_more():
    assert World(enabled=False).refresh(ROAD) is MOBILITY_FORBIDDEN


@pytest.mark.req("RFC8016-005", "RFC8016-010")
@pytest.mark.parametrize("place", range(TICKET_LENGTH))
def test_a_ticket_with_one_bit_changed_is_a_400(place):
    world = World()
    ticket = bytearray(world.mobile.ticket)
    ticket[place] ^= 1
    assert world.refresh(ROAD, bytes(ticket)) is BAD_REQUEST


@pytest.mark.req("RFC8016-005")
def test_an_empty_ticket_in_a_refresh_is_a_400():
    assert World().refresh(ROAD, b"") is BAD_REQUEST


@pytest.mark.req("RFC8016-005")
def test_a_ticket_of_an_allocation_that_is_gone_or_not_mobile_is_a_437():
    world = World()
    other = world.allocate(ELSEWHERE)
    assert world.refresh(ROAD, world.tickets.issue(other.id)) is MISMATCH
    del world.allocations[world.allocation.id]
    assert world.refresh(ROAD) is MISMATCH


@pytest.mark.req("RFC8016-005")
def test_a_ticket_from_before_a_restart_moves_no_allocation_that_has_the_same_id_now():
    before, after = World(), World(draws=Draws(1000))
    assert before.mobile.allocation.id == after.mobile.allocation.id
    assert after.refresh(ROAD, before.mobile.ticket) is BAD_REQUEST
    old = before.mobile.ticket
    before.refresh(ROAD)
    after.refresh(ROAD)
    assert after.refresh(ELSEWHERE, before.mobile.ticket) is BAD_REQUEST
    assert after.refresh(ROAD, old) is BAD_REQUEST  # and it is not taken for a repeated request either


@pytest.mark.req("RFC8016-005")
def test_a_ticket_of_another_worker_moves_no_allocation_that_has_the_same_id_here():
    world = World()
    assert world.refresh(ROAD, Tickets(KEY, worker=1).issue(world.allocation.id)) is MISMATCH


@pytest.mark.req("RFC8016-005")
def test_a_ticket_from_the_5_tuple_that_it_belongs_to_is_a_400_before_and_after_a_move():
    world = World()
    assert world.refresh(HOME) is BAD_REQUEST
    world.refresh(ROAD)
    assert world.refresh(ROAD) is BAD_REQUEST
    world.from_client(ROAD, CHANNEL_DATA)
    assert world.refresh(ROAD) is BAD_REQUEST


@pytest.mark.req("RFC8016-005")
def test_a_ticket_of_another_user_is_a_441():
    world = World()
    assert world.refresh(ROAD, username="mallory") is WRONG_CREDENTIALS
    assert world.data.arriving == {}


def test_a_ticket_from_a_5_tuple_with_an_allocation_of_its_own_is_a_437():
    world = World()
    world.allocate(ROAD)
    assert world.refresh(ROAD) is MISMATCH


@pytest.mark.parametrize(("transport", "moves"), [(UDP, False), (DTLS, False), (TCP, True), (TLS, True)])
def test_a_tcp_allocation_moves_to_a_stream_only(transport, moves):
    world = World(Path(SocketId(-1), HOME.remote, TCP), TCP_PROTOCOL)
    result = world.refresh(Path(SocketId(-2), ROAD.remote, transport))
    assert (result is not BAD_REQUEST) is moves


@pytest.mark.req("RFC8016-006")
def test_a_move_gives_another_ticket_that_has_nothing_in_common_with_the_old_one():
    world = World()
    before = world.mobile.ticket
    after = world.refresh(ROAD)
    assert after != before
    assert len(after) == len(before)
    assert sum(a == b for a, b in zip(before, after, strict=True)) < TICKET_LENGTH / 2


@pytest.mark.req("RFC8016-008")
def test_the_old_ticket_is_a_repeated_request_for_30_seconds_and_changes_nothing():
    world = World()
    old = world.mobile.ticket
    new = world.refresh(ROAD, now=NOW)
    assert OLD_TICKET_LIFETIME >= 30
    assert world.refresh(ROAD, old, now=NOW + 29.9) == new
    world.from_client(ROAD, CHANNEL_DATA)
    assert world.refresh(ROAD, old, now=NOW + 29.9) == new
    assert world.refresh(ROAD, old, now=NOW + 30.0) is BAD_REQUEST
    assert world.left == [HOME]


@pytest.mark.req("RFC8016-005")
def test_an_old_ticket_moves_nobody():
    world = World()
    old = world.mobile.ticket
    world.refresh(ROAD)
    assert world.refresh(ELSEWHERE, old) is BAD_REQUEST
    newer = world.mobile.ticket
    world.refresh(ELSEWHERE)
    assert world.refresh(ROAD, old) is BAD_REQUEST
    assert world.refresh(ROAD, newer) is BAD_REQUEST


# ------------------------------------------------------------------- two places


@pytest.mark.req("RFC8016-007")
@pytest.mark.parametrize("data", [CHANNEL_DATA, SEND])
def test_data_goes_to_the_old_5_tuple_until_data_comes_from_the_new_one(data):
    world = World()
    world.refresh(ROAD)
    assert world.to_client() == [HOME.remote]
    assert len(world.from_client(HOME, CHANNEL_DATA)) == 1
    assert world.to_client() == [HOME.remote]
    (sent,) = world.from_client(ROAD, data)
    assert (sent.destination, sent.data) == (PEER, b"data")
    assert world.to_client() == [ROAD.remote]
    assert world.left == [HOME]
    assert world.from_client(HOME, CHANNEL_DATA) == []
    assert world.data.find(HOME.socket, HOME.remote) is None


@pytest.mark.req("RFC8016-006")
def test_requests_are_served_at_both_and_make_nobody_arrive():
    world = World()
    world.refresh(ROAD)
    outputs = []
    batch = [(ROAD.remote, REFRESH), (ROAD.remote, CHANNEL_DATA)]
    assert world.data.from_client(LISTENER, batch, 0, outputs, now=NOW) == (0, 1)
    assert world.data.find(HOME.socket, HOME.remote) is world.data.find(ROAD.socket, ROAD.remote) is world.allocation
    assert world.left == []


@pytest.mark.req("RFC8016-006")
def test_channels_and_permissions_move_along():
    world = World()
    before = dict(world.allocation.channels)
    world.refresh(ROAD)
    world.from_client(ROAD, CHANNEL_DATA)
    assert world.allocation.channels == before
    (sent,) = world.from_client(ROAD, SEND)
    assert sent.data == b"data"


def test_data_of_a_stranger_makes_nobody_arrive():
    world = World()
    world.refresh(ROAD)
    assert world.from_client(ELSEWHERE, CHANNEL_DATA) == []
    assert world.from_client(Path(SocketId(2), ROAD.remote, UDP), SEND) == []
    assert world.left == []


def test_a_client_that_turns_back_is_where_it_was():
    world = World()
    world.refresh(ROAD)
    assert isinstance(world.refresh(HOME), bytes)
    assert world.mobile.arriving is None
    assert world.data.arriving == {}
    assert world.data.find(ROAD.socket, ROAD.remote) is None
    assert isinstance(world.refresh(ROAD), bytes)


def test_a_client_that_moves_on_before_it_arrived_is_expected_at_one_place():
    world = World()
    for port in range(1, 1000):
        world.refresh(Path(LISTENER, Address("203.0.113.9", port), UDP))
    assert list(world.data.arriving[LISTENER]) == [Address("203.0.113.9", 999)]


def test_an_allocation_that_ends_on_the_move_leaves_nothing():
    world = World()
    world.refresh(ROAD)
    world.data.remove(world.allocation)
    assert (world.data.clients, world.data.arriving) == ({}, {})


def test_nobody_arrives_who_is_not_on_the_move():
    world = World()
    assert world.mobility.arrive(world.mobile) is None
    assert world.data.find(HOME.socket, HOME.remote) is world.allocation


# ------------------------------------------------------------------- streams

STREAM = Path(SocketId(-1), HOME.remote, TCP)
NEW_STREAM = Path(SocketId(-2), ROAD.remote, TLS)


def test_a_stream_that_closes_is_waited_for_and_nothing_is_queued_for_it():
    world = World(STREAM)
    assert world.mobility.leave(world.allocation, STREAM)
    assert world.allocation.unsent == NOBODY_READS
    assert world.to_client() == []
    world.refresh(NEW_STREAM)
    assert world.to_client() == []
    assert world.mobility.arrive(world.mobile) == STREAM
    assert world.to_client() == [NEW_STREAM.socket]


def test_a_new_stream_that_closes_before_anything_came_is_forgotten():
    world = World(STREAM)
    world.refresh(NEW_STREAM)
    assert world.mobility.leave(world.allocation, NEW_STREAM)
    assert world.data.arriving == {}
    assert world.to_client() == [STREAM.socket]


@pytest.mark.req("RFC8016-007")
def test_the_end_of_the_old_stream_is_an_arrival():
    world = World(STREAM)
    world.refresh(NEW_STREAM)
    assert world.mobility.leave(world.allocation, STREAM)
    assert world.allocation.unsent == 0
    assert world.mobility.arrive(world.mobile) == STREAM
    outputs = []
    (relay,) = world.allocation.relays.values()
    world.data.from_peer(relay, [(PEER, b"data")], outputs, now=NOW)
    assert outputs == [SendStream(NEW_STREAM.socket, CHANNEL_DATA)]


def test_who_is_not_mobile_has_one_stream():
    world = World(STREAM)
    world.allocation.mobile = None
    assert not world.mobility.leave(world.allocation, STREAM)
