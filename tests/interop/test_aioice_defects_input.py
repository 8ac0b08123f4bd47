"""Defects measured in aioice 0.13.0, in what it takes from the network and from its caller: each with a test that we pass."""

from __future__ import annotations

import contextlib
import math
import random
import socket

import attrs
import pytest
import trio
import trio.testing

from interop._world import (
    A_HOST,
    B_HOST,
    STRANGER_HOST,
    ScriptedPeer,
    answers,
    both_selected,
    candidate,
    check_of,
    connect,
    describe,
    make_end,
    make_pair,
    silence,
    talk,
)
from sansice import Address, DropReason
from sansice.ice import (
    Candidate,
    CandidateGathered,
    Closed,
    Credentials,
    GatheringCompleted,
    IceAgent,
    IceClosed,
    IceServer,
    IceState,
    PairState,
    ServerFailed,
    WouldBlock,
)
from sansice.simulation import Network
from sansice.stun import (
    ERROR_CODE,
    PRIORITY,
    UNKNOWN_ATTRIBUTES,
    USERNAME,
    Attribute,
    MessageClass,
    Method,
    TransactionId,
    encode,
    is_stun,
    shapes,
    short_term_key,
)
from sansice_trio import open_ice

HANG = 20  # seconds after which a test that waits for a real socket is stuck
TID = TransactionId(bytes(range(12)))
STRANGER = Address(STRANGER_HOST, 5000)


def feed(end, source, *datagrams):
    """Datagrams that arrive at an end's first candidate from ``source`` now."""
    end.node.driver.datagrams(end.socket, [(source, data) for data in datagrams])


def connected(**options):
    net = Network(latency=0.01, trace=1000, **options)
    a, b = make_pair(net)
    connect(net, a, b)
    return net, a, b


# Datagrams that are no STUN


def test_empty_datagram_is_counted_and_reaches_nobody_whoever_sent_it():
    # aioice's recv() returned b"", on which the DTLS above it died.
    net, a, b = connected()
    feed(a, STRANGER, b"")
    feed(a, b.address, b"")
    assert (a.received(), a.dropped(DropReason.EMPTY)) == ([], 2)
    assert talk(net, a, b)


def test_data_of_a_stranger_is_dropped_before_and_after_connecting():
    # aioice's recv() gave out both.
    net = Network(latency=0.01)
    a, b = make_pair(net)
    feed(a, STRANGER, b"hello")
    connect(net, a, b)
    feed(a, STRANGER, b"hello again")
    assert (a.received(), a.dropped(DropReason.UNVALIDATED_SOURCE)) == ([], 2)
    assert talk(net, a, b)


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("80010000") + bytes(16),  # aioice swallowed this one
        bytes.fromhex("00010000") + bytes(16),  # a Binding request of RFC 3489, but without the cookie it is data
        bytes.fromhex("16fefd0000000000000000") + bytes(50),
        bytes.fromhex("80e0000100000001"),
        b"\xff",
        bytes(20),
    ],
)
def test_application_data_is_not_mistaken_for_stun(data):
    net, a, b = connected()
    a.send(data)
    net.run(until=net.now + 1)
    assert b.received() == [data]


# Datagrams that claim to be STUN


def mutations(request: bytes) -> dict[str, tuple[bytes, DropReason]]:
    """What aioice parsed as valid Binding requests, made from one that is."""
    wrong_length = request[:2] + (6).to_bytes(2, "big") + request[4:26]
    overrun = bytearray(request)
    overrun[22:24] = (0x7000).to_bytes(2, "big")
    return {
        "cookie of zeros": (request[:4] + bytes(4) + request[8:], DropReason.UNVALIDATED_SOURCE),
        "top bits set": (b"\xc0" + request[1:], DropReason.UNVALIDATED_SOURCE),
        "attribute past the end": (bytes(overrun), DropReason.BAD_ATTRIBUTE),
        "length not a multiple of four": (wrong_length, DropReason.BAD_LENGTH),
        "length that is too short": (request[:2] + (4).to_bytes(2, "big") + request[4:], DropReason.BAD_LENGTH),
        "length that is too long": (request[:2] + (400).to_bytes(2, "big") + request[4:], DropReason.BAD_LENGTH),
        "wrong fingerprint": (request[:-1] + bytes([request[-1] ^ 1]), DropReason.BAD_FINGERPRINT),
        "truncated": (request[:21], DropReason.BAD_LENGTH),
    }


