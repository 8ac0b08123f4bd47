"""The agent keeps the contract of machines, whatever it is told, and can be replayed; hostile messages by the thousand."""

import os
import random
from collections import Counter

import attrs
import pytest
from hypothesis import strategies as st

from ice._session import PEER, STRANGER, STUN, Two, selected
from ice._wire import OURS, THEIRS, candidate
from sansice.ice import Choice, Credentials, Description, IceAgent, IceConfig, IceState, Nomination
from sansice.machine import Address, DropReason, OpenSocket, SendDatagram, SocketId
from sansice.simulation import Fate, Network, Recorded, Recording, ReplayDifference, check_machine, replay
from sansice.stun import XOR_MAPPED_ADDRESS, MessageClass, Method, decode_untrusted, encode, short_term_key

MESSAGES = int(os.environ.get("SANSICE_FUZZ", "4000"))
SEED = int(os.environ.get("SANSICE_FUZZ_SEED", "8445"))

REMOTE = Description(
    THEIRS.ufrag, THEIRS.pwd, candidates=[candidate(PEER.host), candidate("2001:db8::9")], end_of_candidates=False
)
COMMANDS = {
    "gather": [(["192.0.2.1", "2001:db8::1"],), (["nonsense"],), ([],)],
    "set_remote": [(REMOTE,), (Description("other", THEIRS.pwd),), (Description(OURS.ufrag, OURS.pwd),)],
    "add_remote_candidate": [(candidate("198.51.100.2", 1 + number, foundation=f"r{number}"),) for number in range(5)],
    "end_of_candidates": [()],
    "send": st.tuples(st.binary(max_size=24)),
    "close": [()],
}


def state_size(agent):
    """How much an agent remembers that a stranger could have made it remember."""
    return len(agent.pairs) + len(agent.remote_candidates) + len(agent.local_candidates)


def made(entropy, **options):
    return IceAgent(controlling=True, credentials=OURS, servers=STUN, entropy=entropy, **options)


def checks_the_peer(agent, now):
    agent.gather(["192.0.2.1"], now=now)
    agent.set_remote(REMOTE, now=now)


@pytest.mark.parametrize("setup", [None, checks_the_peer], ids=["new", "checking"])
@pytest.mark.parametrize("options", [{}, {"config": IceConfig(consent=False)}], ids=["consent", "keepalives"])
def test_agent_keeps_the_contract(setup, options):
    check_machine(
        lambda entropy: made(entropy, **options),
        setup=setup,
        commands=COMMANDS,
        secrets=lambda agent: [agent.credentials.pwd, THEIRS.pwd],
        measure=state_size,
        bound=300,
        max_examples=60,
    )


def test_agent_that_is_flooded_holds_no_more_than_before():
    check_machine(made, setup=checks_the_peer, commands={}, max_examples=5, flood=4000)


# Recording


def recorded_session(seed):
    """A session of two agents with loss, through a NAT, the first one recorded; its recording."""
    net = Network(seed=seed, latency=0.02, jitter=0.01, loss=0.2, duplication=0.05, reordering=0.1)
    net.stun_server("198.51.100.53")
    recording = Recording(net.host("entropy").entropy)
    hosts = net.host("A", "10.0.0.2", behind=net.nat("203.0.113.1")), net.host("B", "198.51.100.1")
    a = Recorded(IceAgent(controlling=True, servers=STUN, entropy=recording.tap), recording)
    b = IceAgent(controlling=False, entropy=hosts[1].entropy)
    nodes = hosts[0].run(a), hosts[1].run(b)
    for node, host in zip(nodes, hosts, strict=True):
        node.call(node.machine.gather, host.addresses)
    net.run(until=4.0)
    nodes[0].call(a.set_remote, b.local_description)
    nodes[1].call(b.set_remote, a.local_description)
    assert net.run(until=60.0, when=lambda: a.selected_pair is not None and b.selected_pair is not None)
    nodes[0].call(a.send, b"hello")
    net.run(until=net.now + 30.0)
    nodes[0].call(a.close)
    return recording


def again(tap):
    return IceAgent(controlling=True, servers=STUN, entropy=tap)


@pytest.mark.parametrize("seed", range(5))
def test_recorded_session_replays_byte_for_byte(seed):
    recording = recorded_session(seed)
    text = recording.to_json_lines()
    assert text == recorded_session(seed).to_json_lines()
    agent = replay(Recording.from_json_lines(text), again)
    assert agent.state is IceState.CLOSED


def test_replay_of_another_agent_differs():
    recording = recorded_session(0)
    with pytest.raises(ReplayDifference):
        replay(recording, lambda tap: IceAgent(controlling=False, servers=STUN, entropy=tap))


# Hostile messages


