"""ICE over TCP in the simulated network: firewalls, NATs, both protocols at once, and hostile ends."""

import pytest
from hypothesis import strategies as st

from ice._session import Two
from ice._tcp_bench import ACTIVE, BOTH, PASSIVE, PEER, remote, tcp
from ice._wire import OURS, THEIRS, candidate
from sansice.ice import Description, IceAgent, IceState, LiteAgent, Nomination, TcpType
from sansice.machine import Transport
from sansice.simulation import Network, Recorded, Recording, check_machine, replay, scene, simulate

MIXED = {"gathering": tcp(ACTIVE, PASSIVE, udp=True)}
RENOMINATING = Nomination(renominate=True)


def transports(two):
    return [one.selected_pair.local.transport for one in (two.a, two.b)]


def connected(**options):
    two = Two(**options)
    two.net.run(until=1.0)
    two.exchange()
    assert two.connect()
    return two


@pytest.mark.req("RFC6544-005")
def test_udp_is_used_where_both_work():
    two = connected(a_options=MIXED, b_options=MIXED)
    assert transports(two) == [Transport.UDP] * 2
    two.net.run(until=30.0)
    assert two.echo()


def test_an_office_without_udp_connects_over_tcp():
    for seed in range(10):
        assert simulate(scene("office-udp-blocked-tcp"), seed=seed).surprises == ()


@pytest.mark.parametrize(
    ("ours", "theirs"), [(ACTIVE, PASSIVE), (PASSIVE, ACTIVE), (BOTH, BOTH)], ids=["active", "passive", "both"]
)
def test_several_streams_and_components_connect_over_tcp(ours, theirs):
    options = {"streams": 2, "components": 2}
    two = connected(a_options={"gathering": tcp(ours), **options}, b_options={"gathering": tcp(theirs), **options})
    two.net.run(until=60.0)
    assert two.a.state is two.b.state is IceState.COMPLETED
    for stream in (0, 1):
        for component in (1, 2):
            two.node_a.call(two.a.send, b"%d %d" % (stream, component), stream=stream, component=component)
    two.net.run(until=61.0)
    got = [event.data for _, event in two.node_b.events if hasattr(event, "data")]
    assert sorted(got) == [b"0 1", b"0 2", b"1 1", b"1 2"]


@pytest.mark.parametrize("seed", range(20))
def test_simultaneous_open_connects_whoever_is_faster(seed):
    two = connected(seed=seed, jitter=0.02, a_options={"gathering": tcp(BOTH)}, b_options={"gathering": tcp(BOTH)})
    two.net.run(until=40.0)
    assert two.echo()


# ------------------------------------------------------------------- UDP that comes and goes


def is_udp(packet):
    return packet.protocol == "udp"


@pytest.mark.parametrize("controlling", [True, False])
def test_a_mixed_session_falls_back_to_tcp_and_goes_back_to_udp_when_that_works_again(controlling):
    ends = ("a_options", "b_options") if controlling else ("b_options", "a_options")
    gathering = {ends[0]: {"gathering": tcp(ACTIVE, udp=True)}, ends[1]: {"gathering": tcp(PASSIVE, udp=True)}}
    two = connected(**{name: {**options, "nomination": RENOMINATING} for name, options in gathering.items()})
    assert transports(two) == [Transport.UDP] * 2
    two.net.run(until=20.0)
    two.net.drop = is_udp
    assert two.net.run(until=60.0, when=lambda: transports(two) == [Transport.TCP] * 2)
    assert two.echo()
    two.net.run(until=120.0)
    assert transports(two) == [Transport.TCP] * 2
    two.net.drop = None
    assert two.net.run(until=300.0, when=lambda: transports(two) == [Transport.UDP] * 2)
    assert two.echo()


def test_tcp_that_dies_in_mid_call_gives_way_to_udp():
    mixed = {"gathering": tcp(ACTIVE, PASSIVE, udp=True), "nomination": RENOMINATING}
    two = Two(a_options=mixed, b_options=mixed)
    two.net.run(until=1.0)
    two.exchange()
    two.net.drop = is_udp
    assert two.connect()
    two.net.run(until=10.0)
    two.net.drop = lambda packet: packet.protocol == "tcp"
    assert two.net.run(until=200.0, when=lambda: transports(two) == [Transport.UDP] * 2)
    assert two.echo()