@pytest.mark.parametrize("name", list(mutations(check_of(Credentials("from", "x" * 22), Credentials("to++", "y" * 22)))))
def test_malformed_request_is_dropped_and_counted_and_not_answered(name):
    net = Network(latency=0.01, trace=1000)
    a, b = make_pair(net)
    data, reason = mutations(check_of(b.agent.credentials, a.agent.credentials))[name]
    feed(a, STRANGER, data)
    net.run(until=1)
    assert (answers(net, "A"), a.agent.stats.dropped) == ([], {reason: 1})
    connect(net, a, b)
    assert talk(net, a, b)


def test_no_well_framed_nonsense_escapes_as_an_exception_or_an_answer():
    # Of such messages 26 % ended in a struct.error of aioice's, in the event loop.
    net, a, b = connected()
    draw = random.Random("well-framed").randbytes
    sent_before = len(answers(net, "A"))
    for _ in range(5000):
        body = b"".join(
            draw(2) + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
            for value in (draw(draw(1)[0] % 24) for _ in range(draw(1)[0] % 6))
        )
        message = bytes([draw(1)[0] & 1, draw(1)[0]]) + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + draw(12) + body
        assert is_stun(message)
        feed(a, STRANGER, message)
        feed(a, b.address, message)
    # All were dropped, but for a few whose random bytes made an empty keepalive (RFC 8445 11).
    assert 9900 < sum(a.agent.stats.dropped.values()) <= 10000
    assert (len(answers(net, "A")), a.received()) == (sent_before, [])
    assert talk(net, a, b)


# Requests that are well-formed and wrong

UNKNOWN = [(Attribute(code, f"UNKNOWN-{code:#x}", shapes.OPAQUE), b"x") for code in (0x7777, 0x7778)]


def ask(request_of, *, trace=100):
    """Have a scripted peer send a request, and return the agent's network, the agent, the peer and the answers."""
    net = Network(latency=0.01, trace=trace)
    a = make_end(net, "A", A_HOST, controlling=False)
    peer = ScriptedPeer(B_HOST, silence)
    net.host("B", B_HOST).run(peer)
    a.set_remote(peer.description)
    feed(a, peer.address, request_of(peer.credentials, a.agent.credentials))
    return a, answers(net, "A")


@pytest.mark.req("RFC8489-046")
def test_request_with_unknown_required_attributes_is_answered_420_with_their_numbers():
    # aioice answered success.
    a, (answer,) = ask(lambda peer, agent: check_of(peer, agent, extra=UNKNOWN))
    assert (answer.get(ERROR_CODE).code, answer.get(UNKNOWN_ATTRIBUTES)) == (420, (0x7777, 0x7778))
    assert answer.verify(short_term_key(a.agent.credentials.pwd))
    assert a.agent.stats.dropped == {DropReason.UNKNOWN_ATTRIBUTE: 1}


def test_request_without_priority_is_answered_400():
    # aioice answered success, and raised KeyError into the event loop.
    a, (answer,) = ask(lambda peer, agent: check_of(peer, agent, without=[PRIORITY]))
    assert (answer.message_class, answer.get(ERROR_CODE).code) == (MessageClass.ERROR, 400)
    assert a.agent.stats.dropped == {DropReason.MISSING_ATTRIBUTE: 1}


def test_request_without_fingerprint_is_no_check_and_gets_no_answer():
    a, answered = ask(lambda peer, agent: check_of(peer, agent, fingerprint=False))
    assert (answered, a.agent.stats.dropped) == ([], {DropReason.BAD_FINGERPRINT: 1})


def test_bare_request_of_20_bytes_from_a_stranger_is_not_answered():
    # aioice answered 48 bytes: a reflector that makes 2.4 of one.
    a, answered = ask(lambda peer, agent: encode(Method.BINDING, MessageClass.REQUEST, TID))
    assert (answered, a.agent.stats.dropped) == ([], {DropReason.BAD_FINGERPRINT: 1})


def test_unauthenticated_requests_get_back_hardly_more_than_they_bring():
    bare = encode(Method.BINDING, MessageClass.REQUEST, TID, fingerprint=True)
    name = (USERNAME, "nobody:else")
    forged = encode(Method.BINDING, MessageClass.REQUEST, TID, [name], key=short_term_key("wrong"), fingerprint=True)
    for request in (bare, forged):
        a, (answer,) = ask(lambda peer, agent, request=request: request)
        assert len(answer.data) <= 36
        assert len(answer.data) <= 1.3 * len(request)
        assert (a.agent.pairs[0].state, len(a.agent.remote_candidates)) == (PairState.IN_PROGRESS, 1)


