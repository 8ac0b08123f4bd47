"""`IceMux`: each datagram to its agent and to no other, whatever strangers claim and wherever clients move."""

import pytest

from ice._lite import check_bytes
from ice._mux import ALICE, BOB, CAROL, PORT, STRANGER, WRONG, MuxBench, client, credentials
from ice._wire import at
from sansice.ice import AgentEvent, GatheringCompleted, MuxState
from sansice.machine import SocketId, Transport
from sansice.stun import ListenerOpened, MessageClass, ServerReady

DTLS, RTP, QUIC, ZRTP, CHANNEL = b"\x16dtls", b"\x80rtp", b"\xc0quic", b"\x10zrtp", b"\x40channel"


def two():
    """A bench with two lite agents, whose clients are connected: Alice with the first, Bob with the second."""
    bench = MuxBench()
    names = bench.lite(1), bench.lite(2)
    assert bench.is_accepted(1, ALICE) and bench.is_accepted(2, BOB)
    return bench, *names


# ------------------------------------------------------------- starting


def test_mux_opens_one_socket_for_each_address_and_says_when_all_are_decided():
    bench = MuxBench(PORT, at("2001:db8::1", 0), opened=False)
    assert [wish.bind for wish in bench.opens] == [PORT, at("2001:db8::1", 0)]
    assert all(wish.transport is Transport.UDP and wish.remote is None for wish in bench.opens)
    bench.open_all()
    opened, other, ready = bench.events
    assert isinstance(opened, ListenerOpened) and opened.address == PORT
    assert isinstance(other, ListenerOpened) and other.address.port == 40002
    assert isinstance(ready, ServerReady) and len(ready.addresses) == 2
    assert bench.mux.addresses == (PORT, other.address) and bench.mux.state is MuxState.RUNNING


def test_hundred_agents_gather_without_a_socket_more_and_all_have_the_shared_address():
    bench = MuxBench()
    names = [bench.lite(number) for number in range(50)] + [bench.full(number) for number in range(50, 100)]
    assert bench.opens == []
    for name in names:
        assert [one.address for one in bench.mux.agent(name).local_candidates] == [PORT]
        assert any(isinstance(event, GatheringCompleted) for event in bench.told(name))
    assert bench.mux.agents == tuple(names)


def test_agents_that_are_added_before_the_sockets_open_gather_when_they_do():
    bench = MuxBench(opened=False)
    names = bench.lite(1, known=False), bench.full(2)
    assert not any(bench.told(name) for name in names[:1])
    bench.open_all()
    assert [bench.mux.agent(name).local_candidates[0].address for name in names] == [PORT, PORT]
    assert bench.is_accepted(1, ALICE)


# ------------------------------------------------------------- whose is it


@pytest.mark.req("RFC7983-001")
@pytest.mark.parametrize("data", [DTLS, RTP, ZRTP, CHANNEL, QUIC, b"text"])
def test_all_that_is_not_stun_goes_by_source_and_only_once_a_check_has_come_from_there(data):
    bench = MuxBench()
    first, second = bench.lite(1), bench.lite(2)
    bench.arrive(ALICE, data)
    assert bench.got(first) == bench.got(second) == [] and bench.dropped() == {"UNVALIDATED_SOURCE": 1}
    assert bench.is_accepted(1, ALICE) and bench.is_accepted(2, BOB)
    bench.arrive(ALICE, data)
    bench.arrive(BOB, data, data)
    assert bench.got(first) == [data] and bench.got(second) == [data, data]


def test_batch_of_several_clients_is_parted_in_order():
    bench, first, second = two()
    batch = [(ALICE, b"\x801"), (ALICE, b"\x802"), (BOB, b"\x803"), (STRANGER, b"\x804"), (BOB, b""), (ALICE, b"\x805")]
    bench.call(bench.mux.handle_datagrams, SocketId(1), batch)
    data = [(one.agent, one.event.data) for one in bench.events if isinstance(one, AgentEvent) and hasattr(one.event, "data")]
    assert data == [(first, b"\x801"), (first, b"\x802"), (second, b"\x803"), (first, b"\x805")]
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}
    assert bench.mux.agent(second).stats.dropped.total() == 1  # the empty one is Bob's


def test_data_between_checks_of_one_batch_belongs_to_whom_the_check_before_has_proven():
    bench, first, second = two()
    wire = MuxBench()
    wire.lite(2)
    wire.check(2, CAROL)
    check = check_bytes(900, ours=credentials(2), theirs=client(2).ufrag)
    batch = [(CAROL, b"\x80early"), (ALICE, b"\x80a"), (CAROL, check), (CAROL, b"\x80c")]
    bench.call(bench.mux.handle_datagrams, SocketId(1), batch)
    assert bench.got(first) == [b"\x80a"] and bench.got(second) == [b"\x80c"]


def test_wrong_password_from_the_right_address_moves_nothing():
    bench, first, second = two()
    answer = bench.check(2, ALICE, key=WRONG)
    assert answer.message_class is MessageClass.ERROR and not answer.has_integrity
    bench.arrive(ALICE, b"\x80still")
    assert bench.got(first) == [b"\x80still"] and bench.got(second) == []


def test_address_that_two_agents_prove_goes_to_the_later_one():
    bench, first, second = two()
    assert bench.is_accepted(2, ALICE, nominate=False)
    bench.arrive(ALICE, b"\x80second")
    assert bench.is_accepted(1, ALICE)
    bench.arrive(ALICE, b"\x80first")
    assert bench.got(second) == [b"\x80second"] and bench.got(first) == [b"\x80first"]


def test_client_that_moves_is_followed_and_nobody_else_has_the_address_that_it_left():
    bench, first, second = two()
    assert bench.is_accepted(1, CAROL, nominate=False)
    bench.arrive(CAROL, b"\x80moved")
    bench.arrive(ALICE, b"\x80late")
    assert bench.got(first) == [b"\x80moved", b"\x80late"] and bench.got(second) == []


def test_refused_nomination_is_proof_for_it_was_signed():
    bench, first, _ = two()
    answer = bench.check(1, CAROL)
    assert answer.message_class is MessageClass.ERROR and answer.has_integrity
    bench.arrive(CAROL, b"\x80moved")
    assert bench.got(first) == [b"\x80moved"]