# ------------------------------------------------------------------- connections that end


@pytest.mark.req("RFC6544-019", "RFC7675-018")
@pytest.mark.parametrize("ours", [ACTIVE, PASSIVE, BOTH])
@pytest.mark.parametrize("end", ["a", "b"])
def test_whichever_end_loses_the_connection_it_is_opened_again_and_the_session_lives(ours, end):
    theirs = {ACTIVE: PASSIVE, PASSIVE: ACTIVE, BOTH: BOTH}[ours]
    two = connected(a_options={"gathering": tcp(ours)}, b_options={"gathering": tcp(theirs)})
    two.net.run(until=10.0)
    for when in (10.0, 20.0, 30.0):
        agent, node = (two.a, two.node_a) if end == "a" else (two.b, two.node_b)
        (lost,) = [one.socket for one in agent._tcp._by_socket.values() if one.is_proven]
        node.call(agent.handle_stream_data, lost, b"")  # as if the other end had closed it
        two.net.run(until=when + 8.0)
        assert two.echo()
        assert (two.a.state, two.b.state) == (IceState.COMPLETED, IceState.COMPLETED)
    two.net.run(until=120.0)
    assert two.echo()


# ------------------------------------------------------------------- the contract


REMOTE = Description(
    THEIRS.ufrag,
    THEIRS.pwd,
    candidates=[remote(), remote(BOTH, port=5001), remote(ACTIVE), candidate(PEER.host)],
    end_of_candidates=False,
)
COMMANDS = {
    "gather": [(["192.0.2.1"],)],
    "set_remote": [(REMOTE,)],
    "add_remote_candidate": [(remote(port=5002 + number, foundation=f"r{number}"),) for number in range(3)],
    "send": st.tuples(st.binary(max_size=24)),
    "restart": [()],
    "close": [()],
}


def knows_its_peer(agent, now):
    agent.gather(["192.0.2.1"], now=now)
    if isinstance(agent, IceAgent):
        agent.set_remote(REMOTE, now=now)


def state_size(agent):
    tcp = agent._tcp if isinstance(agent, IceAgent) else agent._session.tcp
    return len(tcp._by_socket) + len(tcp._by_path) + len(tcp._bases) + len(tcp.losses)


@pytest.mark.parametrize("kind", [IceAgent, LiteAgent])
def test_agents_with_tcp_keep_the_contract(kind):
    check_machine(
        lambda entropy: kind(controlling=False, credentials=OURS, entropy=entropy, gathering=tcp(*TcpType, udp=True)),
        setup=knows_its_peer,
        commands=COMMANDS,
        secrets=lambda agent: [agent.credentials.pwd, THEIRS.pwd],
        measure=state_size,
        bound=300,
        max_examples=60,
    )


def test_a_session_over_tcp_is_replayed_byte_for_byte():
    net = Network(seed=3, latency=0.02, jitter=0.01)
    recording = Recording(net.host("entropy").entropy)
    hosts = net.host("A", "192.0.2.1"), net.host("B", "198.51.100.1")
    a = Recorded(IceAgent(controlling=True, gathering=tcp(ACTIVE), entropy=recording.tap), recording)
    b = IceAgent(controlling=False, gathering=tcp(PASSIVE), entropy=hosts[1].entropy)
    nodes = hosts[0].run(a), hosts[1].run(b)
    for node, host in zip(nodes, hosts, strict=True):
        node.call(node.machine.gather, host.addresses)
    net.run(until=1.0)
    nodes[0].call(a.set_remote, b.local_description)
    nodes[1].call(b.set_remote, a.local_description)
    assert net.run(until=10.0, when=lambda: a.selected_pair is not None and b.selected_pair is not None)
    nodes[0].call(a.send, b"hello")
    net.run(until=30.0)
    text = Recording.from_json_lines(recording.to_json_lines())
    replayed = replay(text, lambda tap: IceAgent(controlling=True, gathering=tcp(ACTIVE), entropy=tap))
    assert replayed.selected_pair == a.selected_pair