# What the caller passes on from the peer


@pytest.mark.parametrize("port", [70000, -1])
def test_remote_port_outside_16_bits_is_refused_by_name_and_the_good_candidate_connects(port):
    # aioice took it; sending to it made asyncio close the socket, and connect() hung on both ends.
    net = Network(latency=0.01)
    a, b = make_pair(net)
    with pytest.raises(ValueError, match="candidate port"):
        Candidate.from_sdp(f"candidate:1 1 udp 2130706431 192.0.2.9 {port} typ host")
    with pytest.raises(ValueError, match="candidate port"):
        candidate(Address("192.0.2.9", port))
    connect(net, a, b)
    assert talk(net, a, b)


@pytest.mark.parametrize("text", ["192.0.2.9 0", "255.255.255.255 9", "224.0.0.251 5353", "0.0.0.0 9", "::1 9", "name.local 9"])
def test_remote_address_that_cannot_be_sent_to_is_told_to_be_unused_and_harms_nothing(text):
    net = Network(latency=0.01)
    a, b = make_pair(net)
    bad = Candidate.from_sdp(f"candidate:1 1 udp 2130706431 {text} typ host")
    if "::" not in text:
        assert a.node.call(a.agent.add_remote_candidate, bad) is False
    a.set_remote(describe(b.agent.credentials, [bad, *b.agent.local_candidates]))
    b.set_remote(a.agent.local_description)
    assert net.run(until=5, when=lambda: both_selected(a, b))
    assert talk(net, a, b)
    assert (len(a.node.sockets), a.node.refused) == (1, 0)


# Gathering and closing


def test_host_candidates_are_there_at_once_and_a_silent_server_costs_three_seconds_not_the_candidates():
    # aioice: 5 s, and nothing to see meanwhile.
    net = Network()
    net.host("silent", "203.0.113.3").run(ScriptedPeer("203.0.113.3", silence))
    a = make_end(net, "A", A_HOST, controlling=True, servers=[IceServer("stun:203.0.113.3:4000")])
    net.run(until=10)
    assert [at for at, _ in a.events(CandidateGathered)] == [0.0]
    assert [at for at, _ in a.events(GatheringCompleted)] == [at for at, _ in a.events(ServerFailed)] == [3.0]


def test_server_whose_port_is_closed_delays_gathering_by_one_round_trip_only():
    # aioice waited 5 s for it too.
    net = Network(latency=0.02)
    net.host("closed", "203.0.113.3")
    a = make_end(net, "A", A_HOST, controlling=True, servers=[IceServer("stun:203.0.113.3:3478")])
    net.run(until=10)
    assert [at for at, _ in a.events(GatheringCompleted)] == [0.04]


@pytest.mark.parametrize("at", [0.0, 0.3, 0.5])
def test_closing_with_an_open_transaction_leaves_no_timer_and_sends_nothing(at):
    # aioice's timer called sendto on None.
    net = Network(trace=100)
    net.host("silent", "203.0.113.3").run(ScriptedPeer("203.0.113.3", silence))
    a = make_end(net, "A", A_HOST, controlling=True, servers=[IceServer("stun:203.0.113.3:4000")])
    a.set_remote(describe(Credentials("nobody", "n" * 22), [candidate(Address("203.0.113.3", 4000))]))
    net.run(until=at)
    a.node.call(a.agent.close)
    said = len(net.packets)
    assert (a.agent.deadline(), a.node.sockets, type(a.node.events[-1][1])) == (math.inf, {}, Closed)
    net.run(until=100)
    assert (len(net.packets), a.agent.take_outputs()) == (said, [])


def test_closing_during_gathering_is_final():
    # aioice filled its candidates in again, and a TURN allocation stayed open.
    net = Network(latency=0.02)
    net.stun_server("203.0.113.3")
    a = make_end(net, "A", A_HOST, controlling=True, servers=[IceServer("stun:203.0.113.3:3478")])
    a.node.call(a.agent.close)
    net.run(until=100)
    assert (a.agent.state, a.node.sockets, a.node.events[-1][0]) == (IceState.CLOSED, {}, 0.0)
    assert len(a.events(Closed)) == 1