def mutated(draw, data):
    """A message with bits changed, cut, grown, spliced, or exactly as it was."""
    copy = bytearray(data)
    for _ in range(draw.randrange(3)):
        match draw.randrange(6):
            case 0:
                copy[draw.randrange(len(copy))] ^= 1 << draw.randrange(8)
            case 1:
                del copy[draw.randrange(len(copy)) :]
            case 2:
                copy += draw.randbytes(draw.choice([1, 4, 8, 24]))
            case 3:
                start = 4 * draw.randrange(len(copy) // 4 + 1)
                copy[start : start + 4] = draw.randbytes(4)
            case 4:
                copy[2:4] = (len(copy) - 20 & 0xFFFF).to_bytes(2, "big")
            case 5:
                start = 20 + 4 * draw.randrange(8)
                copy[start:start] = copy[20 : 20 + draw.choice([4, 8, 12])]
        if not copy:
            copy = bytearray(draw.randbytes(20))
    return bytes(copy)


def test_agent_under_fire_neither_raises_nor_grows_and_then_connects():
    """``SANSICE_FUZZ=1000000 pytest tests/ice/test_agent_contract.py`` fires that many; ``SANSICE_FUZZ_SEED`` chooses others."""
    draw = random.Random(SEED)
    two = Two(seed=SEED, trace=2000)
    two.net.drop = lambda packet: True
    two.exchange()
    two.net.run(until=0.3)
    own = [passage.packet for passage in two.net.packets if passage.fate is Fate.SENT]
    peer = two.b.local_candidates[0].address
    sizes = []
    for number in range(1, MESSAGES + 1):
        choice = draw.randrange(10)
        data = draw.randbytes(draw.randrange(100)) if choice == 0 else mutated(draw, draw.choice(own).data)
        source = draw.choice([peer, STRANGER, Address(f"203.0.113.{draw.randrange(1, 255)}", draw.randrange(1, 65536))])
        two.node_a.driver.datagrams(SocketId(1), [(source, data)])
        if number % max(1, MESSAGES // 10) == 0:
            two.net.run(until=two.net.now + 0.2)
            sizes.append(state_size(two.a))
            own = [passage.packet for passage in two.net.packets if passage.fate is Fate.SENT and passage.packet.data]
    # Replays of the peer's authentic checks from new addresses make peer-reflexive candidates, up to a bound.
    assert max(sizes) <= 1 + 2 * (1 + IceConfig().max_peer_reflexive), (SEED, sizes)
    assert sizes[-1] == sizes[len(sizes) // 2], (SEED, sizes)
    assert sum(two.a.stats.dropped.values()) > MESSAGES // 3
    two.net.drop = None
    assert two.connect(), (SEED, two.a.explain(), two.b.explain())
    assert two.echo(), SEED


def test_connected_agent_under_fire_stays_connected():
    draw = random.Random(SEED)
    bench = selected()
    known = [one.data for one in bench.sent]
    before = state_size(bench.agent)
    for _ in range(MESSAGES // 4):
        bench.agent.handle_datagrams(
            SocketId(1), [(draw.choice([PEER, STRANGER]), mutated(draw, draw.choice(known)))], now=bench.now
        )
        bench.agent.take_outputs()
    assert bench.agent.state is IceState.COMPLETED
    assert state_size(bench.agent) == before
    assert Counter(bench.agent.stats.dropped)[DropReason.BAD_FINGERPRINT] > 0
    assert bench.agent.credentials == Credentials(OURS.ufrag, OURS.pwd)


# With renomination


def moves(agent, now):
    """Has a selected pair and another valid one, with a peer that offers renomination; that took a little before ``now``."""
    now -= 1.0
    agent.gather(["192.0.2.1"], now=now)
    (opening,) = [output for output in agent.take_outputs() if isinstance(output, OpenSocket)]
    agent.handle_socket_opened(opening.socket, Address("192.0.2.1", 4001), now=now)
    agent.set_remote(attrs.evolve(REMOTE, candidates=MOVING_REMOTES, options=("ice2", "renomination")), now=now)
    while agent.selected_pair is None:
        for output in agent.take_outputs():
            if isinstance(output, SendDatagram):
                check = decode_untrusted(output.data)
                content = [(XOR_MAPPED_ADDRESS, Address("192.0.2.1", 4001))]
                key = short_term_key(THEIRS.pwd)
                data = encode(Method.BINDING, MessageClass.SUCCESS, check.transaction_id, content, key=key, fingerprint=True)
                agent.handle_datagrams(opening.socket, [(output.destination, data)], now=now)
        now = agent.deadline()
        agent.handle_timer(now=now)


MOVING_REMOTES = (candidate(PEER.host), candidate("198.51.100.2", preference=200, foundation="r2"))


def choose_any(nominees, now):
    return Choice(nominees[int(now) % len(nominees)])


@pytest.mark.parametrize(
    "policy",
    [
        Nomination(renominate=True),
        Nomination(renominate=True, prefer_rtt=True, standby=True, use_candidate_in_consent=True),
        Nomination(renominate=True, choose=choose_any),
    ],
    ids=["better", "sooner", "own"],
)
def test_agent_that_renominates_keeps_the_contract(policy):
    check_machine(
        lambda entropy: IceAgent(controlling=True, credentials=OURS, entropy=entropy, nomination=policy),
        setup=moves,
        commands=COMMANDS,
        secrets=lambda agent: [agent.credentials.pwd, THEIRS.pwd],
        measure=state_size,
        bound=300,
        max_examples=60,
    )
