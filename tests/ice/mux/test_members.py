"""Agents and their places: addresses move from one to another, within a bound."""

from ice._mux import ALICE, BOB, CAROL, PORT, credentials
from sansice.ice import AgentId, LiteAgent
from sansice.ice._mux._members import Lane, Member, SharedSocket
from sansice.machine import SocketId, Transport
from sansice.stun import Listener


def shared_socket(number=1):
    return SharedSocket(SocketId(number), Listener(Transport.UDP, PORT))


def member(number, *ufrags):
    agent = LiteAgent(controlling=False, credentials=credentials(number))
    return Member(AgentId(number), agent, ufrags)


def lane(number, shared, owner, stream=0):
    made = Lane(SocketId(number), shared, owner, stream)
    shared.lanes[made.id] = made
    owner.lanes = (*owner.lanes, made)
    return made


def test_address_that_another_proves_leaves_who_had_it():
    shared = shared_socket()
    first, second = lane(10, shared, member(1, (b"one",))), lane(11, shared, member(2, (b"two",)))
    first.learn(ALICE, 8)
    first.learn(BOB, 8)
    second.learn(ALICE, 8)
    assert shared.routes == {ALICE: second, BOB: first}
    assert first.sources == (BOB,) and second.sources == (ALICE,)


def test_place_that_closes_takes_its_own_addresses_with_it_and_no_others():
    shared = shared_socket()
    first, second = lane(10, shared, member(1, (b"one",))), lane(11, shared, member(2, (b"two",)))
    first.learn(ALICE, 8)
    second.learn(ALICE, 8)
    first.learn(BOB, 8)
    first.close(8)
    assert shared.routes == {ALICE: second} and shared.lanes == {11: second} and first.sources == ()


def test_oldest_address_is_forgotten_beyond_the_bound():
    shared = shared_socket()
    one = lane(10, shared, member(1, (b"one",)))
    for source in (ALICE, BOB, CAROL):
        one.learn(source, 2)
    assert list(shared.routes) == [BOB, CAROL]


def test_check_goes_to_the_place_of_its_stream_at_the_socket_that_it_came_to():
    here, there = shared_socket(1), shared_socket(2)
    single = member(1, (b"one", b"old"))
    at_here = lane(10, here, single)
    assert single.lane_at(here, b"one") is at_here and single.lane_at(there, b"one") is None
    double = member(2, (b"one",), (b"two",))
    first, second, other = lane(11, here, double), lane(12, here, double, 1), lane(13, there, double)
    assert double.lane_at(here, b"one") is first and double.lane_at(here, b"two") is second
    assert double.lane_at(there, b"one") is other and double.lane_at(there, b"two") is None