def test_ufrag_and_password_have_more_random_bits_than_rfc_8445_asks_for():
    # 24 and 128; aioice's ufrag had 23.8.
    credentials = IceAgent(controlling=True).credentials
    assert math.log2(64) * len(credentials.ufrag) == 48
    assert math.log2(64) * len(credentials.pwd) == 144


# The same on real sockets, through the adapter


@contextlib.asynccontextmanager
async def connected_on_loopback(**options):
    """Two connections in this process, connected over 127.0.0.1."""
    loopback = {"include_loopback": True, "interface_filter": lambda name, address: address == "127.0.0.1"}
    async with open_ice(controlling=True, **loopback, **options) as a, open_ice(controlling=False, **loopback, **options) as b:
        with trio.fail_after(HANG):
            descriptions = await a.gather(), await b.gather()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(a.connect, descriptions[1])
                nursery.start_soon(b.connect, descriptions[0])
            yield a, b


def address_of(ice):
    return tuple(ice.local_candidates[0].address)


async def test_receive_gives_out_neither_an_empty_datagram_nor_a_strangers():
    async with connected_on_loopback() as (a, b):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.sendto(b"", address_of(a))
            stranger.sendto(b"not from the peer", address_of(a))
        await b.send(b"from the peer")
        assert await a.receive() == b"from the peer"
        dropped = a.stats().dropped
        assert (dropped[DropReason.EMPTY], dropped[DropReason.UNVALIDATED_SOURCE]) == (1, 1)
        with pytest.raises(WouldBlock):
            a.receive_nowait()


async def test_reader_that_never_reads_costs_a_bounded_queue_and_then_gets_the_newest():
    # aioice queued 199,624 datagrams: 451 MB.
    count, queued = 3000, 100
    async with connected_on_loopback(max_queued=queued) as (a, b):
        for number in range(count):
            b.send_nowait(number.to_bytes(4, "big") + bytes(1196))
            if number % 20 == 19:  # lets the other end read what the kernel's own buffer could not hold
                while a.stats().datagrams_received <= number:
                    await a.changed()
        waiting = [await a.receive() for _ in range(queued)]
        assert waiting == [number.to_bytes(4, "big") + bytes(1196) for number in range(count - queued, count)]
        assert a.stats().dropped[DropReason.QUEUE_FULL] == count - queued
        with pytest.raises(WouldBlock):
            a.receive_nowait()


async def test_all_who_wait_for_data_wake_up_at_close_and_a_cancelled_one_is_no_obstacle():
    # aioice: of two one hung, and after a cancelled get_event() every later one raised AssertionError.
    ended = []

    async def wait(ice):
        with pytest.raises(IceClosed):
            await ice.receive()
        ended.append(ice)

    async with connected_on_loopback() as (a, _):
        with trio.move_on_after(0):
            await a.receive()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(wait, a)
            await trio.testing.wait_all_tasks_blocked()
            a.close()
        assert ended == [a, a, a]


async def test_closing_while_a_server_is_silent_takes_no_time():
    # aioice blocked up to 63.5 s in close().
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"stun:127.0.0.1:{silent.getsockname()[1]}"
        with trio.fail_after(HANG):
            async with open_ice(controlling=True, include_loopback=True, ice_servers=[url]) as ice:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_gather_until_closed, ice)
                    await trio.testing.wait_all_tasks_blocked()
                    ice.close()
            assert ice.state is IceState.CLOSED


async def _gather_until_closed(ice):
    with pytest.raises(IceClosed):
        await ice.gather()


async def test_candidate_with_a_bad_address_leaves_the_socket_alone():
    # aioice: OverflowError in the send path, the socket closed, connect() hanging.
    loopback = {"include_loopback": True, "interface_filter": lambda name, address: address == "127.0.0.1"}
    async with open_ice(controlling=True, **loopback) as a, open_ice(controlling=False, **loopback) as b:
        with trio.fail_after(HANG):
            bad = [candidate(Address(host, 9), foundation=host[-1]) for host in ("240.0.0.1", "127.0.0.0", "::1")]
            await a.gather()
            of_b = await b.gather()
            of_b = attrs.evolve(of_b, candidates=[*bad, *of_b.candidates])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(a.connect, of_b)
                nursery.start_soon(b.connect, a.local_description)
            await a.send(b"still there")
            assert await b.receive() == b"still there"
