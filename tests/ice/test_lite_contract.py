"""The lite agent keeps the contract of machines, can be replayed, and stands what strangers and a hostile peer send."""

import os
import random
import tracemalloc

import pytest
from hypothesis import strategies as st

from ice._lite import NEW, OTHER, PEER, STRANGER, LiteBench, Pairing, check_bytes, connected
from ice._session import indication
from ice._wire import OURS, STRANGER as STRANGERS_KEY, THEIRS, at, candidate
from sansice.ice import Description, IceAgent, IceConfig, IceState, LiteAgent
from sansice.machine import SocketId
from sansice.simulation import Network, Recorded, Recording, check_machine, replay
from sansice.stun import MessageClass

MESSAGES = int(os.environ.get("SANSICE_FUZZ", "4000"))
SEED = int(os.environ.get("SANSICE_FUZZ_SEED", "8445"))
FULL = Description(THEIRS.ufrag, THEIRS.pwd, candidates=[candidate(PEER.host)], end_of_candidates=False)
LITE = Description(THEIRS.ufrag, THEIRS.pwd, candidates=[candidate(PEER.host), candidate("2001:db8::9")], lite=True)
COMMANDS = {
    "gather": [(["192.0.2.1", "2001:db8::1"],), (["nonsense"],), ([],)],
    "update_addresses": [(["192.0.2.2"],), (["192.0.2.1", "2001:db8::1"],), ("text",)],
    "set_remote": [(FULL,), (LITE,), (Description("other", THEIRS.pwd),), (Description(OURS.ufrag, OURS.pwd),)],
    "add_remote_candidate": [(candidate("198.51.100.2", 1 + number, foundation=f"r{number}"),) for number in range(5)],
    "end_of_candidates": [()],
    "send": st.tuples(st.binary(max_size=24)),
    "restart": [()],
    "close": [()],
}


def made(entropy, **options):
    return LiteAgent(controlling=True, credentials=OURS, entropy=entropy, **options)


def knows_a_full_peer(agent, now):
    agent.gather(["192.0.2.1"], now=now)
    agent.set_remote(FULL, now=now)


def knows_a_lite_peer(agent, now):
    agent.gather(["192.0.2.1", "2001:db8::1"], now=now)
    agent.set_remote(LITE, now=now)


def state_size(agent):
    """How much an agent remembers that a stranger, or its peer, could have made it remember."""
    size = len(agent.pairs) + len(agent.remote_candidates) + len(agent.local_candidates)
    for stream in agent._session.streams:
        for generation in stream.generations:
            size += len(generation.early) + len(generation.nominations) + len(generation.waiting)
            size += sum(len(component.sources) for component in generation.components)
    return size


@pytest.mark.parametrize("setup", [None, knows_a_full_peer, knows_a_lite_peer], ids=["new", "full", "lite"])
@pytest.mark.parametrize("options", [{}, {"config": IceConfig(consent=False)}, {"components": 2}], ids=["plain", "kept", "two"])
def test_lite_agent_keeps_the_contract(setup, options):
    check_machine(
        lambda entropy: made(entropy, **options),
        setup=setup,
        commands=COMMANDS,
        secrets=lambda agent: [agent.credentials.pwd, THEIRS.pwd],
        measure=state_size,
        bound=600,
        max_examples=20,
    )


def test_lite_agent_that_is_flooded_holds_no_more_than_before():
    check_machine(made, setup=knows_a_full_peer, commands={}, max_examples=5, flood=4000)


@pytest.mark.parametrize("seed", range(3))
def test_recorded_session_of_a_lite_agent_replays_byte_for_byte(seed):
    net = Network(seed=seed, latency=0.02, loss=0.2, duplication=0.05, reordering=0.1)
    recording = Recording(net.host("entropy").entropy)
    hosts = net.host("A", "192.0.2.1"), net.host("B", "198.51.100.1")
    a = IceAgent(controlling=True, entropy=hosts[0].entropy)
    b = Recorded(LiteAgent(controlling=False, entropy=recording.tap), recording)
    nodes = [host.run(agent) for host, agent in zip(hosts, (a, b), strict=True)]
    for node, host in zip(nodes, hosts, strict=True):
        node.call(node.machine.gather, host.addresses)
    net.run(until=0.5)
    nodes[0].call(a.set_remote, b.local_description)
    nodes[1].call(b.set_remote, a.local_description)
    assert net.run(until=60.0, when=lambda: a.selected_pair is not None and b.selected_pair is not None)
    nodes[1].call(b.send, b"\x80hello")
    net.run(until=net.now + 30.0)
    nodes[1].call(b.restart)
    nodes[1].call(b.close)
    again = replay(Recording.from_json_lines(recording.to_json_lines()), lambda tap: LiteAgent(controlling=False, entropy=tap))
    assert again.state is IceState.CLOSED


def test_recording_of_a_lite_agent_makes_it_again_by_itself():
    recording = Recording(os.urandom)
    agent = recording.make(LiteAgent, controlling=False, components=2)
    agent.gather(["192.0.2.1"], now=0.0)
    agent.close(now=1.0)
    assert type(replay(Recording.from_json_lines(recording.to_json_lines()))) is LiteAgent


# Attacks


def test_flood_of_wrong_passwords_is_refused_and_leaves_nothing():
    bench = connected()
    before = state_size(bench.agent)
    events = len(bench.events)
    for number in range(3000):
        answer = bench.nominate(at(f"10.{number // 250}.{number % 250}.1"), key=STRANGERS_KEY)
        assert answer.message_class is MessageClass.ERROR
    assert state_size(bench.agent) == before and len(bench.events) == events
    assert bench.dropped() == {"BAD_INTEGRITY": 3000}


def test_refusal_of_a_stranger_is_no_longer_than_what_it_answers():
    bench = LiteBench()
    for options in ({"key": STRANGERS_KEY}, {"username": "a:b"}, {"username": None, "priority": None, "key": None}):
        before = len(bench.sent)
        bench.nominate(STRANGER, **options)
        assert len(bench.sent[-1].data) <= 40 and len(bench.sent) == before + 1


@pytest.mark.parametrize("length", [0, 1, 2, 19, 20, 21, 28, 100, 548, 1200, 1500, 9000, 65507, 65535])
def test_datagrams_of_all_sizes_are_taken(length):
    draw = random.Random(length)
    bench = connected()
    check = check_bytes(9)
    for data in (
        bytes(length),
        b"\x80" * length,
        draw.randbytes(length),
        (check * (length // len(check) + 1))[:length],
        (check + bytes(length))[:length],
    ):
        bench.arrive(1, STRANGER, data)
        bench.arrive(1, PEER, data)
    assert bench.agent.state is IceState.COMPLETED and bench.selected == PEER
    assert bench.check().message_class is MessageClass.SUCCESS


def mutated(draw, data):
    """A message with bits changed, cut, grown or spliced, or exactly as it was."""
    copy = bytearray(data)
    for _ in range(draw.randrange(3)):
        match draw.randrange(4):
            case 0:
                copy[draw.randrange(len(copy))] ^= 1 << draw.randrange(8)
            case 1:
                del copy[draw.randrange(1, len(copy) + 1) :]
            case 2:
                copy += draw.randbytes(draw.choice([1, 4, 8]))
            case 3:
                start = 4 * draw.randrange(len(copy) // 4 + 1)
                copy[start : start + 4] = draw.randbytes(4)
    return bytes(copy)


def test_lite_agent_under_fire_neither_raises_nor_grows_and_stays_connected():
    """``SANSICE_FUZZ=1000000`` fires that many; ``SANSICE_FUZZ_SEED`` chooses others."""
    draw = random.Random(SEED)
    bench = connected()
    known = [check_bytes(number, use_candidate=bool(number % 2), nomination=number % 3) for number in range(1, 30)]
    known += [check_bytes(40, theirs="fork"), check_bytes(41, ours=NEW), indication()]
    largest = 0
    for number in range(MESSAGES):
        source = draw.choice([PEER, OTHER, STRANGER, at(f"203.0.113.{draw.randrange(1, 255)}", draw.randrange(1, 65536))])
        bench.call(bench.agent.handle_datagrams, SocketId(1), [(source, mutated(draw, draw.choice(known)))])
        if number % 100 == 0:
            bench.check()
            bench.run(until=bench.now + 0.1)
        largest = max(largest, state_size(bench.agent))
    assert bench.agent.writable, SEED
    assert largest <= 2 + 1 + IceConfig().max_peer_reflexive + 64, SEED
    assert bench.requests == []


# For servers


def test_thousand_lite_agents_take_little_room_and_answer_each_its_own_peer():
    """Figures: see ``docs/howto/lite.md``. The bound is on Python's own count of bytes, the same on every machine."""
    made(os.urandom).gather(["192.0.2.1"], now=0.0)
    tracemalloc.start()
    try:
        benches = [connected_agent(number) for number in range(1000)]
        size = tracemalloc.get_traced_memory()[0] / len(benches)
    finally:
        tracemalloc.stop()
    assert all(agent.state is IceState.COMPLETED for agent in benches)
    assert size < 9000, size


def connected_agent(number):
    agent = LiteAgent(controlling=False)
    agent.gather(["192.0.2.1"], now=0.0)
    agent.handle_socket_opened(SocketId(1), at("192.0.2.1", 10000 + number), now=0.0)
    agent.set_remote(FULL, now=0.0)
    agent.handle_datagrams(SocketId(1), [(PEER, check_bytes(number, ours=agent.credentials, use_candidate=True))], now=0.0)
    agent.take_outputs()
    return agent


def test_full_agent_finds_a_lite_one_in_spite_of_a_flood():
    two = Pairing()
    draw = random.Random(SEED)
    two.exchange()
    noise = [check_bytes(number, ours=two.b.credentials, theirs="fork", use_candidate=True) for number in range(1, 20)]
    while two.net.now < 2.0:
        source = at(f"203.0.113.{draw.randrange(1, 255)}", draw.randrange(1, 65536))
        two.node_b.driver.datagrams(SocketId(1), [(source, mutated(draw, draw.choice(noise)))])
        two.net.run(until=two.net.now + 0.005)
    assert two.agree and two.echo()
